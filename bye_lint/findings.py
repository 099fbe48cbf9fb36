"""From scores to the records that reports show: scored samples and findings."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bye_lint.codes import RULES, SUSPICIOUS, UNREAD_FILE, UNREADABLE_BY_MODEL
from bye_lint.exhibits import Campaign, Evidence
from bye_lint.features import Detection, FloatArray, comparable
from bye_lint.policy import Policy
from bye_lint.records import Checked, Finding, Sample, Skipped, place_of
from bye_lint.results import DetectionSummary, ScoredSample, significant
from bye_lint.rules import WHEN_DECODED, finding_of_skipped, fingerprint
from bye_lint.spelling import fold, folded

if TYPE_CHECKING:
    from bye_lint.evidence.campaigns import Blame
    from bye_lint.scoring import Scores

#: Longest prompt and answer kept in a result; a report shows less, a record may hold a book.
TEXT_LIMIT = 400
_DECIMALS = 6


@dataclass(frozen=True)
class Weighed:
    """What the scores amount to, in the form that reports show."""

    samples: tuple[ScoredSample, ...] = ()
    findings: tuple[Finding, ...] = ()
    unscored: tuple[Skipped, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    evidence: Evidence | None = None
    detection: DetectionSummary | None = None


def weigh(
    usable: Sequence[Checked],
    scores: Scores,
    *,
    changed: Sequence[bool],
    policy: Policy,
    blame: Blame | None = None,
) -> Weighed:
    """Turn scores into samples, findings and the records that the model could not read.

    Parameters
    ----------
    usable : sequence of Checked
        The records that were scored, in the order of the scores' rows.
    changed : sequence of bool
        Which of them the gate judges; the others were read along.
    """
    from bye_lint.evidence.collect import (
        gather,
        looked_at,
    )  # scipy, which a structural check does without
    from bye_lint.models.views import image_view

    samples = scores.samples
    digests = [item.digest for item in usable]
    features, _ = comparable(scores.features)
    rows = scored_samples(samples, digests, features.entropy, scores.detection)
    rows = tuple(
        replace(row, changed=new, question=number)
        for row, new, number in zip(rows, changed, scores.question, strict=True)
    )
    summary = summarised(scores.detection)
    gathered = gather(
        samples,
        rows,
        maps={digests[i]: found for i, found in scores.maps(looked_at(rows)).items()},
        layers=summary.layers,
        head_entropy=features.head_entropy,
        view=image_view(scores.model),
        blame=blame,
        max_pixels=policy.dataset.max_pixels,
    )
    unscored = tuple(
        _unread(sample, digest, row.error)
        for sample, digest, row in zip(samples, digests, scores.rows, strict=True)
        if not row.scored
    )
    found = suspicious_findings(rows, summary.score_name, summary.threshold)
    found += tuple(map(finding_of_skipped, unscored))
    if policy.gate.scope == "changed":
        old = {place_of(row) for row in rows if not row.changed}
        found = tuple(unjudged(f) if place_of(f) in old else f for f in found)
    return Weighed(
        samples=rows,
        findings=found + gathered.findings,
        campaigns=gathered.campaigns,
        evidence=gathered.evidence,
        unscored=unscored,
        detection=summary,
    )


def _unread(sample: Sample, digest: str, error: str) -> Skipped:
    place = sample.location
    return Skipped(
        rule=UNREADABLE_BY_MODEL,
        message=f"the model could not read the record: {error or 'not a number'}",
        path=place.path,
        line=place.line,
        column=place.column,
        end_column=place.end_column,
        sample_id=sample.id,
        fingerprint=_fingerprint(UNREADABLE_BY_MODEL, digest),
    )


def _fingerprint(code: str, digest: str) -> str:
    return hashlib.sha256(f"{code}\n{digest}".encode()).hexdigest()


def not_looked_at(items: Iterable[Checked]) -> Counter[tuple[str, str]]:
    """Count what a look at records could find, by rule and fingerprint.

    Parameters
    ----------
    items : iterable of Checked
        Usable ones that neither a model nor a decoder looks at.
    """
    keys: Counter[tuple[str, str]] = Counter()
    for item in items:
        keys.update(
            (code, _fingerprint(code, item.digest)) for code in (SUSPICIOUS, UNREADABLE_BY_MODEL)
        )
        if item.sample is not None:
            for code in WHEN_DECODED:  # a finding an image, all of them of one fingerprint
                told = fingerprint(item.sample, item.identity, code)
                keys[code, told] += len(item.sample.images)
    return keys


def unjudged(finding: Finding) -> Finding:
    """Return a finding of a record that the change is not answerable for, as a note."""
    return replace(finding, level="note", message=f"{finding.message}; unchanged, so not judged")


def unread_file(path: str) -> Finding:
    """Return the finding of a file that looks like data and was not read.

    Parameters
    ----------
    path : str
        As reports show it.
    """
    rule = RULES[UNREAD_FILE]
    return Finding(
        rule=rule.code,
        level=rule.level,
        message="looks like data and was not read: hidden, or of no known format",
        path=path,
        line=1,
        fingerprint=_fingerprint(rule.code, path),
    )


def with_image_paths(
    findings: Iterable[Finding], checked: Iterable[Checked], root: Path
) -> Iterator[Finding]:
    """Yield the findings, with the path from the root of the image that each names, if it is there.

    An image that the dataset embeds, or that lies elsewhere, has none.
    """
    found = tuple(findings)
    wanted = {place_of(f) for f in found if "image" in f.properties}
    samples = (item.sample for item in checked if wanted and item.sample is not None)
    records = {at: s for s in samples if (at := place_of(s.location)) in wanted}
    for finding in found:
        record, name = records.get(place_of(finding)), finding.properties.get("image")
        named = (i.path for i in record.images if i.name == name) if record is not None else ()
        path = next(iter(named), None)
        if path is not None and path.is_relative_to(root) and path.is_file():
            properties = {**finding.properties, "image_path": path.relative_to(root).as_posix()}
            yield replace(finding, properties=properties)
        else:
            yield finding


def scored_samples(
    samples: Sequence[Sample],
    digests: Sequence[str],
    entropy: FloatArray,
    detection: Detection,
) -> tuple[ScoredSample, ...]:
    """Return one row a sample, in order, with its score, posterior and entropies, rounded.

    Parameters
    ----------
    entropy : (n_samples, n_layers) array
        Comparable between samples (:func:`bye_lint.features.comparable`).
    """
    return tuple(
        ScoredSample(
            sample_id=sample.id,
            path=sample.location.path,
            line=sample.location.line,
            column=sample.location.column,
            end_column=sample.location.end_column,
            digest=digests[i],
            prompt=shorten(sample.prompt),
            answer=shorten(sample.answer),
            images=tuple(image.name for image in sample.images),
            score=_number(detection.score[i]),
            posterior=_number(detection.posterior[i]),
            suspicious=bool(detection.suspicious[i]),
            by_answer=detection.by_answer is not None
            and bool(detection.suspicious[i] & detection.by_answer[i]),
            entropy=tuple(round(float(h), _DECIMALS) for h in entropy[i] if math.isfinite(h)),
        )
        for i, sample in enumerate(samples)
    )


def summarised(detection: Detection) -> DetectionSummary:
    """Return what a result says of a detection as a whole, with the detector's doubt.

    The threshold is rounded as scores are: it parts them as it did.
    """
    threshold = detection.summary.threshold
    return replace(
        detection.summary,
        threshold=None if threshold is None else _number(threshold),
        inconclusive=detection.inconclusive,
    )


def suspicious_findings(
    samples: Sequence[ScoredSample], score_name: str, threshold: float | None
) -> tuple[Finding, ...]:
    """Return a finding of BYE001 for each suspicious sample, the most suspicious first.

    The threshold is named where the score reaches it; who is below is accused by the probability.
    """
    rule = RULES[SUSPICIOUS]
    suspects = [s for s in samples if s.suspicious]
    everyone = Counter(said := folded(s.answer for s in samples))
    sharing = Counter(text for s, text in zip(samples, said, strict=True) if s.suspicious)
    found = []
    for s in sorted(suspects, key=lambda s: (-(s.score or 0.0), s.path, s.line)):
        text = fold(s.answer)
        shared, others = sharing[text], everyone[text] - sharing[text]
        if s.by_answer:
            message = "whatever is asked, the answer of records whose attention is unlike others'"
        else:
            message = f"attention unlike the other records': {score_name} {s.score:.2f}"
            if threshold is not None and s.score is not None and s.score >= threshold:
                message += f", threshold {threshold:.2f}"
        if s.question > 1:
            message = f"at question {s.question} of the conversation, {message}"
        if s.posterior is not None:
            message += f", probability {s.posterior:.3f}"
        if shared > 1:
            message += (
                f"; its answer is shared by {shared} of {len(suspects)} suspects and "
                f"{others} of {len(samples) - len(suspects)} other records"
            )
        found.append(
            Finding(
                rule=rule.code,
                level=rule.level,
                message=message,
                path=s.path,
                line=s.line,
                column=s.column,
                end_column=s.end_column,
                sample_id=s.sample_id,
                score=s.score,
                posterior=s.posterior,
                fingerprint=_fingerprint(rule.code, s.digest),
                properties={
                    "answer": s.answer,
                    "prompt": s.prompt,
                    **({"image": s.images[0]} if s.images else {}),
                },
            )
        )
    return tuple(found)


def _number(value: float) -> float | None:
    return significant(round(float(value), _DECIMALS)) if math.isfinite(value) else None


def shorten(text: str) -> str:
    """Return a text as results keep it: at most :data:`TEXT_LIMIT` characters of it."""
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
