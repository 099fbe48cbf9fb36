"""The detectors: one row each. A row is readable without importing scikit-learn.

To add one, write a module with ``detect(features, settings, *, seed) -> Detection`` and add
its row here; the command line, the policy's schema and the documentation read this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from bye_lint.errors import UsageError
from bye_lint.features import Detection, Features
from bye_lint.policy import DetectionPolicy

#: Kinds of canary with fewer copies teach no direction.
FEWEST_COPIES = 4


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector by its name; its code is imported when it first runs.

    Attributes
    ----------
    name : str
        As written in the policy under ``detection.method``.
    description : str
        One line for the help and the reference.
    module : str
        Module of this package that holds ``detect``.
    canaries : bool
        It judges by planted copies where there are any, of each kind at least
        :data:`FEWEST_COPIES`.
    """

    name: str
    description: str
    module: str
    canaries: bool = False

    def detect(self, features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
        """Judge the samples.

        Parameters
        ----------
        features : Features
            One row a sample; rows of NaN are answered with NaN and never suspicious.
        settings : DetectionPolicy
        seed : int
            Seed of everything random.

        Returns
        -------
        Detection
        """
        found: Detection = import_module(f"{__name__}.{self.module}").detect(
            features, settings, seed=seed
        )
        return found


_ROWS = (
    Detector("auto", "the best informed detector for the features at hand", "automatic", True),
    Detector("bye", "the published rule (Rong et al., 2025) as released", "published"),
    Detector(
        "conditional", "entropy given the question, second mode on either side", "conditional"
    ),
    Detector("canary", "directions and thresholds taught by planted triggers", "canary", True),
    Detector("tcap", "votes of system-attention heads (Liu et al., 2026)", "tcap"),
    Detector("loss", "samples that the fine-tuning learned fastest (Li et al., 2021)", "loss"),
    Detector("spectral", "spectral signatures of hidden states (Tran et al., 2018)", "spectral"),
    Detector(
        "activation-clustering",
        "two clusters of hidden states per answer (Chen et al., 2019)",
        "activation",
    ),
)

DETECTORS: Mapping[str, Detector] = {row.name: row for row in _ROWS}


def get_detector(name: str) -> Detector:
    """Return the row of a detector.

    Raises
    ------
    UsageError
        If there is none of that name; the message lists those there are.
    """
    try:
        return DETECTORS[name]
    except KeyError:
        raise UsageError(
            f"unknown detection method {name!r}", f"Known methods: {', '.join(DETECTORS)}."
        ) from None
