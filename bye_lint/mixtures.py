"""One-dimensional Gaussian mixtures for many columns at once, on histograms.

A column of a million samples is reduced to some thousand bins, each with its count, mean and
mean square, so that an EM step costs the bins and not the samples, and all columns step
together. The bins' own moments enter the maximisation, so only the responsibilities are
constant within a bin. Checked against scikit-learn's ``GaussianMixture`` in the tests; the
published rule itself (:mod:`bye_lint.stages`) uses scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bye_lint.features import FloatArray

_BINS = 2048
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Mixtures:
    """A mixture of k components for each of d columns, components by ascending mean.

    Attributes
    ----------
    weights, means, stds : (d, k) arrays
    log_likelihood : (d,) array
        Of all samples of a column, up to the width of a bin.
    aic : (d,) array
        Akaike's criterion with ``3 k - 1`` parameters.
    """

    weights: FloatArray
    means: FloatArray
    stds: FloatArray
    log_likelihood: FloatArray
    aic: FloatArray

    def column(self, j: int) -> Mixtures:
        """Return the mixture of one column, d = 1."""
        return Mixtures(*(np.asarray(values)[j : j + 1] for values in vars(self).values()))


@dataclass(frozen=True)
class Histograms:
    """Counts, means and mean squares of the bins of d columns, (d, bins) each."""

    counts: FloatArray
    means: FloatArray
    squares: FloatArray


def histograms(X: FloatArray, bins: int = _BINS) -> Histograms:
    """Reduce columns to histograms between their least and largest value.

    Parameters
    ----------
    X : (n_samples, d) array
        Finite.
    bins : int
    """
    n, d = X.shape
    counts, sums, squares = np.zeros((3, d, bins))
    for j in range(d):
        low, high = float(X[:, j].min()), float(X[:, j].max())
        scale = (bins - 1e-6) / max(high - low, 1e-300)
        for start in range(0, n, _CHUNK):
            x = X[start : start + _CHUNK, j].astype(np.float64)
            place = np.minimum(((x - low) * scale).astype(np.intp), bins - 1)
            counts[j] += np.bincount(place, minlength=bins)
            sums[j] += np.bincount(place, weights=x, minlength=bins)
            squares[j] += np.bincount(place, weights=x * x, minlength=bins)
    filled = np.maximum(counts, 1)
    return Histograms(counts, sums / filled, squares / filled)


def fit_mixtures(
    data: Histograms, k: int, *, max_iter: int = 200, tol: float = 1e-6, reg_covar: float = 1e-6
) -> Mixtures:
    """Fit k components to every column by expectation maximisation.

    Starts from equal parts of the samples, from equal parts of the range and from the tails,
    and keeps the best for each column.

    Parameters
    ----------
    data : Histograms
    k : int
    max_iter : int
        EM steps from each start.
    tol : float
        A column has converged when a step gains less log-likelihood per sample.
    reg_covar : float
        Added to every variance, as in scikit-learn.

    Raises
    ------
    ValueError
        If fewer than one component is asked for.
    """
    if k < 1:
        raise ValueError(f"expected at least one component, got {k}")
    best: tuple[FloatArray, ...] | None = None
    for cuts in _starts(k):
        found = _em(data, _hard(data, cuts), max_iter, tol, reg_covar)
        if best is None:
            best = found
            continue
        better = found[3] > best[3]
        best = tuple(
            np.where(better if old.ndim == 1 else better[:, None], new, old)
            for new, old in zip(found, best, strict=True)
        )
    assert best is not None  # noqa: S101  there is always a start
    weights, means, stds, likelihood = best
    order = np.argsort(means, axis=1, kind="stable")
    weights, means, stds = (np.take_along_axis(a, order, axis=1) for a in (weights, means, stds))
    return Mixtures(weights, means, stds, likelihood, 2 * (3 * k - 1) - 2 * likelihood)


def log_densities(x: FloatArray, mixtures: Mixtures) -> FloatArray:
    """Return weighted log densities of the components, (d, n_points, k), at (d, n_points)."""
    z = (x[..., None] - mixtures.means[:, None]) / mixtures.stds[:, None]
    scale = np.log(np.maximum(mixtures.weights, 1e-300)) - np.log(mixtures.stds)
    return np.asarray(scale[:, None] - 0.5 * np.log(2 * np.pi) - z**2 / 2)


def _starts(k: int) -> list[tuple[str, FloatArray]]:
    """Return where the samples, or the range, are cut into k parts."""
    equal = np.arange(1, k) / k
    if k == 1:
        return [("samples", equal)]
    upper, lower = 1 - 0.1 * np.arange(k - 1, 0, -1) / (k - 1), 0.1 * np.arange(1, k) / (k - 1)
    return [("samples", equal), ("range", equal), ("samples", upper), ("samples", lower)]


def _hard(data: Histograms, start: tuple[str, FloatArray]) -> FloatArray:
    """Return responsibilities (d, bins, k) of parts that do not overlap."""
    kind, cuts = start
    share = np.cumsum(data.counts, axis=1) - data.counts / 2
    share = share / np.maximum(data.counts.sum(axis=1, keepdims=True), 1)
    if kind == "range":
        bins = data.counts.shape[1]
        share = np.broadcast_to((np.arange(bins) + 0.5) / bins, share.shape)
    part = (share[..., None] > cuts).sum(axis=-1)
    return np.asarray(np.eye(len(cuts) + 1)[part])


def _em(
    data: Histograms, responsibility: FloatArray, max_iter: int, tol: float, reg_covar: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return weights, means, standard deviations (d, k) and log-likelihood (d,)."""
    total = np.maximum(data.counts.sum(axis=1), 1)
    weights, means, stds = _maximise(data, responsibility, total, reg_covar)
    before = np.full(len(total), -np.inf)
    active = np.arange(len(total))
    likelihood = np.zeros(len(total))
    for _ in range(max_iter):
        part = Histograms(data.counts[active], data.means[active], data.squares[active])
        now = Mixtures(weights[active], means[active], stds[active], total, total)
        log_p = log_densities(part.means, now)
        peak = log_p.max(axis=-1, keepdims=True)
        log_sum = peak[..., 0] + np.log(np.exp(log_p - peak).sum(axis=-1))
        likelihood[active] = (part.counts * log_sum).sum(axis=1)
        gain = (likelihood[active] - before[active]) / total[active]
        before[active] = likelihood[active]
        going = gain > tol
        if not going.any():
            break
        rows = active[going]
        part = Histograms(data.counts[rows], data.means[rows], data.squares[rows])
        soft = np.exp(log_p[going] - log_sum[going][..., None])
        weights[rows], means[rows], stds[rows] = _maximise(part, soft, total[rows], reg_covar)
        active = rows
    return weights, means, stds, likelihood


def _maximise(
    data: Histograms, responsibility: FloatArray, total: FloatArray, reg_covar: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    mass = data.counts[..., None] * responsibility
    size = mass.sum(axis=1) + 1e-10
    means = (mass * data.means[..., None]).sum(axis=1) / size
    squares = (mass * data.squares[..., None]).sum(axis=1) / size
    stds = np.sqrt(np.maximum(squares - means**2, 0) + reg_covar)
    return size / total[:, None], means, stds
