"""What is shown of a suspicious sample: where the model looked, what it saw there, who is alike."""

from __future__ import annotations

from dataclasses import dataclass


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
        ``patch-fixed``, ``patch-moving``, ``overlay`` (all over the image, of a trigger or of a
        kind of picture) or ``none``.
    message : str
        One sentence for the reader, the negative ones included.
    consistency : float
        For patches, share of the suspects that match a template fitted *without them*. For
        overlays, correlation between the patterns of two halves of the suspects.
    share_of_rest : float
        For patches, share of the unflagged samples that match as well.
    n_suspects : int
        Images of suspects that were compared, equal ones once.
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
