"""A fine-tuning under way, on disk: weights that are trained, the optimizer, the losses so far."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import nn

from bye_lint.atomic import in_one_move
from bye_lint.models.examples import Example
from bye_lint.models.losses import LossTrace
from bye_lint.models.schedule import FineTuneSettings

#: A run that is cut off loses the steps of so many seconds at most, or of so many times what saving
#: takes.
SAVE_SECONDS = 20.0
_SAVINGS = 50

_FORMAT = 4
_MAGIC = b"bye-lint run 1\n"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size

_log = logging.getLogger(__name__)


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

    The file is headed by the SHA-256 of its body, so that a damaged one is known before anything is
    taken from it: the run then begins again.

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
    _saved: float = field(default_factory=time.monotonic, init=False, repr=False)
    _took: float = field(default=0.0, init=False, repr=False)

    @property
    def _path(self) -> Path | None:
        return None if self.folder is None else self.folder / "fine-tune.pt"

    def load(self, device: torch.device) -> tuple[int, list[float], bool]:
        """Return step, loss history and whether the run had ended early."""
        kept = self._kept(device)
        if (kept.get("format"), kept.get("fingerprint")) != (_FORMAT, self.fingerprint):
            return 0, [], False
        if {n: p.shape for n, p in kept["weights"].items()} != {
            n: p.shape for n, p in self.trained.items()
        }:
            _log.warning("%s: is of other weights, the run begins again", self._path)
            return 0, [], False
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(kept["weights"][name])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.trace.restore(kept["losses"])
        return kept["step"], kept["history"], kept["ended"]

    def _kept(self, device: torch.device) -> dict[str, Any]:
        """Return what the file holds: nothing where there is none, or where it is damaged."""
        if self._path is None or not self._path.exists():
            return {}
        try:
            content = self._path.read_bytes()
            body = content[_HEADER:]
            if content[:_HEADER] != _MAGIC + hashlib.sha256(body).digest():
                raise ValueError("it is damaged")
            kept = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
            return kept if isinstance(kept, dict) else {}
        except Exception as error:  # torch raises what its unpickler stumbles over
            _log.warning("%s: cannot be read, the run begins again: %s", self._path, error)
            return {}

    def is_late(self) -> bool:
        """Whether a run that is cut off now would lose more than it may."""
        return time.monotonic() - self._saved > max(SAVE_SECONDS, _SAVINGS * self._took)

    def save(self, step: int, history: Sequence[float], ended: bool) -> None:
        """Write the run's state; a reader never sees half of it."""
        if self._path is None:
            return
        began = time.monotonic()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with in_one_move(self._path) as partial, partial.open("wb") as file:
            body = _Digesting(file)
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
                cast("IO[bytes]", body),  # no more than this is asked of it
            )
            file.seek(0)
            file.write(_MAGIC + body.digest())
        self._saved = time.monotonic()
        self._took = self._saved - began


class _Digesting:
    """A file behind a header that is written last, and the SHA-256 of what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()
        file.write(bytes(_HEADER))

    def write(self, data: Any) -> int:
        """Write some bytes."""
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Do nothing; the file is flushed when it is closed."""

    def digest(self) -> bytes:
        """Return the hash of everything that was written."""
        return self._hash.digest()
