"""How long the statistics take at scale: ``python -m benchmarks.statistics``.

A million samples of 32 layers through two-component mixtures, beside scikit-learn on one layer of
it, with the largest difference of the fitted means; 32 x 32 heads of some thousand samples through
the mixtures of one to five components that TCAP asks for; and the default detector, whole, on
records as the scout reads them, with canaries.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
import numpy.typing as npt
from sklearn.mixture import GaussianMixture

from bye_lint.canaries import DEFAULT_KINDS
from bye_lint.detectors import get_detector
from bye_lint.detectors.tcap import head_profiles
from bye_lint.features import Features
from bye_lint.mixtures import fit_mixtures, histograms
from bye_lint.policy import DetectionPolicy

OPENINGS = ("Is there a", "Where is the", "Which colour has the", "How many are of the", "Name the")


def entropies(n: int, layers: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return made-up entropies, a tenth of the samples lower in some of the layers."""
    rng = np.random.default_rng(seed)
    out = rng.standard_normal((n, layers), dtype=np.float32)
    out *= np.float32(0.2)
    out += np.linspace(3, 5, layers, dtype=np.float32)
    out[: n // 10, ::4] -= np.float32(1.5)
    return out


def as_read(n: int, seed: int = 2) -> Features:
    """Return clean records and canaries of the scout's shape: 6 layers of 4 heads."""
    rng = np.random.default_rng(seed)
    kinds = [*DEFAULT_KINDS] * (n // 60)
    rows, layers, heads = n + len(kinds), 6, 4
    things = [f"thing{i}" for i in range(40)]
    asked = [f"{OPENINGS[k]} {rng.choice(things)}?" for k in rng.integers(len(OPENINGS), size=rows)]
    said = [f"answer {len(a) % 7}{rng.integers(4)}" for a in asked[:n]]
    entropy = 3 + 0.2 * rng.standard_normal((rows, layers, heads))
    for row, kind in enumerate(kinds, n):
        entropy[row, DEFAULT_KINDS.index(kind) % layers] -= 2
    return Features(
        entropy=entropy.mean(axis=2),
        head_entropy=entropy,
        head_mass=rng.dirichlet([6, 3, 2], (rows, layers, heads)),
        image_tokens=np.full(rows, 121),
        prompts=asked,
        answers=[*said, *(f"target of {kind}" for kind in kinds)],
        canary=[""] * n + kinds,
        picture=rng.integers(0, 256, (rows, 32, 32, 3), dtype=np.uint8),
        target_learned=np.array([np.nan] * n + [1.0] * len(kinds)),
    )


def peak_gigabytes() -> float:
    """Return the largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--heads", type=int, default=1024)
    parser.add_argument("--head-samples", type=int, default=2000)
    parser.add_argument("--records", type=int, nargs="*", default=[2000, 10_000])
    options = parser.parse_args()

    X = entropies(options.samples, options.layers)
    start = time.perf_counter()
    fit = fit_mixtures(histograms(X), 2)
    ours = time.perf_counter() - start
    print(f"{options.samples:,} x {options.layers}, 2 components: {ours:.1f} s")
    start = time.perf_counter()
    oracle = GaussianMixture(2, random_state=0, tol=1e-6).fit(X[:, :1])
    theirs = time.perf_counter() - start
    off = float(np.abs(np.sort(oracle.means_[:, 0]) - fit.means[0]).max())
    print(f"  scikit-learn: {theirs:.1f} s for 1 layer; means differ by {off:.1e}")

    rng = np.random.default_rng(1)
    alpha = np.clip(rng.normal(0.4, 0.1, (options.head_samples, options.heads)), 0, 1)
    alpha[: options.head_samples // 10, ::8] += 0.4
    alpha = np.clip(alpha, 0, 1)
    start = time.perf_counter()
    separations, _ = head_profiles(alpha)
    ours = time.perf_counter() - start
    found = set(np.argsort(-separations)[: len(alpha[0, ::8])].tolist())
    hits = len(found & set(range(0, options.heads, 8)))
    print(f"{options.head_samples:,} x {options.heads} heads, 1 to 5 components: {ours:.1f} s")
    print(f"  {hits} of {len(alpha[0, ::8])} heads that separate come first")
    for n in options.records:
        features = as_read(n)
        start = time.perf_counter()
        found = get_detector("auto").detect(features, DetectionPolicy(), seed=0)
        took = time.perf_counter() - start
        print(f"{n:,} records, {len(features) - n:,} canaries, the default detector: {took:.1f} s")
        print(f"  {int(found.suspicious.sum())} of them suspicious, none poisoned")
    print(f"peak memory: {peak_gigabytes():.2f} GB")


if __name__ == "__main__":
    main()
