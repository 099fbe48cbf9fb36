"""Method ``activation-clustering``: two clusters of hidden states within each answer.

Chen et al., "Detecting Backdoor Attacks on Deep Neural Networks by Activation Clustering"
(SafeAI 2019): the samples of one label are reduced to ten dimensions and split by 2-means; a
small cluster that stands well apart is suspicious. Answers take the place of labels; answers
that are given fewer than 20 times are one class together.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_samples

from bye_lint.detectors.answer import nothing, scatter, scored_rows
from bye_lint.features import Detection, Features
from bye_lint.policy import DetectionPolicy
from bye_lint.results import DetectionSummary
from bye_lint.spelling import folded

LARGEST_SHARE = 0.35
SILHOUETTE = 0.15
_DIMENSIONS = 10
_FEWEST = 20
_MOST_JUDGED = 2000
_NAME = "silhouette of the smaller cluster of the answer"


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Accuse the smaller cluster of every answer that falls apart in two."""
    summary = DetectionSummary(method="activation-clustering", score_name=_NAME)
    if features.hidden is None:
        return nothing(features, summary, "the features hold no hidden states")
    rows = scored_rows(features)
    H = np.asarray(features.hidden, dtype=np.float64)[rows]
    rows, H = rows[np.isfinite(H).all(axis=1)], H[np.isfinite(H).all(axis=1)]
    if len(rows) < _FEWEST:
        return nothing(features, summary, f"{len(rows)} scored samples are too few")
    said = folded(features.answers[i] for i in rows.tolist())
    often = Counter(said)
    label = np.array([answer if often[answer] >= _FEWEST else "" for answer in said])
    score = np.zeros(len(rows))
    suspicious = np.zeros(len(rows), dtype=np.bool_)
    for answer in sorted(set(label.tolist())):
        members = np.flatnonzero(label == answer)
        points = H[members]
        if len(members) < _FEWEST or np.ptp(points, axis=0).max() <= 0:
            continue
        size = min(_DIMENSIONS, *points.shape)
        reduced = PCA(size, random_state=seed).fit_transform(points)
        side = KMeans(2, n_init=4, random_state=seed).fit_predict(reduced)
        small = side == np.argmin(np.bincount(side, minlength=2))
        if small.all() or not small.any():
            continue
        judged = np.random.default_rng(seed).permutation(len(members))[:_MOST_JUDGED]
        if not 0 < small[judged].sum() < len(judged):
            continue
        apart = float(silhouette_samples(reduced[judged], side[judged]).mean())
        score[members[small]] = apart
        suspicious[members[small]] = apart > SILHOUETTE and small.mean() < LARGEST_SHARE
    summary = DetectionSummary(
        method="activation-clustering",
        parameters={"largest_share": f"{LARGEST_SHARE:g}", "silhouette": f"{SILHOUETTE:g}"},
        score_name=_NAME,
        threshold=SILHOUETTE,
        side="upper" if suspicious.any() else "none",
    )
    n = len(features)
    return Detection(
        score=scatter(score, rows, n, np.nan),
        posterior=scatter(suspicious.astype(np.float64), rows, n, np.nan),
        suspicious=scatter(suspicious, rows, n, False),
        summary=summary,
    )
