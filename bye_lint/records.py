"""The records that travel between the stages: frozen, plain, without behaviour worth a test double.

Everything a report prints is in :class:`ScanResult`; everything in it survives a round trip
through JSON (:func:`to_json`, :func:`from_json`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cattrs

from bye_lint.errors import ResultError

Role = Literal["system", "user", "assistant"]
Level = Literal["error", "warning", "note"]
VerdictName = Literal["pass", "fail", "inconclusive"]

#: Version of the JSON form of :class:`ScanResult`; raised when a reader of the old form would err.
RESULT_VERSION = 1

#: Exit codes; 2 is kept for usage, policy and internal errors.
EXIT_CODES: Mapping[VerdictName, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


@dataclass(frozen=True, slots=True)
class Location:
    """Where a record begins: path as shown to the user, 1-based line and columns.

    ``end_column`` is one past the last character of the record *on that line*, so that the
    region is always a single line.
    """

    path: str
    line: int
    column: int = 1
    end_column: int = 2


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation. ``<image>`` in the text marks where an image stands."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image of a record: a file under the image root, or bytes held by the dataset itself.

    Attributes
    ----------
    name : str
        The image as the record names it; shown in reports, never opened.
    path : Path or None
        The resolved file.
    data : bytes or None
        The encoded image, where the dataset embeds it.
    """

    name: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)

    def read(self) -> bytes:
        """Return the encoded bytes of the image.

        Raises
        ------
        OSError
            If the file cannot be read.
        """
        if self.data is not None:
            return self.data
        if self.path is None:
            raise FileNotFoundError(self.name)
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class Sample:
    """One usable record: images and a conversation, with the place it was read from."""

    id: str
    location: Location
    turns: tuple[Turn, ...]
    images: tuple[ImageSource, ...]

    @property
    def system(self) -> str:
        """Text of the system turn, or an empty string."""
        return next((t.text for t in self.turns if t.role == "system"), "")

    @property
    def prompt(self) -> str:
        """Text of the first user turn, the only one that the method reads (BYE, stage 1)."""
        return next((t.text for t in self.turns if t.role == "user"), "")

    @property
    def answer(self) -> str:
        """Text of the first assistant turn."""
        return next((t.text for t in self.turns if t.role == "assistant"), "")

    def digest(self) -> str:
        """Return the SHA-256 of the record's content: image bytes and conversation.

        The id, the path and the line do not enter, so that renaming and reordering
        change nothing.

        Raises
        ------
        OSError
            If an image cannot be read.
        """
        return content_digest(
            self.turns, (hashlib.sha256(image.read()).hexdigest() for image in self.images)
        )


def content_digest(turns: Iterable[Turn], images: Iterable[str]) -> str:
    """Return the digest of a record whose images' SHA-256 (hexadecimal) are known already."""
    h = hashlib.sha256()
    for turn in turns:
        h.update(json.dumps([turn.role, turn.text]).encode())
    for image in images:
        h.update(bytes.fromhex(image))
    return h.hexdigest()


def identity(turns: Iterable[Turn], images: Sequence[tuple[str, str | None]]) -> str:
    """Return what a record is told by between two commits, also one whose images are not all there.

    Parameters
    ----------
    images : sequence of tuple of str and (str or None)
        Name of each image, and its SHA-256 (hexadecimal) or ``None`` where it can't be read.

    Returns
    -------
    str
        :func:`content_digest` where every image is known.
    """
    known = [digest for _, digest in images if digest is not None]
    if len(known) == len(images):
        return content_digest(turns, known)
    words = [[turn.role, turn.text] for turn in turns]
    content = [words, [[digest or "missing", "" if digest else name] for name, digest in images]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that was not scored, and why: the code of a structural rule and a message.

    ``fingerprint`` is a SHA-256 of the rule and the record's raw content.
    """

    rule: str
    message: str
    path: str
    line: int
    column: int = 1
    end_column: int = 2
    sample_id: str | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of one rule, at one place.

    Attributes
    ----------
    score : float or None
        The detector's score, larger is more suspicious; ``None`` for structural rules.
    posterior : float or None
        Probability of belonging to the suspicious component.
    fingerprint : str
        Stable under renames, reordering and insertion of other records.
    properties : mapping of str to str
        What else a reader wants to see: ``answer``, ``prompt``, ``image``.
    """

    rule: str
    level: Level
    message: str
    path: str
    line: int
    column: int = 1
    end_column: int = 2
    sample_id: str | None = None
    score: float | None = None
    posterior: float | None = None
    fingerprint: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    suppressed: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A record after the structural rules.

    Attributes
    ----------
    sample : Sample or None
        The record; ``None`` where the reader could not make one of it.
    digest : str
        :meth:`Sample.digest`, or an empty string where the images' bytes were not all read.
    identity : str
        What the record is told by between two commits; see :func:`identity`. That of a record
        without a sample is a hash of its raw content.
    findings : tuple of Finding
        What the structural rules say, in the order of their codes.
    skipped : Skipped or None
        Why the record is not scored.
    """

    sample: Sample | None
    digest: str = ""
    findings: tuple[Finding, ...] = ()
    skipped: Skipped | None = None
    identity: str = ""

    @property
    def usable(self) -> bool:
        """The record can be scored."""
        return self.sample is not None and self.skipped is None


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


@dataclass(frozen=True, slots=True)
class DetectionSummary:
    """What the detector did, apart from the samples' scores.

    Attributes
    ----------
    score_name : str
        What the score measures, with its unit, e.g. ``robust z of residual entropy``.
    threshold : float or None
        Score above which a sample is suspicious; ``None`` where no threshold was set.
    side : str
        ``lower``, ``upper`` or ``none``: on which side of the population the suspects lie.
    null_p_value : float or None
        Probability of so strong a second component on clean data.
    entropy_unit : str
        ``nats``, or ``fraction of log T`` where the number of image tokens varies.
    comparison : dict of str to int
        Suspects by other methods on the same features, for the reader to compare.
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


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """A sample as the detector saw it; ``score`` is ``None`` where it was not scored."""

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


@dataclass(frozen=True, slots=True)
class Campaign:
    """Suspects that have something in common, such as one answer that nobody else gives."""

    kind: str
    value: str
    count: int
    share_of_suspects: float
    share_of_rest: float
    sample_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an image, as fractions of its width and height from the top left corner."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Picture:
    """What a reviewer sees of one sample: its image, made small, and where the model looked.

    Attributes
    ----------
    digest : str
        Content of the sample, as in :class:`ScoredSample`.
    thumbnail : str
        JPEG in base64, encoded anew; never bytes of the dataset. Empty if it can't be decoded.
    size : (width, height)
        Pixels of the original image.
    grid : (rows, columns)
        Image tokens; (0, 0) where there is no map.
    heat : str
        Base64 of rows × columns unsigned bytes: attention above what unflagged samples give the
        same token, averaged over ``layers``; 255 is the hottest token of this sample.
    peak : float
        What 255 stands for, in nats, so that samples can be shown on one scale.
    layers : tuple of int
        Decoder layers of ``layer_maps``.
    layer_maps : tuple of str
        Head-averaged attention at each of them, as ``heat``.
    view : Box or None
        Part of the image that the grid covers; ``None`` is the whole of it.
    trigger : Box or None
        Where the reconstructed patch lies in this image.
    twin : str
        Digest of the unflagged sample shown next to it: same question, most alike in pixels.
    """

    digest: str
    thumbnail: str = ""
    size: tuple[int, int] = (0, 0)
    grid: tuple[int, int] = (0, 0)
    heat: str = ""
    layers: tuple[int, ...] = ()
    layer_maps: tuple[str, ...] = ()
    view: Box | None = None
    trigger: Box | None = None
    twin: str = ""
    peak: float = 0.0


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """What the suspects' pixels have in common.

    Attributes
    ----------
    kind : str
        ``patch-fixed``, ``patch-moving``, ``overlay`` (all over the image: not local) or
        ``none``.
    message : str
        One sentence for the reader, the negative ones included.
    consistency : float
        For patches, share of the suspects that match a template fitted *without them*. For
        overlays, correlation between the patterns of two halves of the suspects.
    share_of_rest : float
        For patches, share of the unflagged samples that match as well.
    n_suspects : int
        Suspects whose pixels were compared.
    box : Box or None
        Place and size (medians over the suspects).
    side : float
        Geometric mean of the patch's sides, as a share of the image's shorter side.
    pixels : (width, height)
        Median size in pixels of the original images.
    spread : float
        Median distance of the patches from their median place, as a share of the shorter side.
    residual : float
        Standard deviation of the aligned patch over the suspects, as a share of the standard
        deviation of unflagged pixels. 0 is the same patch in every suspect.
    mean_patch, std_patch, crop : str
        PNG in base64: the average of the aligned patches, their standard deviation, and the
        patch as it stands in one suspect. For overlays, the average difference from unflagged
        images (grey is none), and an empty string twice.
    """

    kind: str
    message: str
    consistency: float = 0.0
    share_of_rest: float = 0.0
    n_suspects: int = 0
    box: Box | None = None
    side: float = 0.0
    pixels: tuple[float, float] = (0.0, 0.0)
    spread: float = 0.0
    residual: float = 0.0
    mean_patch: str = ""
    std_patch: str = ""
    crop: str = ""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of the question that set the suspects apart.

    ``z`` is the log-odds ratio with an informative Dirichlet prior, over its standard deviation.
    """

    text: str
    share_of_suspects: float
    share_of_rest: float
    z: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a reviewer looks at. Made once, by the scan; reports only show it.

    Attributes
    ----------
    pictures : tuple of Picture
        Suspects by falling score, then their unflagged neighbours.
    near_misses : tuple of str
        Digests of the unflagged samples of highest score, highest first.
    layer_separation : tuple of float
        Per layer, AUC of the entropy of suspects against the rest, folded to [0.5, 1].
    head_separation : tuple of tuple of float
        The same per layer and head.
    notes : tuple of str
        What was left out, and why.
    """

    pictures: tuple[Picture, ...] = ()
    near_misses: tuple[str, ...] = ()
    trigger: Reconstruction | None = None
    phrases: tuple[Phrase, ...] = ()
    layer_separation: tuple[float, ...] = ()
    head_separation: tuple[tuple[float, ...], ...] = ()
    notes: tuple[str, ...] = ()


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

    ``changed`` are all that changed, ``changed_skipped`` those of them that were not scored,
    ``context`` the others that were read beside them; ``None`` where everything was checked.
    """

    records: int
    scored: int
    skipped: int
    suspicious: int
    structural: int = 0
    changed: int | None = None
    context: int | None = None
    changed_skipped: int | None = None


@dataclass(frozen=True, slots=True)
class Reproducibility:
    """Everything needed to get the same answer again; no times and no absolute paths."""

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
