"""The paper: three stages, each a pure function on arrays.

Rong et al., "Backdoor Cleaning without External Guidance in MLLM Fine-tuning" (BYE,
arXiv 2505.16916): attention entropy (Eq. 4 and 5), bimodal profiling of the layers
(Eq. 6 and 7), clustering of the samples (Eq. 8). Where paper and released code differ, the
released code is the default and the paper's form an option.

What the released code leaves open has a defined answer here, said in ``note``: no sensitive
layer is an ordinary value, a sample with a missing entropy is not scored instead of being
filled in, a layer that no mixture can be fitted to is not sensitive.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from bye_lint.errors import UsageError
from bye_lint.features import BoolArray, FloatArray
from bye_lint.results import LayerProfile

#: The two readings of the Bimodal Separation Index (Eq. 7).
BSI_FORMS = ("released", "paper")


@dataclass(frozen=True)
class LayerProfiles:
    """Which layers separate the samples into two populations (BYE, Eq. 6 and 7).

    Attributes
    ----------
    layers : tuple of LayerProfile
        One a layer, from the input to the output.
    bsi, threshold : str, float
        The rule that chose the sensitive ones.
    """

    layers: tuple[LayerProfile, ...]
    bsi: str
    threshold: float

    @property
    def sensitive(self) -> tuple[int, ...]:
        """Numbers of the sensitive layers, in ascending order."""
        return tuple(profile.layer for profile in self.layers if profile.sensitive)


@dataclass(frozen=True)
class Clusters:
    """The samples in two clusters by their mean entropy over the sensitive layers (Eq. 8).

    Attributes
    ----------
    mean_entropy : (n_samples,) array
        Mean entropy over the sensitive layers in nats; NaN where a sample was not scored or no
        layer is sensitive.
    posterior : (n_samples,) array
        Probability of the component of lower mean; NaN where a sample was not scored, 0
        everywhere where no layer is sensitive.
    suspicious : (n_samples,) bool array
        Samples assigned to the component of lower mean.
    note : str
        Why there are no clusters, or an empty string.
    """

    mean_entropy: FloatArray
    posterior: FloatArray
    suspicious: BoolArray
    note: str = ""


def attention_entropy(attention: npt.ArrayLike, *, eps: float = 1e-8) -> FloatArray:
    """Entropy of the attention to the image tokens (BYE, Eq. 5).

    The attention is renormalised over the image tokens first, as in the released code. A check
    computes the same beside the model, batched and on its device (``models.probe``), before a map
    of any layer would have to leave it; this is the definition that it is held to.

    Parameters
    ----------
    attention : (layers, image_tokens) array
        Head-averaged attention of the first decoding token (Eq. 4). Further leading axes,
        such as samples or heads, are carried through.
    eps : float
        Added inside the logarithm.

    Returns
    -------
    (layers,) array
        Nats; NaN where a layer gives no attention to the image or any of it is not finite.

    Raises
    ------
    ValueError
        If there is no axis of image tokens, no image token, or a negative attention.
    """
    a = np.asarray(attention)
    a = a.astype(np.float64) if a.dtype.kind != "f" or a.dtype.itemsize < 4 else a
    if a.ndim == 0 or a.shape[-1] == 0:
        raise ValueError(
            f"expected attention of shape (layers, image_tokens), got {a.shape}: "
            "pass the attention over at least one image token"
        )
    if (a < 0).any():
        raise ValueError("expected attention >= 0, got a negative value: pass it after softmax")
    total = a.sum(axis=-1, keepdims=True)
    usable = np.isfinite(total) & (total > 0)
    p = np.divide(a, total, out=np.full_like(a, np.nan), where=usable)
    return np.asarray(-(p * np.log(p + eps)).sum(axis=-1))


def profile_layers(
    H: npt.ArrayLike, bsi: str = "released", threshold: float = 2.0, seed: int = 0
) -> LayerProfiles:
    """Fit two components to each layer and say which layers are sensitive (BYE, Eq. 6 and 7).

    Parameters
    ----------
    H : (n_samples, n_layers) array
        Entropies in nats. Samples with an entropy that is not finite are left out; a layer
        without a single finite entropy is left out instead of all samples.
    bsi : str
        ``released``: sensitive if ``|mu1 - mu2| > threshold * (sigma1 + sigma2)``;
        ``paper``: sensitive if ``|mu1 - mu2| / sqrt(sigma1**2 + sigma2**2) >= threshold``.
    threshold : float
    seed : int
        Seed of the mixtures' initialisation.

    Returns
    -------
    LayerProfiles

    Raises
    ------
    UsageError
        If the form of the index is unknown.
    ValueError
        If ``H`` is not a matrix.
    """
    if bsi not in BSI_FORMS:
        raise UsageError(f"unknown BSI form {bsi!r}", f"Known forms: {', '.join(BSI_FORMS)}.")
    H = _matrix(H)
    measured, scored = _finite(H)
    left_out = int(len(scored) - scored.sum())
    remark = f"{left_out} of {len(scored)} samples not scored" if left_out else ""
    layers = []
    for layer in range(H.shape[1]):
        if not measured[layer]:
            layers.append(_unfitted(layer, "no finite entropy"))
            continue
        column = H[scored, layer]
        if len(column) < 2:
            layers.append(_unfitted(layer, f"{len(column)} scored samples, 2 are needed"))
            continue
        if column.min() == column.max():
            layers.append(_unfitted(layer, "constant entropy: one population"))
            continue
        mixture, doubt = _two_components(column, seed)
        (low, high), (s_low, s_high), weights = _ordered(mixture)
        gap = high - low
        if bsi == "released":
            index, sensitive = gap / (s_low + s_high), gap > threshold * (s_low + s_high)
        else:
            index = gap / np.sqrt(s_low**2 + s_high**2)
            sensitive = index >= threshold
        layers.append(
            LayerProfile(
                layer=layer,
                means=(low, high),
                stds=(s_low, s_high),
                weights=weights,
                bsi=float(index),
                sensitive=bool(sensitive),
                note="; ".join(filter(None, (remark, doubt))),
            )
        )
    return LayerProfiles(tuple(layers), bsi, threshold)


def cluster_samples(H: npt.ArrayLike, profiles: LayerProfiles, seed: int = 0) -> Clusters:
    """Split the samples by their mean entropy over the sensitive layers (BYE, Eq. 8).

    Parameters
    ----------
    H : (n_samples, n_layers) array
        The entropies that were profiled.
    profiles : LayerProfiles
    seed : int
        Seed of the mixture's initialisation.

    Returns
    -------
    Clusters
        Nothing is suspicious where no layer is sensitive.

    Raises
    ------
    ValueError
        If ``H`` is not a matrix of as many layers as were profiled.
    """
    H = _matrix(H)
    if H.shape[1] != len(profiles.layers):
        raise ValueError(
            f"expected {len(profiles.layers)} layers, got {H.shape[1]}: "
            "pass the matrix that was profiled"
        )
    measured, scored = _finite(H)
    n = len(H)
    mean = np.full(n, np.nan)
    posterior = np.where(scored, 0.0, np.nan)
    suspicious = np.zeros(n, dtype=np.bool_)
    sensitive = [layer for layer in profiles.sensitive if measured[layer]]
    if not sensitive:
        return Clusters(mean, posterior, suspicious, "no sensitive layer")
    averages = H[scored][:, sensitive].mean(axis=1)
    mean[scored] = averages
    if len(averages) < 2 or averages.min() == averages.max():
        return Clusters(mean, posterior, suspicious, "too few samples, or all alike")
    mixture, doubt = _two_components(averages, seed)
    lower = int(np.argmin(mixture.means_.ravel()))
    probabilities = mixture.predict_proba(averages.reshape(-1, 1))
    posterior[scored] = probabilities[:, lower]
    suspicious[scored] = probabilities.argmax(axis=1) == lower
    return Clusters(mean, posterior, suspicious, doubt)


def _matrix(H: npt.ArrayLike) -> FloatArray:
    """Return a float matrix; float32 stays as it is, like in the released code."""
    H = np.asarray(H)
    if H.ndim != 2:
        raise ValueError(f"expected (samples, layers), got {H.shape}: pass one row a sample")
    return H if H.dtype in (np.float32, np.float64) else H.astype(np.float64)


def _finite(H: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Return (layers,) with any finite entropy, and (samples,) finite in all of those."""
    finite = np.isfinite(H)
    measured = finite.any(axis=0)
    scored = finite[:, measured].all(axis=1) & bool(measured.any())
    return np.asarray(measured), np.asarray(scored)


def _unfitted(layer: int, note: str) -> LayerProfile:
    return LayerProfile(layer, (), (), (), 0.0, False, note)


def _two_components(values: FloatArray, seed: int) -> tuple[Any, str]:
    """Fit scikit-learn's mixture with its defaults; say aloud what it would have warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mixture = GaussianMixture(n_components=2, random_state=seed).fit(values.reshape(-1, 1))
    doubtful = any(issubclass(w.category, ConvergenceWarning) for w in caught)
    return mixture, "mixture did not converge" if doubtful else ""


def _ordered(
    mixture: Any,
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    """Return means, standard deviations and weights, the component of lower mean first."""
    means = mixture.means_.ravel()
    stds = np.sqrt(mixture.covariances_.ravel())
    low, high = (0, 1) if means[0] <= means[1] else (1, 0)
    pick = [(float(v[low]), float(v[high])) for v in (means, stds, mixture.weights_)]
    return pick[0], pick[1], pick[2]
