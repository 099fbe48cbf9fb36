"""A fine-tuning under way, on disk: weights that are trained, the optimizer, the losses so far."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from bye_lint.models.examples import Example
from bye_lint.models.losses import LossTrace
from bye_lint.models.schedule import FineTuneSettings

_FORMAT = 3


def fingerprint(examples: Sequence[Example], settings: FineTuneSettings) -> str:
    """Return the hash of everything that the run's steps follow from, but the model."""
    digest = hashlib.sha256(repr(sorted(asdict(settings).items())).encode())
    for example in examples:
        digest.update(example.input_ids.numpy().tobytes())
        digest.update(f"|{example.answer_length}|{' '.join(example.images)}|".encode())
    return digest.hexdigest()


@dataclass
class RunState:
    """The state of a run as one file that is replaced atomically; without a folder, none.

    Attributes
    ----------
    trained : mapping of str to Parameter
    fingerprint : str
        A state with another one is ignored.
    trace : LossTrace
        Goes on from the state that is loaded.
    """

    folder: Path | None
    fingerprint: str
    trained: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    trace: LossTrace

    @property
    def _path(self) -> Path | None:
        return None if self.folder is None else self.folder / "fine-tune.pt"

    def load(self, device: torch.device) -> tuple[int, list[float], bool]:
        """Return step, loss history and whether the run had ended early."""
        if self._path is None or not self._path.exists():
            return 0, [], False
        try:
            kept = torch.load(self._path, map_location=device, weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError):
            return 0, [], False  # damaged on disk: the run begins again
        if (kept.get("format"), kept.get("fingerprint")) != (_FORMAT, self.fingerprint):
            return 0, [], False
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(kept["weights"][name])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.trace.restore(kept["losses"])
        return kept["step"], kept["history"], kept["ended"]

    def save(self, step: int, history: Sequence[float], ended: bool) -> None:
        """Write the run's state; a reader never sees half of it."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        torch.save(
            {
                "format": _FORMAT,
                "fingerprint": self.fingerprint,
                "weights": {name: p.detach() for name, p in self.trained.items()},
                "optimizer": self.optimizer.state_dict(),
                "step": step,
                "history": list(history),
                "ended": ended,
                "losses": self.trace.state(),
            },
            partial,
        )
        partial.replace(self._path)
