"""The structural rules: fast, without a model. One finding a rule and record, at its place."""

from bye_lint.rules.check import check_pixels, check_samples, finding_of_skipped
from bye_lint.rules.images import ImageCheck, check_image

__all__ = [
    "ImageCheck",
    "check_image",
    "check_pixels",
    "check_samples",
    "finding_of_skipped",
]
