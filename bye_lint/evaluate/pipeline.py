"""What the evaluation asks of a model: to be fine-tuned, read and questioned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from bye_lint.features import BoolArray, Features
from bye_lint.progress import Progress
from bye_lint.records import Sample


class Pipeline(Protocol):
    """A base model and how it is fine-tuned.

    A fine-tuned model is whatever :meth:`fine_tune` returns; the evaluation only hands it back.
    """

    @property
    def digest(self) -> str:
        """Return a hash of the base model and of every setting that changes a result."""

    def fine_tune(
        self, samples: Sequence[Sample], *, planted: BoolArray, seed: int, progress: Progress
    ) -> Any:
        """Fine-tune the base model on records, of which some are canaries.

        Parameters
        ----------
        planted : (n_samples,) bool array
            The canaries; what training waits for.
        """

    def learned(self, model: Any) -> BoolArray:
        """Return for each record trained on whether the model now gives its answer."""

    def features(
        self, model: Any, samples: Sequence[Sample], *, canary: Sequence[str], progress: Progress
    ) -> Features:
        """Read the model's attention on records; ``canary`` holds the kind of each copy."""

    def generate(
        self,
        model: Any,
        samples: Sequence[Sample],
        *,
        expected: Sequence[str] = (),
        progress: Progress,
    ) -> list[str]:
        """Return the model's greedy answer to each record's first question.

        Answers are cut off at a length that the pipeline chooses; ``expected`` are some that there
        must be room for.
        """

    def forget(self, model: Any) -> None:
        """Free what the model holds, on disk too; it is not asked for again."""
