"""How long the statistics take at scale: ``python -m benchmarks.statistics``.

A million samples of 32 layers through two-component mixtures, and 32 x 32 heads of some
thousand samples through the mixtures of one to five components that TCAP asks for; each beside
scikit-learn on a part of it, with the largest difference of the fitted means.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
import numpy.typing as npt
from sklearn.mixture import GaussianMixture

from bye_lint.detectors.tcap import head_profiles
from bye_lint.mixtures import fit_mixtures, histograms


def entropies(n: int, layers: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return made-up entropies, a tenth of the samples lower in some of the layers."""
    rng = np.random.default_rng(seed)
    out = rng.standard_normal((n, layers), dtype=np.float32)
    out *= np.float32(0.2)
    out += np.linspace(3, 5, layers, dtype=np.float32)
    out[: n // 10, ::4] -= np.float32(1.5)
    return out


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
    print(f"peak memory: {peak_gigabytes():.2f} GB")


if __name__ == "__main__":
    main()
