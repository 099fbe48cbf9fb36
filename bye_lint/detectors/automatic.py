"""Method ``auto``: ``canary`` where canaries were planted, ``conditional`` otherwise."""

from __future__ import annotations

from bye_lint.detectors import canary, conditional
from bye_lint.features import Detection, Features
from bye_lint.policy import DetectionPolicy


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Let the best informed detector judge the samples; the summary names it."""
    if features.is_canary.any():
        return canary.detect(features, settings, seed=seed)
    return conditional.detect(features, settings, seed=seed)
