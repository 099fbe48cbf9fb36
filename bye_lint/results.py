"""What a check comes to, as a record: everything that a report prints.

Everything in :class:`ScanResult` survives a round trip through JSON (:func:`to_json`,
:func:`from_json`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import cattrs

from bye_lint.errors import ResultError
from bye_lint.exhibits import Campaign, Evidence
from bye_lint.records import Finding, Skipped

VerdictName = Literal["pass", "fail", "inconclusive"]

#: What became of a kind of canary: found, found in part (a pass vouches for both), or missed.
PowerState = Literal["found", "in part", "missed"]

#: Version of the JSON form of :class:`ScanResult`; raised when a reader of the old form would err.
RESULT_VERSION = 1

#: Exit codes; 2 is kept for usage, policy and internal errors.
EXIT_CODES: Mapping[VerdictName, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


#: Shares of a kind's canaries from which on the kind counts as learned, and as found: a pass
#: vouches for such a kind. Short of the third share it is found in part.
LEARNED, FOUND, FOUND_WHOLE = 0.5, 0.5, 0.9

#: Significant digits that are kept of a number.
DIGITS = 6


def significant(value: float) -> float:
    """Round to the digits that are kept of a number: more than rounding errors reach.

    A report rendered from the scan itself and one from its saved JSON are the same.
    """
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else value


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """What a two-component mixture says of one layer's entropy (BYE, Eq. 6 and 7).

    Attributes
    ----------
    layer : int
        Decoder layer, 0 is nearest to the input.
    means, stds, weights : tuple of float
        The components, the one of lower mean first. Empty where the layer could not be fitted.
    bsi : float
        Bimodal Separation Index; 0 where it is undefined.
    sensitive : bool
        The layer takes part in the clustering.
    note : str
        Why a layer was not fitted, or an empty string.
    """

    layer: int
    means: tuple[float, ...]
    stds: tuple[float, ...]
    weights: tuple[float, ...]
    bsi: float
    sensitive: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class HeadProfile:
    """One attention head that spoke, and how much its evidence weighs."""

    layer: int
    head: int
    feature: str
    weight: float


@dataclass(frozen=True, slots=True)
class TriggerPower:
    """What the run's canaries of one kind say about its power.

    Attributes
    ----------
    kind : str
        Kind of trigger, e.g. ``patch-random``.
    planted : int
        How many copies carried it.
    learned : float
        Share of them whose target the model came to prefer.
    recall : float
        Share of them that the detector scored above its threshold.
    """

    kind: str
    planted: int
    learned: float
    recall: float

    @property
    def state(self) -> PowerState:
        """Whether a pass vouches for the kind, and for how much of it."""
        if self.learned < LEARNED or self.recall < FOUND:
            return "missed"
        return "found" if self.recall >= FOUND_WHOLE else "in part"


@dataclass(frozen=True, slots=True)
class DetectionSummary:
    """What the detector did, apart from the samples' scores.

    Attributes
    ----------
    score_name : str
        What the score measures, with its unit, e.g. ``robust z of residual entropy``.
    threshold : float or None
        Score above which samples stand out; ``None`` where no threshold was set. Who is accused
        is decided by the posterior where the detector gives one.
    side : str
        ``lower``, ``upper`` or ``none``: on which side of the population the suspects lie.
    null_p_value : float or None
        Probability of so strong a second component on clean data.
    entropy_unit : str
        Of the layers' profiles. It names ``log T`` where the number T of image tokens varies; then
        the samples' entropies are fractions of it, and otherwise they are in nats.
    comparison : dict of str to int
        Suspects by other methods on the same features, for the reader to compare.
    inconclusive : str
        Why the detector has no answer, or an empty string. The verdict can be ``fail`` all the
        same, for the suspects that there are.
    """

    method: str
    parameters: dict[str, str] = field(default_factory=dict)
    layers: tuple[LayerProfile, ...] = ()
    heads: tuple[HeadProfile, ...] = ()
    power: tuple[TriggerPower, ...] = ()
    score_name: str = ""
    threshold: float | None = None
    side: str = "none"
    null_p_value: float | None = None
    entropy_unit: str = "nats"
    comparison: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    inconclusive: str = ""


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """A record as the detector saw it; ``score`` is ``None`` where it was not scored.

    ``question`` says which of the record's questions prompt, answer, images and scores are of,
    counted from 1: the most suspicious one. ``by_answer`` says of a suspect that attention does not
    tell it, and that it is accused for giving the answer of others. ``entropy`` is by layer, in
    nats, or as a fraction of log T where the number T of image tokens varies.
    """

    sample_id: str
    path: str
    line: int
    digest: str
    prompt: str
    answer: str
    images: tuple[str, ...]
    score: float | None
    posterior: float | None
    suspicious: bool
    entropy: tuple[float, ...] = ()
    changed: bool = True
    column: int = 1
    end_column: int = 2
    question: int = 1
    by_answer: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate as it was applied: what was allowed, and what was seen."""

    max_suspicious: str
    allowed: int
    suspicious: int
    on_inconclusive: str = "fail"
    scope: str = "all"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many records were read, scored, skipped, flagged.

    ``skipped`` should have been scored and were not; ``without_image`` have none to look at.
    ``changed`` are all that changed, ``changed_skipped`` and ``changed_without_image`` those of
    them, ``context`` the others that were read beside them; ``None`` where everything was checked.
    """

    records: int
    scored: int
    skipped: int
    suspicious: int
    structural: int = 0
    changed: int | None = None
    context: int | None = None
    changed_skipped: int | None = None
    without_image: int = 0
    changed_without_image: int | None = None


@dataclass(frozen=True, slots=True)
class Reproducibility:
    """Everything needed to get the same answer again; no times and no absolute paths.

    Attributes
    ----------
    changed_since : str or None
        Git ref that the check compared with, where it judged a change.
    policy_ref : str or None
        Git ref that the policy and the baseline were of, where it was not the working tree.
    policy_path : str or None
        The policy file, as paths are shown, where the command line named it, or where it gave the
        paths and is not found from the root.
    paths_of_policy : bool
        The paths were those of the policy, and not named on the command line.
    accepts : bool
        A baseline counted, if there was one; false with ``--no-baseline``.
    """

    tool_version: str
    seed: int
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    device: str = ""
    dtype: str = ""
    model: str = ""
    model_digest: str = ""
    family: str = ""
    fine_tuned: str = ""
    dataset_digest: str = ""
    policy_digest: str = ""
    changed_since: str | None = None
    policy_ref: str | None = None
    policy_path: str | None = None
    paths_of_policy: bool = False
    accepts: bool = True


@dataclass(frozen=True, slots=True)
class ScanResult:
    """One check, whole. Every report is rendered from it."""

    verdict: VerdictName
    reasons: tuple[str, ...]
    paths: tuple[str, ...]
    counts: Counts
    gate: Gate
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    detection: DetectionSummary | None
    samples: tuple[ScoredSample, ...]
    campaigns: tuple[Campaign, ...]
    reproducibility: Reproducibility
    structural_only: bool = False
    timings: dict[str, float] = field(default_factory=dict)
    version: int = RESULT_VERSION
    evidence: Evidence | None = None

    @property
    def exit_code(self) -> int:
        """Exit status of the check: 0 pass, 1 fail, 3 inconclusive unless the policy allows it."""
        if self.verdict == "inconclusive" and self.gate.on_inconclusive == "pass":
            return 0
        return EXIT_CODES[self.verdict]


_CONVERTER = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)


def to_json(result: ScanResult) -> dict[str, Any]:
    """Return the JSON form of a result: plain dicts, lists, strings and numbers."""
    data: dict[str, Any] = _CONVERTER.unstructure(result)
    return data


def from_json(data: Mapping[str, Any]) -> ScanResult:
    """Rebuild a result from its JSON form.

    Raises
    ------
    ResultError
        If the data was written by another version of bye-lint or is not a result at all.
    """
    found = data.get("version") if isinstance(data, Mapping) else None
    if found != RESULT_VERSION:
        raise ResultError(
            f"not a bye-lint result of version {RESULT_VERSION} (found version {found!r})",
            "Run the check again with this version of bye-lint.",
        )
    try:
        return _CONVERTER.structure(data, ScanResult)
    except Exception as error:
        raise ResultError(
            f"the result is damaged: {error}", "Run the check again to write a fresh one."
        ) from error
