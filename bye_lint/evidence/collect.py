"""One call that gathers the evidence of a scan: pictures, maps, the trigger, campaigns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bye_lint.evidence.campaigns import Blame, campaign_findings, find_campaigns
from bye_lint.evidence.maps import Background, Maps, normalised
from bye_lint.evidence.phrases import ngrams, telling_phrases
from bye_lint.evidence.pixels import canvas, decode, shrunk, thumbnail
from bye_lint.evidence.reconstruct import Exhibit, reconstruct
from bye_lint.evidence.separation import separation
from bye_lint.exhibits import Box, Campaign, Evidence, Picture
from bye_lint.heat import encode_map
from bye_lint.records import Finding, Sample
from bye_lint.results import LayerProfile, ScoredSample

FloatArray = npt.NDArray[np.floating]

#: ``view(width, height)`` says which part of an image the model's grid covers.
View = Callable[[int, int], Box | None]

#: Suspects that get a picture; the rest are listed without one.
MAX_PICTURES = 200

#: Unflagged records that the suspects are compared with, drawn by content.
MAX_REST = 160

_NEAR_MISSES = 8
_LAYER_MAPS = 8
_WORK_SIDE = 128


@dataclass(frozen=True)
class Gathered:
    """Evidence, and what follows from it for the result."""

    evidence: Evidence
    campaigns: tuple[Campaign, ...]
    findings: tuple[Finding, ...]


def gather(
    samples: Sequence[Sample],
    scored: Sequence[ScoredSample],
    *,
    maps: Maps | None = None,
    layers: Sequence[LayerProfile] = (),
    head_entropy: FloatArray | None = None,
    view: View | None = None,
    blame: Blame | None = None,
    max_pixels: int = 50_000_000,
    max_pictures: int = MAX_PICTURES,
) -> Gathered:
    """Gather what a reviewer needs to believe or reject the suspects.

    Only suspects, their look-alikes and the nearest misses are pictured, so that a result stays
    small: about 8 kB a picture. The order of the records does not matter.

    Parameters
    ----------
    samples, scored : sequences of equal length
        The records and what the detector said of each.
    maps : mapping, optional
        See :data:`bye_lint.evidence.maps.Maps`, of the records that :func:`looked_at` names;
        without it, pictures have no heat and patches are found only where they always stand in
        one place.
    layers : sequence of LayerProfile
        Sensitive ones are those whose maps are shown; without any, those that separate best.
    head_entropy : (n_samples, n_layers, n_heads) array, optional
        For the figure of which heads spoke.
    view : callable, optional
        For processors that crop; by default the grid covers the whole image.
    blame : callable, optional
        See :data:`bye_lint.evidence.campaigns.Blame`.
    """
    suspects, rest = _ranked(scored)
    shown, near, pool = _chosen(scored, suspects, rest, max_pictures)
    by_layer, by_head = _separations(scored, head_entropy)
    used = _layers(layers, by_layer)
    background = Background.of(maps or {}, [scored[i].digest for i in pool])
    looker = _Looker(maps or {}, background, used, view, max_pixels)
    seen = {
        i: looker.look(samples[i], scored[i].digest) for i in dict.fromkeys([*shown, *near, *pool])
    }
    found = reconstruct(
        [e for i in shown if (e := seen[i].exhibit) is not None],
        [e for i in pool if (e := seen[i].exhibit) is not None],
    )
    usable = [i for i in shown if seen[i].exhibit is not None]
    boxes = dict(zip(usable, found.boxes, strict=True))
    twins = _twins(shown, pool, seen, samples)
    phrases = telling_phrases(
        [samples[i].prompt for i in suspects], [samples[i].prompt for i in rest]
    )
    pictured = list(dict.fromkeys([*shown, *(i for i in twins.values() if i >= 0), *near]))
    evidence = Evidence(
        pictures=tuple(_picture(seen[i], scored, boxes.get(i), twins.get(i, -1)) for i in pictured),
        near_misses=tuple(scored[i].digest for i in near),
        trigger=found.report if suspects else None,
        phrases=phrases,
        layer_separation=by_layer,
        head_separation=by_head,
        notes=_notes(suspects, shown, seen, maps),
    )
    campaigns = find_campaigns(
        scored,
        trigger=found.report,
        carriers={scored[i].digest for i, box in boxes.items() if box is not None},
        searched={scored[i].digest for i, s in zip(usable, found.searched, strict=True) if s},
        phrases=phrases,
        holders={
            phrase.text: {scored[i].digest for i in suspects if _holds(samples[i], phrase.text)}
            for phrase in phrases
        },
        blame=blame,
    )
    return Gathered(evidence, campaigns, campaign_findings(campaigns, scored))


def looked_at(scored: Sequence[ScoredSample], max_pictures: int = MAX_PICTURES) -> list[int]:
    """Return the places of the records whose images and maps :func:`gather` looks at."""
    shown, near, pool = _chosen(scored, *_ranked(scored), max_pictures)
    return list(dict.fromkeys([*shown, *near, *pool]))


def _chosen(
    scored: Sequence[ScoredSample], suspects: list[int], rest: list[int], max_pictures: int
) -> tuple[list[int], list[int], list[int]]:
    """Return the suspects that are shown, the nearest misses, and whom they are compared with."""
    near = sorted(rest, key=lambda i: -(scored[i].score or 0.0))[:_NEAR_MISSES]
    pool = sorted(rest, key=lambda i: scored[i].digest)[:MAX_REST] if suspects else []
    return suspects[:max_pictures], near, pool


def _holds(sample: Sample, phrase: str) -> bool:
    return phrase in ngrams(sample.prompt)


def _ranked(scored: Sequence[ScoredSample]) -> tuple[list[int], list[int]]:
    """Return suspects by falling score, and the scored rest in order."""
    suspects = [i for i, s in enumerate(scored) if s.suspicious]
    suspects.sort(key=lambda i: (-(scored[i].score or 0.0), scored[i].path, scored[i].line))
    return suspects, [i for i, s in enumerate(scored) if not s.suspicious and s.score is not None]


def _separations(
    scored: Sequence[ScoredSample], head_entropy: FloatArray | None
) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    flagged = np.array([s.suspicious for s in scored], dtype=np.bool_)
    depth = max((len(s.entropy) for s in scored), default=0)
    entropy = np.full((len(scored), depth), np.nan)
    for row, s in zip(entropy, scored, strict=True):
        if len(s.entropy) == depth:
            row[:] = s.entropy
    by_layer = tuple(round(v, 4) for v in separation(entropy, flagged))
    if head_entropy is None or not by_layer:
        return by_layer, ()
    n, n_layers, n_heads = head_entropy.shape
    flat = separation(np.asarray(head_entropy, dtype=np.float64).reshape(n, -1), flagged)
    if not flat:
        return by_layer, ()
    table = np.round(np.array(flat).reshape(n_layers, n_heads), 4)
    return by_layer, tuple(tuple(float(v) for v in row) for row in table)


def _layers(profiles: Sequence[LayerProfile], separations: Sequence[float]) -> list[int]:
    sensitive = [p.layer for p in profiles if p.sensitive]
    if sensitive:
        return sensitive
    order = sorted(range(len(separations)), key=lambda i: -separations[i])
    return sorted(order[:3])


@dataclass(frozen=True)
class _Seen:
    digest: str
    exhibit: Exhibit | None
    thumbnail: str = ""
    layers: tuple[int, ...] = ()
    layer_maps: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Looker:
    maps: Maps
    background: Background
    layers: Sequence[int]
    view: View | None
    max_pixels: int

    def look(self, sample: Sample, digest: str) -> _Seen:
        """Open a sample's first image and lay its map beside it."""
        image = None
        if sample.images:
            try:
                image = decode(sample.images[0].read(), max_pixels=self.max_pixels)
            except OSError:
                image = None
        if image is None:
            return _Seen(digest, None)
        found = self.maps.get(digest)
        excess = None
        shown: tuple[int, ...] = ()
        small: tuple[str, ...] = ()
        if found is not None and found[0].shape[1] == found[1][0] * found[1][1]:
            attention, grid = found
            excess = self.background.excess(attention, grid, self.layers)
            shown = tuple(n for n in self.layers if n < len(attention))[:_LAYER_MAPS]
            each = normalised(attention)
            small = tuple(encode_map(each[n].reshape(grid)) for n in shown)
        exhibit = Exhibit(
            canvas=canvas(image, _WORK_SIDE),
            size=image.size,
            excess=excess,
            view=self.view(*image.size) if self.view is not None else None,
        )
        return _Seen(digest, exhibit, thumbnail(image), shown, small)


def _twins(
    shown: Sequence[int],
    pool: Sequence[int],
    seen: Mapping[int, _Seen],
    samples: Sequence[Sample],
) -> dict[int, int]:
    """Return for each suspect the unflagged sample that looks most like it, -1 if there is none.

    Those that ask the same question go first: what differs then is the image and the answer.
    """
    tiny = {i: shrunk(e.canvas) for i in {*shown, *pool} if (e := seen[i].exhibit) is not None}
    result = {}
    for i in shown:
        others = [j for j in pool if j in tiny]
        same = [j for j in others if samples[j].prompt == samples[i].prompt]
        choice = same or others
        if i not in tiny or not choice:
            result[i] = -1
            continue
        gaps = [float(((tiny[i] - tiny[j]) ** 2).sum()) for j in choice]
        result[i] = choice[int(np.argmin(gaps))]
    return result


def _picture(seen: _Seen, scored: Sequence[ScoredSample], box: Box | None, twin: int) -> Picture:
    exhibit = seen.exhibit
    if exhibit is None:
        return Picture(seen.digest, twin=scored[twin].digest if twin >= 0 else "")
    excess = exhibit.excess
    return Picture(
        digest=seen.digest,
        thumbnail=seen.thumbnail,
        size=exhibit.size,
        grid=(0, 0) if excess is None else (excess.shape[0], excess.shape[1]),
        heat="" if excess is None else encode_map(excess),
        peak=0.0 if excess is None else round(float(excess.max()), 6),
        layers=seen.layers,
        layer_maps=seen.layer_maps,
        view=exhibit.view,
        trigger=box,
        twin=scored[twin].digest if twin >= 0 else "",
    )


def _notes(
    suspects: Sequence[int], shown: Sequence[int], seen: Mapping[int, _Seen], maps: Maps | None
) -> tuple[str, ...]:
    notes = []
    if len(suspects) > len(shown):
        notes.append(
            f"{len(suspects) - len(shown)} of {len(suspects)} suspects, those of lowest score, "
            "are listed without a picture."
        )
    blind = sum(seen[i].exhibit is None for i in shown)
    if blind:
        notes.append(f"The images of {blind} suspects could not be decoded.")
    if suspects and not maps:
        notes.append("Attention maps were not kept, so the pictures show none.")
    return tuple(notes)
