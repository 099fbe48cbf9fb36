"""The structural rules: fast, without a model. One finding a rule and record, at its place."""

from bye_lint.rules.check import (
    WHEN_DECODED,
    check_pixels,
    check_samples,
    finding_of_skipped,
    fingerprint,
)
from bye_lint.rules.images import ImageCheck, check_image

__all__ = [
    "WHEN_DECODED",
    "ImageCheck",
    "check_image",
    "check_pixels",
    "check_samples",
    "finding_of_skipped",
    "fingerprint",
]
