"""The policy: what to check, with which model, and what the gate allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DatasetPolicy:
    """Where the data lie. Paths are relative to the policy file.

    Attributes
    ----------
    image_root : str or None
        Folder that image paths start from; by default the folder of the file that names them.
    turns : str
        ``all`` questions of a conversation are read, or the ``first`` about an image.
    fields : dict of str to str
        Renamed fields: role (``id``, ``image``, ``images``, ``conversations``, ``prompt``,
        ``answer``) to the name in the data.
    """

    paths: tuple[str, ...] = ()
    format: str = "auto"
    image_root: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    turns: str = "all"
    max_pixels: int = 50_000_000


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """Which model looks at the data: ``scout``, a folder (relative to the policy), or a hub id.

    ``base`` is what a model that comes fine-tuned was made from; only ``verify`` asks for it.
    """

    name: str = "scout"
    revision: str | None = None
    adapter: str | None = None
    base: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    quantization: str = "none"
    batch_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class FineTunePolicy:
    """Fine-tuning on the data before extraction. ``auto``: only where the model was not given
    as fine-tuned (the scout, or a base model without adapter)."""

    mode: str = "auto"
    method: str = "auto"
    epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    canary_share: float = 0.1


@dataclass(frozen=True, slots=True)
class DetectionPolicy:
    """Which detector, and its few knobs."""

    method: str = "auto"
    bsi: str = "released"
    threshold: float = 2.0
    false_alarm_rate: float = 0.001


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """When the check fails.

    Attributes
    ----------
    max_suspicious : int or str
        A count, or a percentage of the scored samples such as ``0.5%``.
    on_inconclusive : str
        ``fail`` (exit 3) or ``pass`` (exit 0).
    min_samples : int
        Fewer usable records are inconclusive; no model is run.
    max_skipped : int or str
        More skipped records are inconclusive.
    min_changed : int
        Where only changed records are judged, fewer of them are inconclusive.
    fdr : float or None
        False-discovery rate that suspects are chosen at, instead of the detector's threshold.
    """

    max_suspicious: int | str = 0
    on_inconclusive: str = "fail"
    min_samples: int = 100
    max_skipped: int | str = "5%"
    scope: str = "changed"
    min_changed: int = 10
    fdr: float | None = None


@dataclass(frozen=True, slots=True)
class ContextPolicy:
    """Unchanged records that are read along with the changed ones."""

    factor: float = 10.0
    min: int = 500
    max: int = 5000


@dataclass(frozen=True, slots=True)
class ReportPolicy:
    """A report to write: a format and a path relative to the working directory."""

    format: str
    path: str


@dataclass(frozen=True, slots=True)
class Policy:
    """An effective policy. ``base`` is the folder that its relative paths start from."""

    dataset: DatasetPolicy = field(default_factory=DatasetPolicy)
    model: ModelPolicy = field(default_factory=ModelPolicy)
    fine_tune: FineTunePolicy = field(default_factory=FineTunePolicy)
    detection: DetectionPolicy = field(default_factory=DetectionPolicy)
    gate: GatePolicy = field(default_factory=GatePolicy)
    context: ContextPolicy = field(default_factory=ContextPolicy)
    reports: tuple[ReportPolicy, ...] = ()
    baseline: str | None = None
    seed: int = 0
    base: Path = field(default_factory=Path)
    source: str | None = None
