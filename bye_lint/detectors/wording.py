"""What the wording of a question predicts of its attention, and what is left over.

The question drives the attention of later layers far more than most triggers do. A ridge
regression on the prompt's words, its length and the number of image tokens predicts each
feature out of fold; detectors work on the residuals. The strength is chosen for each feature
by cross-validation among some ridges *and no regression at all*, so that nothing is added where
wording explains little. The spread is predicted the same way: one kind of question may scatter
more than another without being suspicious.

The answer is not conditioned on: for a poisoned record it is the attacker's target, and a
regression that knows the target explains the poison away.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from bye_lint.features import FloatArray, IntArray
from bye_lint.robust import FOLDS, deviation

_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORDS = 192
_TEMPLATES = 64
_STRENGTHS = (3.0, 30.0, 300.0)
_MIN_GAIN = 0.01
_ROUNDS = 4
_CLIP = 5.0


@dataclass(frozen=True)
class Residuals:
    """Features given the wording.

    Attributes
    ----------
    values : (n_samples, n_features) array
        Standardised: median 0 and robust spread 1 over all samples.
    explained : (n_features,) array
        Share of the (winsorised) variance that wording explains out of fold; 0 where no
        regression was the best.
    """

    values: FloatArray
    explained: FloatArray


def wording_design(prompts: Sequence[str], image_tokens: IntArray) -> sparse.csr_matrix:
    """Return the design matrix of the prompts, (n_samples, n_columns), columns of unit variance.

    Columns: presence of the words that at least 1 % (and 5) of the prompts have, first two
    words, whole prompts that recur, the logarithm of the prompt's length, and of the number of
    image tokens.
    """
    n = len(prompts)
    bags: list[set[str]] = []
    templates: Counter[str] = Counter()
    for prompt in prompts:
        text = prompt.replace("<image>", " ").lower()
        words = _TOKEN.findall(text)
        bags.append({*words, "^" + " ".join(words[:2])})
        templates[text] += 1
    least = max(5, n // 100)
    counts = Counter(word for bag in bags for word in bag)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    columns = {w: i for i, (w, k) in enumerate(ordered) if least <= k <= n - least}
    columns = {w: i for i, w in enumerate(list(columns)[:_WORDS])}
    recurring = [t for t, k in templates.most_common(_TEMPLATES) if least <= k <= n - least]
    place = {t: len(columns) + i for i, t in enumerate(sorted(recurring))}
    rows, cols = [], []
    for i, (bag, prompt) in enumerate(zip(bags, prompts, strict=True)):
        hits = [columns[w] for w in bag if w in columns]
        whole = place.get(prompt.replace("<image>", " ").lower())
        hits += [] if whole is None else [whole]
        rows += [i] * len(hits)
        cols += hits
    p = len(columns) + len(place)
    present = sparse.csr_matrix((np.ones(len(rows)), (rows, cols)), shape=(n, p))
    lengths = np.log1p([[len(prompt), len(prompt.split())] for prompt in prompts])
    numbers = np.column_stack([lengths, np.log(np.maximum(np.asarray(image_tokens), 1))])
    numbers = numbers[:, numbers.std(axis=0) > 1e-9]
    numbers = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    share = np.asarray(present.mean(axis=0)).ravel()
    scaled = present @ sparse.diags(1 / np.sqrt(np.maximum(share * (1 - share), 1e-9)))
    return sparse.csr_matrix(sparse.hstack([scaled, sparse.csr_matrix(numbers)]))


def residuals(values: FloatArray, design: sparse.csr_matrix, *, seed: int) -> Residuals:
    """Return what the wording does not predict, in units of the predicted spread.

    Parameters
    ----------
    values : (n_samples, n_features) array
        Finite.
    design : (n_samples, n_columns) sparse matrix
        From :func:`wording_design`.
    seed : int
        Of the folds.
    """
    n = len(values)
    # No stream of its own: :mod:`.halves` begins with the same draw, so that its first halves part
    # each of these folds evenly; and an evaluation may have drawn its poison from it.
    folds = np.random.default_rng(seed).permutation(n) % min(FOLDS, max(n, 1))
    location, explained = _predict(values, design, folds)
    rest = values - location
    del location
    spread = np.maximum(deviation(rest - np.median(rest, axis=0)), 1e-9)
    size = np.log(np.abs(rest / spread) + 0.1)
    log_scale, _ = _predict(size, design, folds)
    log_scale -= np.median(log_scale, axis=0)
    rest = rest / np.exp(np.clip(log_scale, -1.5, 1.5))
    return Residuals(standardise(rest), explained)


def standardise(values: FloatArray, reference: FloatArray | None = None) -> FloatArray:
    """Return columns with median 0 and robust spread 1; a constant column becomes zeros.

    The spread is the larger of the median absolute deviation and a tenth of the standard
    deviation, so that a nearly discrete feature does not make giants of a few samples.

    Parameters
    ----------
    reference : (n_reference, n_features) array, optional
        Samples whose median and spread are the units, all by default.
    """
    reference = values if reference is None else reference
    median = np.median(reference, axis=0)
    mad = deviation(reference - median)
    scale = np.maximum(mad, 0.1 * reference.std(axis=0))
    out = np.zeros(values.shape)
    return np.asarray(np.divide(values - median, scale, out=out, where=scale > 1e-9))


def _predict(
    values: FloatArray, design: sparse.csr_matrix, folds: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return out-of-fold predictions (n, features) and the share of variance they explain.

    Residuals are winsorised, so that poison neither bends the regression nor decides about its
    strength; again and again, so that a rare question of large effect is still followed.
    """
    parts = [_Fold(design, folds, fold) for fold in np.unique(folds)]
    chosen = np.broadcast_to(np.median(values, axis=0), values.shape)
    for round_ in range(_ROUNDS):
        # At first nothing is clipped: a rare question may move a feature by a hundred spreads.
        y = _winsorised(values, chosen, _CLIP if round_ else np.inf)
        taught = [part.given(y) for part in parts]
        nothing, option, best = (np.zeros(y.shape) for _ in range(3))
        for part, (mean, _) in zip(parts, taught, strict=True):
            nothing[part.test] = mean
        error = _missed(y, nothing)
        least = np.full(len(error), np.inf)
        # One strength after the other: all together are the largest arrays of a check.
        for strength in _STRENGTHS:
            for part, (mean, rotated) in zip(parts, taught, strict=True):
                option[part.test] = part.predict(mean, rotated, strength)
            missed = _missed(y, option)
            better = missed < least
            best[:, better], least[better] = option[:, better], missed[better]
        varies = error > 0
        gain = np.where(varies, 1 - least / np.where(varies, error, 1), 0)
        worth = gain > _MIN_GAIN
        chosen = np.where(worth, best, nothing)
    return chosen, np.where(worth, gain, 0.0)


def _winsorised(values: FloatArray, centre: FloatArray, most: float) -> FloatArray:
    """Return values no farther from a centre than so many spreads."""
    rest = values - centre
    spread = np.maximum(deviation(rest), 0.1 * rest.std(axis=0))
    limit = np.full_like(spread, np.inf) if np.isinf(most) else most * spread
    return np.asarray(centre + np.clip(rest, -limit, limit))


def _missed(y: FloatArray, predicted: FloatArray) -> FloatArray:
    """Return (features,) mean squares of what is not predicted."""
    apart = y - predicted
    return np.asarray(np.square(apart, out=apart).mean(axis=0))


class _Fold:
    """The decomposed design of one fold, for as many right-hand sides as it takes."""

    def __init__(self, design: sparse.csr_matrix, folds: IntArray, fold: int) -> None:
        self.train, self.test = folds != fold, folds == fold
        self._X = design[self.train]
        x_mean = np.asarray(self._X.mean(axis=0)).ravel()
        gram = (self._X.T @ self._X).toarray() - int(self.train.sum()) * np.outer(x_mean, x_mean)
        eigenvalues, self._vectors = np.linalg.eigh(gram)
        self._eigenvalues = np.maximum(eigenvalues, 0)
        self._basis = design[self.test] @ self._vectors - x_mean @ self._vectors

    def given(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean (features,) and what a ridge shrinks, (n_columns, features)."""
        mean = y[self.train].mean(axis=0)
        return mean, self._vectors.T @ (self._X.T @ (y[self.train] - mean))

    def predict(self, mean: FloatArray, rotated: FloatArray, strength: float) -> FloatArray:
        """Return (n_test, features) by a ridge of some strength."""
        shrunk = rotated / (self._eigenvalues + strength)[:, None]
        return np.asarray(mean + self._basis @ shrunk)
