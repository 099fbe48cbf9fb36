"""Suspects that have something in common which the rest has not: an answer, a patch, a source."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from scipy.stats import hypergeom

from bye_lint.codes import CAMPAIGN, RULES
from bye_lint.exhibits import Campaign, Phrase, Reconstruction
from bye_lint.records import Finding
from bye_lint.results import ScoredSample
from bye_lint.spelling import commonest, fold

#: A group this small is an accident.
LEAST = 3

#: The share among suspects must be this many times the share among the rest.
LIFT = 3.0

#: Probability of so large a group by chance, over all groups of its kind.
CHANCE = 0.001


#: ``blame(path)`` says for each line (1-based) of a dataset file which commit and which author
#: brought it in, and when (seconds); an empty mapping where nobody knows.
Blame = Callable[[str], Mapping[int, tuple[str, str, int]]]

_SENTENCES = {
    "answer": "give the same answer: {value}",
    "patch": "carry the same patch of pixels: {value}",
    "phrase": "hold the same words in the question: {value}",
    "file": "come from one file: {value}",
    "author": "were brought in by one author: {value}",
    "commit": "were brought in by one commit: {value}",
}


def find_campaigns(
    samples: Sequence[ScoredSample],
    *,
    trigger: Reconstruction | None = None,
    carriers: Collection[str] = (),
    searched: Collection[str] = (),
    phrases: Sequence[Phrase] = (),
    holders: Mapping[str, Collection[str]] | None = None,
    blame: Blame | None = None,
) -> tuple[Campaign, ...]:
    """Group the suspects by what they share more often than chance allows.

    A group counts when it has at least :data:`LEAST` suspects, its share among suspects is
    :data:`LIFT` times its share among the rest, and the hypergeometric tail (drawing the
    suspects at random from all scored samples), times the number of groups tried, is below
    :data:`CHANCE`. Answers are the same as for the detectors (:func:`.spelling.fold`), and the
    commonest spelling stands for all.

    Parameters
    ----------
    samples : sequence of ScoredSample
        All of them, suspects and others.
    trigger, carriers, searched
        The reconstruction, and the digests of suspects that carry its patch, and of those that were
        searched for it.
    phrases, holders
        Telling phrases, and for each the digests of the samples that hold it.
    blame : callable, optional
        See :data:`Blame`. Asked only where there are suspects.

    Returns
    -------
    tuple of Campaign
        By kind, then size.
    """
    scored = [s for s in samples if s.score is not None or s.suspicious]
    suspects = [s for s in scored if s.suspicious]
    rest = [s for s in scored if not s.suspicious]
    if len(suspects) < LEAST:
        return ()
    found = [_as_spelled(c, suspects) for c in _groups("answer", suspects, rest, _said)]
    if trigger is not None and trigger.kind.startswith("patch") and carriers:
        ids = [s for s in suspects if s.digest in carriers]
        looked_at = sum(s.digest in searched for s in suspects)
        if len(ids) >= LEAST:
            place = "in one place" if trigger.kind == "patch-fixed" else "in different places"
            value = f"side 1/{round(1 / trigger.side)} of the image's shorter side, {place}"
            found.append(_campaign("patch", value, ids, looked_at, trigger.share_of_rest))
    for phrase in phrases:
        held = (holders or {}).get(phrase.text, ())
        ids = [s for s in suspects if s.digest in held]
        if len(ids) >= LEAST:
            found.append(_campaign("phrase", phrase.text, ids, len(suspects), phrase.share_of_rest))
    found += _groups("file", suspects, rest, lambda s: s.path)
    if blame is not None:
        origins, nobody = _origins(samples, blame), ("", "")
        found += _groups(
            "author", suspects, rest, lambda s: origins.get((s.path, s.line), nobody)[1]
        )
        found += _groups(
            "commit", suspects, rest, lambda s: origins.get((s.path, s.line), nobody)[0]
        )
    return tuple(found)


def campaign_findings(
    campaigns: Sequence[Campaign], samples: Sequence[ScoredSample]
) -> tuple[Finding, ...]:
    """Return a finding of BYE002 for each campaign, at its first record.

    The message quotes the dataset; reports escape it. The fingerprint depends on what is
    shared, not on who shares it, so that it stays when records come and go.
    """
    rule = RULES[CAMPAIGN]
    places: dict[str, ScoredSample] = {}
    for s in sorted(samples, key=lambda s: (s.path, s.line, s.column)):
        if s.suspicious:
            places.setdefault(s.sample_id, s)
    n_suspects = sum(s.suspicious for s in samples)
    found = []
    for campaign in campaigns:
        first = min(
            (places[i] for i in campaign.sample_ids if i in places),
            key=lambda s: (s.path, s.line, s.column),
            default=None,
        )
        if first is None:
            continue
        shared = _SENTENCES[campaign.kind].format(value=_quoted(campaign.value))
        part = campaign.kind == "patch" and _out_of(campaign) < n_suspects
        of_whom = "those searched" if part else "them"
        key = campaign.kind if campaign.kind == "patch" else f"{campaign.kind}\n{campaign.value}"
        found.append(
            Finding(
                rule=rule.code,
                level=rule.level,
                message=(
                    f"{campaign.count} suspects ({campaign.share_of_suspects:.0%} of {of_whom}, "
                    f"{_rare(campaign.share_of_rest)} of the other records) {shared}"
                ),
                path=first.path,
                line=first.line,
                column=first.column,
                end_column=first.end_column,
                sample_id=first.sample_id,
                fingerprint=hashlib.sha256(f"{rule.code}\n{key}".encode()).hexdigest(),
                properties={"kind": campaign.kind, "value": campaign.value},
            )
        )
    return tuple(found)


def _said(sample: ScoredSample) -> str:
    return fold(sample.answer)


def _as_spelled(campaign: Campaign, suspects: Sequence[ScoredSample]) -> Campaign:
    """Return the campaign of an answer with the spelling that most of its records have."""
    spelled = commonest(s.answer for s in suspects if _said(s) == campaign.value)
    return replace(campaign, value=spelled)


def _out_of(campaign: Campaign) -> int:
    """Return how many suspects a campaign's share is of."""
    return round(campaign.count / campaign.share_of_suspects)


def _rare(share: float) -> str:
    return "none" if share == 0 else f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _quoted(value: str) -> str:
    short = value if len(value) <= 120 else f"{value[:119]}…"
    return f"“{short}”"


def _origins(
    samples: Sequence[ScoredSample], blame: Blame
) -> dict[tuple[str, int], tuple[str, str]]:
    """Return commit and author of each record, by path and line: the last that touched it.

    A record reaches to where the next one begins, so that a changed answer counts as much as a
    new record. The rows of Parquet are no lines.
    """
    starts: dict[str, set[int]] = {}
    for sample in samples:
        if not sample.path.lower().endswith(".parquet"):
            starts.setdefault(sample.path, set()).add(sample.line)
    found = {}
    for path, begun in starts.items():
        lines, ordered = blame(path), sorted(begun)
        ends = [*ordered[1:], max(lines, default=0) + 1]
        for first, end in zip(ordered, ends, strict=True):
            touched = [lines[n] for n in range(first, end) if n in lines]
            if touched:
                commit, author, _ = max(touched, key=lambda origin: (origin[2], origin[0]))
                found[path, first] = (commit, author)
    return found


def _groups(
    kind: str,
    suspects: Sequence[ScoredSample],
    rest: Sequence[ScoredSample],
    key: Callable[[ScoredSample], str],
) -> list[Campaign]:
    inside = Counter(key(s) for s in suspects)
    outside = Counter(key(s) for s in rest)
    inside.pop("", None)
    found = []
    for value, count in sorted(inside.items(), key=lambda item: (-item[1], item[0])):
        if count < LEAST:
            break
        other = outside[value]
        share, elsewhere = count / len(suspects), other / max(1, len(rest))
        if share < LIFT * elsewhere:
            continue
        everyone = len(suspects) + len(rest)
        chance = hypergeom.sf(count - 1, everyone, count + other, len(suspects))
        if chance * len(inside) < CHANCE:
            ids = [s for s in suspects if key(s) == value]
            found.append(_campaign(kind, value, ids, len(suspects), elsewhere))
    return found


def _campaign(
    kind: str, value: str, members: Sequence[ScoredSample], n_suspects: int, share_of_rest: float
) -> Campaign:
    return Campaign(
        kind=kind,
        value=value,
        count=len(members),
        share_of_suspects=round(len(members) / n_suspects, 4),
        share_of_rest=round(share_of_rest, 4),
        sample_ids=tuple(s.sample_id for s in members),
    )
