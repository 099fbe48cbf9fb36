"""One-dimensional Gaussian mixtures for many columns at once, on histograms.

A column of a million samples is reduced to some thousand bins, each with its count, mean and
mean square, so that an EM step costs the bins and not the samples, and as many columns as the
processor's cache holds step together. The bins' own moments enter the maximisation, so only the
responsibilities are constant within a bin. Checked against scikit-learn's ``GaussianMixture`` in
the tests; the published rule itself (:mod:`bye_lint.stages`) uses scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bye_lint.features import FloatArray, IntArray

_BINS = 2048
_CHUNK = 1 << 18
_CACHED = 1 << 16  # responsibilities of a step, half a MiB


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
    """The filled bins of d columns, each column's padded at the end with empty ones.

    Attributes
    ----------
    counts, means, squares : (d, bins) arrays
        Samples in a bin, and their mean and mean square about the column's centre.
    places : (d, bins) array
        Where the bin lies between the column's least and largest value, from 0 to 1.
    centres : (d,) array
        The mean of a column, which keeps squares of large values from cancelling.
    """

    counts: FloatArray
    means: FloatArray
    squares: FloatArray
    places: FloatArray
    centres: FloatArray

    def rows(self, which: slice | IntArray) -> Histograms:
        """Return some of the columns."""
        return Histograms(*(np.asarray(values)[which] for values in vars(self).values()))


def histograms(X: FloatArray, bins: int = _BINS) -> Histograms:
    """Reduce columns to histograms between their least and largest value.

    Parameters
    ----------
    X : (n_samples, d) array
        Finite.
    bins : int
        Of equal width. Empty ones are left out.
    """
    n, d = X.shape
    counts, sums, squares = np.zeros((3, d, bins))
    centres = np.zeros(d)
    for j in range(d):
        low, high = float(X[:, j].min()), float(X[:, j].max())
        centres[j] = X[:, j].mean(dtype=np.float64)
        scale = (bins - 1e-6) / max(high - low, 1e-300)
        for start in range(0, n, _CHUNK):
            x = X[start : start + _CHUNK, j].astype(np.float64)
            place = np.minimum(((x - low) * scale).astype(np.intp), bins - 1)
            x -= centres[j]
            counts[j] += np.bincount(place, minlength=bins)
            sums[j] += np.bincount(place, weights=x, minlength=bins)
            squares[j] += np.bincount(place, weights=x * x, minlength=bins)
    places = np.broadcast_to((np.arange(bins) + 0.5) / bins, counts.shape)
    empty = counts == 0
    order = np.argsort(empty, axis=1, kind="stable")[:, : int((~empty).sum(axis=1).max())]
    counts, sums, squares, places = (
        np.take_along_axis(values, order, axis=1) for values in (counts, sums, squares, places)
    )
    filled = np.maximum(counts, 1)
    return Histograms(counts, sums / filled, squares / filled, places, centres)


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
    d, bins = data.counts.shape
    block = max(1, _CACHED // (bins * k))
    parts = [
        _best(data.rows(slice(start, start + block)), k, max_iter, tol, reg_covar)
        for start in range(0, d, block)
    ]
    weights, means, stds, likelihood = (
        np.concatenate(values) for values in zip(*parts, strict=True)
    )
    order = np.argsort(means, axis=1, kind="stable")
    weights, means, stds = (np.take_along_axis(a, order, axis=1) for a in (weights, means, stds))
    means = means + data.centres[:, None]
    return Mixtures(weights, means, stds, likelihood, 2 * (3 * k - 1) - 2 * likelihood)


def log_densities(x: FloatArray, mixtures: Mixtures) -> FloatArray:
    """Return weighted log densities of the components, (d, n_points, k), at (d, n_points)."""
    z = (x[..., None] - mixtures.means[:, None]) / mixtures.stds[:, None]
    scale = np.log(np.maximum(mixtures.weights, 1e-300)) - np.log(mixtures.stds)
    return np.asarray(scale[:, None] - 0.5 * np.log(2 * np.pi) - z**2 / 2)


def _best(
    data: Histograms, k: int, max_iter: int, tol: float, reg_covar: float
) -> tuple[FloatArray, ...]:
    """Return weights, means, stds (d, k) and log-likelihood (d,) from each column's best start."""
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
    return best


def _starts(k: int) -> list[tuple[str, FloatArray]]:
    """Return where the samples, or the range, are cut into k parts."""
    equal = np.arange(1, k) / k
    if k == 1:
        return [("samples", equal)]
    upper, lower = 1 - 0.1 * np.arange(k - 1, 0, -1) / (k - 1), 0.1 * np.arange(1, k) / (k - 1)
    return [("samples", equal), ("range", equal), ("samples", upper), ("samples", lower)]


def _hard(data: Histograms, start: tuple[str, FloatArray]) -> FloatArray:
    """Return responsibilities (d, k, bins) of parts that do not overlap."""
    kind, cuts = start
    share = np.cumsum(data.counts, axis=1) - data.counts / 2
    share = share / np.maximum(data.counts.sum(axis=1, keepdims=True), 1)
    position = data.places if kind == "range" else share
    part = (position[:, None] > cuts[:, None]).sum(axis=1, keepdims=True)
    return np.asarray(part == np.arange(len(cuts) + 1)[:, None], dtype=np.float64)


def _em(
    data: Histograms, responsibility: FloatArray, max_iter: int, tol: float, reg_covar: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return weights, means about the centre, stds (d, k) and log-likelihood (d,)."""
    total = np.maximum(data.counts.sum(axis=1), 1)
    moments = data.counts[:, None] * np.stack(
        [np.ones_like(data.means), data.means, data.squares], axis=1
    )
    weights, means, stds = _maximise(moments, responsibility, total, reg_covar)
    likelihood = np.zeros(len(total))
    before = np.full(len(total), -np.inf)
    active = np.arange(len(total))
    x = data.means
    for _ in range(max_iter):
        log_sum, soft = _expect(x, weights[active], means[active], stds[active])
        likelihood[active] = (moments[:, 0] * log_sum).sum(axis=1)
        going = (likelihood[active] - before[active]) / total[active] > tol
        before[active] = likelihood[active]
        if not going.any():
            break
        if not going.all():
            active, x, moments, soft = active[going], x[going], moments[going], soft[going]
        weights[active], means[active], stds[active] = _maximise(
            moments, soft, total[active], reg_covar
        )
    return weights, means, stds, likelihood


def _expect(
    x: FloatArray, weights: FloatArray, means: FloatArray, stds: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return log densities (d, bins) and responsibilities (d, k, bins) at points (d, bins)."""
    p = x[:, None] - means[..., None]
    p /= stds[..., None]
    p *= p
    p *= -0.5
    p += (np.log(np.maximum(weights, 1e-300)) - np.log(stds))[..., None]
    peak = p.max(axis=1)
    p -= peak[:, None]
    np.exp(p, out=p)
    total = p.sum(axis=1)
    p /= total[:, None]
    return peak + np.log(total) - 0.5 * np.log(2 * np.pi), p


def _maximise(
    moments: FloatArray, responsibility: FloatArray, total: FloatArray, reg_covar: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return weights, means and stds (d, k) from counts, sums and sums of squares (d, 3, bins)."""
    size, sums, squares = np.moveaxis(moments @ responsibility.swapaxes(1, 2), 1, 0)
    size = size + 1e-10
    means = sums / size
    stds = np.sqrt(np.maximum(squares / size - means**2, 0) + reg_covar)
    return size / total[:, None], means, stds
