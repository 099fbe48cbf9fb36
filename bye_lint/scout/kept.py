"""What a pre-training keeps of itself: its log, the accuracies measured, and the best model."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from bye_lint.atomic import write_whole
from bye_lint.errors import UsageError
from bye_lint.scout.card import write_card
from bye_lint.scout.export import export_model


class Kept:
    """The folder of one run, but for its checkpoints' content.

    Parameters
    ----------
    out : Path
    recipe : mapping
        What the model depends on, JSON values alone.
    stages : sequence of str
        Those that leave a checkpoint.
    resume : bool
        The run goes on, a model has to be better than the best so far. Otherwise what an earlier
        run has left is forgotten, but for its model.

    Raises
    ------
    UsageError
        If a run of another recipe is to go on.
    """

    def __init__(
        self, out: Path, recipe: Mapping[str, Any], *, stages: Sequence[str], resume: bool
    ) -> None:
        self._out = out
        path = out / "recipe.json"
        if not resume:
            checkpoints = (out / f"{stage}.pt" for stage in stages)
            for left in (self._best_path, self._accuracy_path, path, *checkpoints):
                left.unlink(missing_ok=True)
        elif path.exists() and (begun := json.loads(path.read_text("utf-8"))) != recipe:
            other = sorted(name for name in recipe if begun.get(name) != recipe[name])
            raise UsageError(
                f"{out} holds a run with another {', '.join(other)}",
                "Resume it with what it was begun with, or leave --resume out.",
            )
        _write(path, recipe)
        self._best = self._best_so_far()

    @property
    def _best_path(self) -> Path:
        return self._out / "best.json"

    @property
    def _accuracy_path(self) -> Path:
        return self._out / "accuracy.json"

    def _best_so_far(self) -> float:
        if not self._best_path.exists() or not (self._out / "model").is_dir():
            return -1.0
        return float(json.loads(self._best_path.read_text(encoding="utf-8"))["accuracy"])

    def log(self, line: str) -> None:
        """Print a line and keep it in the log."""
        print(line, flush=True)
        with (self._out / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {line}\n")

    def report(self, stage: str, step: int, accuracy: dict[str, float]) -> None:
        """Log a stage's held-out accuracies by topic, and keep them beside those of the others."""
        shown = " ".join(f"{name} {value:.3f}" for name, value in accuracy.items())
        self.log(f"{stage} {step} held out: {shown}")
        path = self._accuracy_path
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        _write(path, kept | {f"{stage}/{name}": value for name, value in accuracy.items()})

    def offer(
        self, model: Any, tokenizer: PreTrainedTokenizerFast, accuracy: float, step: int
    ) -> None:
        """Export a model if none before was as accurate."""
        if accuracy <= self._best:
            return
        self._best = accuracy
        self._export(model, tokenizer)
        _write(self._best_path, {"accuracy": accuracy, "step": step})

    def _export(self, model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
        """Replace ``model`` by a folder that ``from_pretrained`` loads, weights in bfloat16."""
        final, partial = self._out / "model", self._out / "model.partial"
        shutil.rmtree(partial, ignore_errors=True)
        export_model(model, tokenizer, partial)
        accuracy = json.loads(self._accuracy_path.read_text(encoding="utf-8"))
        write_card(partial, accuracy)
        if final.exists():
            shutil.rmtree(self._out / "model.old", ignore_errors=True)
            final.replace(self._out / "model.old")
        partial.replace(final)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(value, indent=1).encode())
