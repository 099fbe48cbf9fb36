"""Method ``tcap``: heads whose attention to system tokens splits the samples vote.

Liu et al., "TCAP: Tri-Component Attention Profiling" (arXiv 2601.21692). Per head: min-max
normalised system mass, mixtures of 1 to 5 components by AIC, components split by weight into
a background and a target group, separation score; the best heads of the last layers vote and
Dawid-Skene EM weighs them. Like the published rule it has no one-component alternative for
the whole, so it can accuse clean data.

Hyperparameters, set from the model's depth where the paper tunes them per model: the last half
of the layers, an eighth of their heads (at least 3), a vote from a posterior of 0.5.
"""

from __future__ import annotations

import numpy as np

from bye_lint.detectors.answer import nothing, scatter, scored_rows
from bye_lint.features import BoolArray, Detection, Features, FloatArray
from bye_lint.mixtures import fit_mixtures, histograms, log_densities
from bye_lint.policy import DetectionPolicy
from bye_lint.results import DetectionSummary, HeadProfile
from bye_lint.robust import logistic

MOST_COMPONENTS = 5
VOTE = 0.5
_EPSILON = 1e-3
_LEAST_WEIGHT = 0.005
_GRID = 512
_STEPS = 100


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Let the sensitive heads vote; the score is the probability that Dawid-Skene gives."""
    rows = scored_rows(features)
    summary = DetectionSummary(method="tcap", score_name="probability by the heads' votes")
    mass = features.head_mass
    if mass.ndim != 4 or not mass.size:
        return nothing(features, summary, "the features hold no attention mass by component")
    if len(rows) < 2 * MOST_COMPONENTS:
        return nothing(features, summary, f"{len(rows)} scored samples are too few for mixtures")
    _, n_layers, n_heads = mass.shape[:3]
    first = n_layers // 2
    system = np.asarray(mass[rows][:, first:, :, 0], dtype=np.float64).reshape(len(rows), -1)
    low, high = system.min(axis=0), system.max(axis=0)
    usable = np.flatnonzero(np.isfinite(system).all(axis=0) & (high - low > 1e-9))
    if not len(usable):
        return nothing(features, summary, "no head's attention to the system tokens varies")
    alpha = (system[:, usable] - low[usable]) / (high - low)[usable]
    separations, posterior = head_profiles(alpha)
    wanted = max(3, round(system.shape[1] / 8))
    chosen = np.argsort(-separations, kind="stable")[:wanted]
    chosen = chosen[separations[chosen] > 0]
    parameters = {
        "layers": f"{first} to {n_layers - 1}",
        "heads": str(wanted),
        "vote": f"{VOTE:g}",
        "components": f"1 to {MOST_COMPONENTS}",
    }
    if not len(chosen):
        summary = DetectionSummary(
            method="tcap", parameters=parameters, notes=("every head has one component",)
        )
        return nothing(features, summary)
    votes = posterior[:, chosen] > VOTE
    p, reliability = dawid_skene(votes)
    suspicious = p > 0.5
    places = [divmod(int(usable[i]), n_heads) for i in chosen]
    summary = DetectionSummary(
        method="tcap",
        parameters=parameters,
        heads=tuple(
            HeadProfile(first + layer, head, "system mass", float(weight))
            for (layer, head), weight in zip(places, reliability, strict=True)
        ),
        score_name="probability by the heads' votes",
        threshold=0.5,
    )
    n = len(features)
    return Detection(
        score=scatter(p, rows, n, np.nan),
        posterior=scatter(p, rows, n, np.nan),
        suspicious=scatter(suspicious, rows, n, False),
        summary=summary,
    )


def head_profiles(alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return separation scores (n_heads,) and posteriors of the target group (n, n_heads).

    Parameters
    ----------
    alpha : (n_samples, n_heads) array
        System mass, min-max normalised to [0, 1].
    """
    data = histograms(alpha)
    fits = [fit_mixtures(data, k, max_iter=100) for k in range(1, MOST_COMPONENTS + 1)]
    best = np.argmin([fit.aic for fit in fits], axis=0)
    separations = np.zeros(alpha.shape[1])
    posterior = np.zeros(alpha.shape)
    grid = np.linspace(-0.1, 1.1, _GRID)
    for k, fit in enumerate(fits[1:], start=1):
        for head in np.flatnonzero(best == k):
            one = fit.column(int(head))
            target = _minority(one.weights[0])
            if one.weights[0][target].sum() < _LEAST_WEIGHT:
                continue
            density = np.exp(log_densities(grid[None], one))[0]
            shared = np.minimum(density[:, target].sum(axis=1), density[:, ~target].sum(axis=1))
            overlap = float(shared.sum() * (grid[1] - grid[0]))
            separations[head] = 1 / (overlap + _EPSILON)
            log_p = log_densities(alpha[:, head][None], one)[0]
            p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
            posterior[:, head] = p[:, target].sum(axis=1) / p.sum(axis=1)
    return separations, posterior


def dawid_skene(votes: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Estimate the truth behind binary votes (Dawid and Skene, 1979).

    Parameters
    ----------
    votes : (n_samples, n_heads) bool array

    Returns
    -------
    p : (n_samples,) array
        Probability of being suspicious.
    reliability : (n_heads,) array
        Sensitivity plus specificity minus one: 1 for a perfect head, 0 for one that guesses.
    """
    v = np.asarray(votes, dtype=np.float64)
    p = v.mean(axis=1)
    for _ in range(_STEPS):
        # Add-one smoothing keeps a head that never errs from silencing all others.
        hit = (p @ v + 1) / (p.sum() + 2)
        false = ((1 - p) @ v + 1) / ((1 - p).sum() + 2)
        prior = np.clip(p.mean(), 1e-6, 1 - 1e-6)
        log_odds = np.log(prior / (1 - prior)) + v @ np.log(hit / false)
        log_odds = log_odds + (1 - v) @ np.log((1 - hit) / (1 - false))
        new = logistic(log_odds, 500)
        done = np.abs(new - p).max() < 1e-8
        p = new
        if done:
            break
    return p, hit - false


def _minority(weights: FloatArray) -> BoolArray:
    """Return which components are the target group: all but the heaviest that hold half."""
    order = np.argsort(-weights, kind="stable")
    held = np.cumsum(weights[order]) - weights[order]
    target = np.zeros(len(weights), dtype=np.bool_)
    target[order] = held >= 0.5
    return target
