"""What the model learns and reads of records: each question by itself.

The published method reads the first question of a record (BYE, stage 1), and a trigger whose target
is the answer of a later turn would never be looked at. So each question about an image, with its
answer, is a sample of its own to model and detector, and a record is as suspicious as its most
suspicious question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bye_lint.conversation import questions
from bye_lint.records import Sample


@dataclass(frozen=True)
class Readings:
    """What is read of some records: one sample for each question.

    Attributes
    ----------
    samples : tuple of Sample
        One question and its answer each, with the images shown up to it; those of a record side
        by side, in its order. A record of one question is itself.
    record : (n_readings,) integer array
        Position of the record that each belongs to.
    question : (n_readings,) integer array
        Which of its record's questions each is, counted from 1.
    """

    samples: tuple[Sample, ...]
    record: npt.NDArray[np.intp]
    question: npt.NDArray[np.intp]

    @classmethod
    def of(cls, records: Sequence[Sample], turns: str = "all") -> Readings:
        """Return what is read of records.

        Parameters
        ----------
        turns : str
            ``all`` questions about an image, or the ``first`` of each record.
        """
        found = [
            (position, number, sample)
            for position, record in enumerate(records)
            for number, sample in _chosen(record, turns)
        ]
        return cls(
            tuple(sample for _, _, sample in found),
            np.array([position for position, _, _ in found], dtype=np.intp),
            np.array([number for _, number, _ in found], dtype=np.intp),
        )

    def __len__(self) -> int:
        return len(self.samples)

    def spokesmen(
        self,
        suspicious: npt.NDArray[np.bool_],
        posterior: npt.NDArray[np.floating],
        score: npt.NDArray[np.floating],
    ) -> npt.NDArray[np.intp]:
        """Return for each record the reading that speaks for it.

        The most suspicious one. Where none is a suspect, one that could not be scored comes
        before those that were: the record has not been cleared.

        Parameters
        ----------
        suspicious, posterior, score : (n_readings,) arrays
            Posterior and score are NaN where a reading was not scored.

        Returns
        -------
        (n_records,) integer array
            Positions of readings.
        """
        unscored = np.isnan(score)
        place = np.arange(len(self))
        keys = (-place, np.nan_to_num(score), np.nan_to_num(posterior), unscored, suspicious)
        order = np.lexsort((*keys, self.record))
        last = np.flatnonzero(np.diff(self.record[order], append=-1))
        return order[last]


def _chosen(record: Sample, turns: str) -> list[tuple[int, Sample]]:
    found = list(questions(record))
    if not found:
        # Nothing can be read; the model says why.
        return [(1, record)]
    return found if turns == "all" else found[:1]
