"""Method ``bye``: the published rule, on the entropies as they are.

Rong et al., arXiv 2505.16916. It has no one-component alternative, so it can accuse clean
data; it is here to compare with, and for those who want exactly it.
"""

from __future__ import annotations

import numpy as np

from bye_lint.detectors.answer import real_rows, scatter
from bye_lint.features import Detection, Features, comparable
from bye_lint.policy import DetectionPolicy
from bye_lint.results import DetectionSummary
from bye_lint.stages import cluster_samples, profile_layers


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Profile the layers and cluster the samples as published; canaries take no part.

    The score is the mean entropy over the sensitive layers, negated, so that larger is more
    suspicious; the threshold is the entropy at which the clustering divides the samples.
    """
    rows = real_rows(features)
    alike, unit = comparable(features)
    H = alike.entropy[rows]
    profiles = profile_layers(H, settings.bsi, settings.threshold, seed)
    clusters = cluster_samples(H, profiles, seed)
    score = -clusters.mean_entropy
    flagged = clusters.suspicious
    notes = (clusters.note,) if clusters.note else ()
    summary = DetectionSummary(
        method="bye",
        parameters={"bsi": settings.bsi, "threshold": f"{settings.threshold:g}"},
        layers=profiles.layers,
        score_name=f"minus mean entropy over the sensitive layers ({unit})",
        threshold=float(score[flagged].min()) if flagged.any() else None,
        side="lower" if flagged.any() else "none",
        entropy_unit=unit,
        notes=notes,
    )
    if not profiles.sensitive:
        # An ordinary outcome: one population. Every scored sample is as unsuspicious as any.
        score = np.where(np.isnan(clusters.posterior), np.nan, 0.0)
    n = len(features)
    return Detection(
        score=scatter(score, rows, n, np.nan),
        posterior=scatter(clusters.posterior, rows, n, np.nan),
        suspicious=scatter(flagged, rows, n, False),
        summary=summary,
        inconclusive="" if np.isfinite(clusters.posterior).any() else "no sample was scored",
    )
