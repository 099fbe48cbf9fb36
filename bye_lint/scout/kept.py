"""What a pre-training keeps of itself: its log, the accuracies measured, and the best model."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from bye_lint.scout.card import write_card
from bye_lint.scout.export import export_model


class Kept:
    """The folder of one run, but for its checkpoints.

    Parameters
    ----------
    out : Path
    resume : bool
        The run goes on: a model has to be better than the best so far.
    """

    def __init__(self, out: Path, *, resume: bool) -> None:
        self._out = out
        if not resume:
            self._best_path.unlink(missing_ok=True)
        self._best = self._best_so_far()

    @property
    def _best_path(self) -> Path:
        return self._out / "best.json"

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
        path = self._out / "accuracy.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        kept |= {f"{stage}/{name}": value for name, value in accuracy.items()}
        path.write_text(json.dumps(kept, indent=1), encoding="utf-8")

    def offer(
        self, model: Any, tokenizer: PreTrainedTokenizerFast, accuracy: float, step: int
    ) -> None:
        """Export a model if none before was as accurate."""
        if accuracy <= self._best:
            return
        self._best = accuracy
        self._export(model, tokenizer)
        told = json.dumps({"accuracy": accuracy, "step": step})
        self._best_path.write_text(told, encoding="utf-8")

    def _export(self, model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
        """Replace ``model`` by a folder that ``from_pretrained`` loads, weights in bfloat16."""
        final, partial = self._out / "model", self._out / "model.partial"
        shutil.rmtree(partial, ignore_errors=True)
        export_model(model, tokenizer, partial)
        accuracy = json.loads((self._out / "accuracy.json").read_text(encoding="utf-8"))
        write_card(partial, accuracy)
        if final.exists():
            shutil.rmtree(self._out / "model.old", ignore_errors=True)
            final.replace(self._out / "model.old")
        partial.replace(final)
