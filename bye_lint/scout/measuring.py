"""How often a scout answers right what is asked of drawings, topic by topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from bye_lint.scout.dense import IGNORED
from bye_lint.scout.questions import TOPICS

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Accuracy:
    """Shares of a topic's answers that greedy decoding gives exactly.

    Attributes
    ----------
    whole : float
        Of all answers: the mean of the batches' shares.
    others : float
        Of those that are not the topic's most common one, which an accuracy may owe much to; 1
        where there are none.
    """

    whole: float
    others: float


def measure(
    batches: Iterable[Batch], answer: Callable[[Batch], torch.Tensor]
) -> dict[str, Accuracy]:
    """Return the accuracy by topic; ``answer`` gives the logits of a batch's targets."""
    shares: dict[str, list[float]] = {}
    given: dict[str, list[tuple[tuple[int, ...], bool]]] = {}
    for batch in batches:
        mine: dict[str, list[bool]] = {}
        for topic, said, right in _answers(answer(batch), batch):
            mine.setdefault(topic, []).append(right)
            given.setdefault(topic, []).append((said, right))
        for topic, hits in mine.items():
            shares.setdefault(topic, []).append(float(np.mean(hits)))
    found = {}
    for topic, answers in given.items():
        common, _ = Counter(said for said, _ in answers).most_common(1)[0]
        others = [right for said, right in answers if said != common]
        found[topic] = Accuracy(
            float(np.mean(shares[topic])), float(np.mean(others)) if others else 1.0
        )
    return found


def _answers(logits: torch.Tensor, batch: Batch) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """Yield the topic and the tokens of each answer of a batch, and whether all are right."""
    answered = batch["target"] != IGNORED
    right = (logits.argmax(-1) == batch["target"][answered]).cpu().numpy()
    row = answered.nonzero()[:, 0].cpu().numpy()
    target, topic, turn = (
        batch[name][answered].cpu().numpy() for name in ("target", "topic", "turn")
    )
    # The tokens of an answer lie side by side.
    starts = np.flatnonzero((np.diff(row) != 0) | (np.diff(turn) != 0)) + 1
    for tokens in np.split(np.arange(len(row)), starts):
        said = tuple(target[tokens].tolist())
        yield TOPICS[int(topic[tokens[0]])], said, bool(right[tokens].all())
