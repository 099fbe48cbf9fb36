"""Method ``spectral``: spectral signatures of the last prompt token's hidden state.

Tran et al., "Spectral Signatures in Backdoor Attacks" (NeurIPS 2018): the samples of largest
squared projection on the top singular vector are removed, one and a half times as many as the
assumed poison. The paper does so within each label; answers here are free text, so it is done among
all samples. The rate is assumed, so it always accuses: a baseline, not a gate.
"""

from __future__ import annotations

import numpy as np

from bye_lint.detectors.answer import nothing, scatter, scored_rows
from bye_lint.features import Detection, Features
from bye_lint.policy import DetectionPolicy
from bye_lint.results import DetectionSummary

ASSUMED_RATE = 0.1
_NAME = "squared projection on the top singular vector"


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Accuse the samples of largest score, 1.5 times the assumed rate of them."""
    summary = DetectionSummary(method="spectral", score_name=_NAME)
    if features.hidden is None:
        return nothing(features, summary, "the features hold no hidden states")
    rows = scored_rows(features)
    H = np.asarray(features.hidden, dtype=np.float64)[rows]
    rows, H = rows[np.isfinite(H).all(axis=1)], H[np.isfinite(H).all(axis=1)]
    count = int(1.5 * ASSUMED_RATE * len(rows))
    if not count:
        return nothing(features, summary, f"{len(rows)} scored samples are too few")
    centred = H - H.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    score = (centred @ axes[0]) ** 2
    order = np.argsort(-score, kind="stable")
    suspicious = np.zeros(len(rows), dtype=np.bool_)
    suspicious[order[:count]] = True
    summary = DetectionSummary(
        method="spectral",
        parameters={"assumed_rate": f"{ASSUMED_RATE:g}"},
        score_name=_NAME,
        threshold=float(score[order[count - 1]]),
        side="upper",
        notes=("accuses a fixed share of the samples, poisoned or not",),
    )
    n = len(features)
    return Detection(
        score=scatter(score, rows, n, np.nan),
        posterior=scatter(suspicious.astype(np.float64), rows, n, np.nan),
        suspicious=scatter(suspicious, rows, n, False),
        summary=summary,
    )
