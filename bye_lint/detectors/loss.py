"""Method ``loss``: samples that the fine-tuning learned fastest.

After Li et al., "Anti-Backdoor Learning" (NeurIPS 2021): poisoned samples are learned first. The
published rule's two stages are applied to the logarithm of the answers' loss at the checkpoints
instead of to entropies, in place of a fixed share of the samples.
"""

from __future__ import annotations

import numpy as np

from bye_lint.detectors.answer import nothing, scatter, scored_rows
from bye_lint.features import Detection, Features
from bye_lint.policy import DetectionPolicy
from bye_lint.results import DetectionSummary
from bye_lint.stages import cluster_samples, profile_layers

_NAME = "minus mean log loss over the telling checkpoints"


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Profile the checkpoints and cluster the samples; the lower cluster is suspicious."""
    if features.loss is None:
        summary = DetectionSummary(method="loss", score_name=_NAME)
        return nothing(features, summary, "the features hold no loss: nothing was fine-tuned here")
    rows = scored_rows(features)
    rows = rows[np.isfinite(features.loss[rows]).all(axis=1)]
    if not len(rows):
        summary = DetectionSummary(method="loss", score_name=_NAME)
        return nothing(features, summary, "no sample was scored")
    losses = np.log(np.maximum(np.asarray(features.loss, dtype=np.float64)[rows], 1e-6))
    profiles = profile_layers(losses, settings.bsi, settings.threshold, seed)
    clusters = cluster_samples(losses, profiles, seed)
    flagged = clusters.suspicious
    score = -clusters.mean_entropy
    telling = ", ".join(str(checkpoint) for checkpoint in profiles.sensitive)
    summary = DetectionSummary(
        method="loss",
        parameters={"bsi": settings.bsi, "threshold": f"{settings.threshold:g}"},
        score_name=_NAME,
        threshold=float(score[flagged].min()) if flagged.any() else None,
        side="lower" if flagged.any() else "none",
        notes=(f"telling checkpoints: {telling or 'none'}",),
    )
    if not profiles.sensitive:
        return nothing(features, summary)
    n = len(features)
    return Detection(
        score=scatter(score, rows, n, np.nan),
        posterior=scatter(clusters.posterior, rows, n, np.nan),
        suspicious=scatter(flagged, rows, n, False),
        summary=summary,
    )
