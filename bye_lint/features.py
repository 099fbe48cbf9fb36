"""What the extraction hands to the detectors: arrays and nothing that could give the truth away.

No ids, no file names, no order-dependent metadata: a detector sees attention, the wording of
the prompts and of the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bye_lint.results import DetectionSummary

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.integer]
PixelArray = npt.NDArray[np.uint8]
TextArray = npt.NDArray[np.str_]

#: Rows and columns of the thumbnails in ``Features.picture``.
PICTURE_SIDE = 32


@dataclass(frozen=True)
class Features:
    """Attention of the first decoding token (last prompt position), one row a sample.

    Attributes
    ----------
    entropy : (n_samples, n_layers) array
        Entropy in nats of the head-averaged attention, renormalised over the image tokens
        (BYE, Eq. 4 and 5). A row of NaN is a sample that could not be scored.
    head_entropy : (n_samples, n_layers, n_heads) array
        The same for each head by itself.
    head_mass : (n_samples, n_layers, n_heads, 3) array
        Attention mass on system, vision and user-text tokens (TCAP, component profiling).
    image_tokens : (n_samples,) integer array
        Number of image tokens T of each sample.
    prompts, answers : sequences of str
        Wording of the first user turn and of the first answer.
    canary : sequence of str
        Kind of the planted trigger for copies that carry a canary; empty string for real records.
    canary_kinds : sequence of str
        Kinds that were to be planted, those that no image could carry too.
    hidden : (n_samples, width) array or None
        Last hidden state of the first decoding token.
    picture : (n_samples, PICTURE_SIDE, PICTURE_SIDE, 3) uint8 array or None
        Each sample's first image in small, for telling which look alike; black for unscored rows.
    loss : (n_samples, n_checkpoints) array or None
        Mean negative log-likelihood of the answer at checkpoints of the fine-tuning.
    target_learned : (n_samples,) array or None
        For canaries: the model prefers the planted target (teacher forced); NaN elsewhere.
    """

    entropy: FloatArray
    head_entropy: FloatArray
    head_mass: FloatArray
    image_tokens: IntArray
    prompts: Sequence[str]
    answers: Sequence[str]
    canary: Sequence[str] = ()
    canary_kinds: Sequence[str] = ()
    hidden: FloatArray | None = None
    picture: PixelArray | None = None
    loss: FloatArray | None = None
    target_learned: FloatArray | None = None

    def __len__(self) -> int:
        return int(self.entropy.shape[0])

    @property
    def scored(self) -> BoolArray:
        """(n_samples,) bool: rows whose entropies are all finite."""
        return np.asarray(np.isfinite(self.entropy).all(axis=1))

    @property
    def is_canary(self) -> BoolArray:
        """(n_samples,) bool: rows that are planted copies, never findings."""
        if not self.canary:
            return np.zeros(len(self), dtype=np.bool_)
        return np.array([bool(kind) for kind in self.canary], dtype=np.bool_)

    def select(self, rows: BoolArray | IntArray) -> Features:
        """Return the features of some rows, in the order given."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        order: list[int] = index.tolist()
        return replace(
            self,
            entropy=self.entropy[index],
            head_entropy=self.head_entropy[index],
            head_mass=self.head_mass[index],
            image_tokens=self.image_tokens[index],
            prompts=[self.prompts[i] for i in order],
            answers=[self.answers[i] for i in order],
            canary=[self.canary[i] for i in order] if self.canary else (),
            hidden=None if self.hidden is None else self.hidden[index],
            picture=None if self.picture is None else self.picture[index],
            loss=None if self.loss is None else self.loss[index],
            target_learned=None if self.target_learned is None else self.target_learned[index],
        )


@dataclass(frozen=True)
class Detection:
    """A detector's answer: one row a sample, in the order of :class:`Features`.

    Attributes
    ----------
    score : (n_samples,) array
        Larger is more suspicious; NaN where a sample was not scored.
    posterior : (n_samples,) array
        Probability of belonging to the suspicious component, in [0, 1]; NaN where not scored.
    suspicious : (n_samples,) bool array
    summary : DetectionSummary
    inconclusive : str
        Why nothing can be said, or an empty string.
    by_answer : (n_samples,) bool array or None
        Suspects that attention does not tell, accused for giving the answer of others.
    """

    score: FloatArray
    posterior: FloatArray
    suspicious: BoolArray
    summary: DetectionSummary
    inconclusive: str = ""
    by_answer: BoolArray | None = None

    def select(self, rows: IntArray) -> Detection:
        """Return the answers for some samples, in the order given."""
        return replace(
            self,
            score=self.score[rows],
            posterior=self.posterior[rows],
            suspicious=self.suspicious[rows],
            by_answer=None if self.by_answer is None else self.by_answer[rows],
        )


#: Unit of entropies where every sample has the same number of image tokens.
NATS = "nats"


def comparable(features: Features) -> tuple[Features, str]:
    """Return features whose entropies can be compared between samples, and their unit.

    Where every scored sample has the same number T of image tokens the entropies stay in nats.
    Where T varies, the entropy of a uniform map is log T and grows with T by itself, so each
    sample's entropies, of layers and of heads, are divided by log T.

    Returns
    -------
    features : Features
    unit : str
        ``nats`` or ``fraction of log T``.
    """
    tokens = features.image_tokens[features.scored]
    if tokens.size == 0 or (tokens == tokens[0]).all():
        return features, NATS
    largest = np.log(np.maximum(features.image_tokens, 2).astype(np.float64))
    heads = features.head_entropy
    return replace(
        features,
        entropy=features.entropy / largest[:, None],
        head_entropy=heads / largest[:, None, None] if heads.ndim == 3 else heads,
    ), "fraction of log T"
