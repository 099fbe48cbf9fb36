"""The fine-tuned model of a check, made on one machine and carried to others.

A model that has to learn the data first learns them once (``bye-lint tune``); what it became is a
folder beside a note, ``tuned.json``, that is written last. Every shard reads that model, so that
the shards make up one check.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bye_lint import learning, models, scan, scoring, vcs
from bye_lint.errors import UsageError, VcsError
from bye_lint.models import FineTuneSettings, ResolvedModel, Tuned
from bye_lint.places import place, stands_in
from bye_lint.progress import Progress
from bye_lint.readings import Readings
from bye_lint.records import Sample
from bye_lint.reports import write_report
from bye_lint.request import Request

NOTE = "tuned.json"

_AGAIN = "Run again: bye-lint tune -o tuned/, on the same data and with the same policy."


@dataclass(frozen=True)
class Note:
    """What a tuned folder says of itself.

    Attributes
    ----------
    model : str
        Digest of the fine-tuned model; empty where there was nothing to fine-tune.
    records, canaries, steps : int
        What it learned, and in how many steps.
    why : str
        Why there was nothing to fine-tune, or an empty string.
    """

    model: str = ""
    records: int = 0
    canaries: int = 0
    steps: int = 0
    why: str = ""


def tune(request: Request, out: Path, *, progress: Progress) -> Note:
    """Fine-tune the model as the check would, on all records that it would look at.

    A run that was cut off goes on where it stopped.

    Raises
    ------
    UsageError
        If the folder cannot be written, or git tracks what lies in it.
    ModelError
        If the model cannot be used.
    """
    refuse_tracked(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        note = _tune(request, out, progress)
    except OSError as error:
        raise UsageError(
            f"{out}: cannot be written: {error.strerror}", "Give -o another folder."
        ) from error
    write_report(json.dumps(asdict(note), indent=2) + "\n", out / NOTE)
    return note


def _tune(request: Request, out: Path, progress: Progress) -> Note:
    policy = request.policy
    if not learning.tunes(policy):
        return Note(why=f"the model {policy.model.name} was given as fine-tuned")
    scoring.require_extra()
    model = learning.resolve(policy.model, policy.base)
    _, chosen = scan.read(request, progress)
    if not scan.worth_scoring(request, chosen):
        return Note(why="there are too few records to judge")
    samples = Readings.of(chosen.samples, policy.dataset.turns).samples
    _, copies = learning.plant(samples, policy, progress)
    device, _ = learning.place(policy.model)
    tuned = learning.fine_tune(
        model, [*samples, *copies], len(samples), policy, device, progress, cache=out
    )
    return Note(tuned.model.whole_digest, len(samples), len(copies), tuned.steps)


def find_tuned(
    folder: Path | None,
    model: ResolvedModel,
    everything: Sequence[Sample],
    settings: FineTuneSettings,
) -> Tuned:
    """Return the model that :func:`tune` made of these records.

    Parameters
    ----------
    folder : Path or None
        What ``--tuned`` names.
    model : ResolvedModel
        The model before it learned.
    everything : sequence of Sample
        Records and canaries, in the order in which they were trained on.

    Raises
    ------
    UsageError
        If it is not there: not finished, damaged, or made of other records.
    """
    if folder is None:
        raise not_tuned(model.name)
    if not (folder / NOTE).is_file():
        raise UsageError(f"{folder}: no fine-tuned model lies here", _AGAIN)
    made = models.tuned_folder(folder, model, everything, settings)
    try:
        found = models.read_tuned(made, model)
        noted = json.loads((folder / NOTE).read_text("utf-8"))["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder}: the fine-tuned model is damaged: {error}", _AGAIN) from error
    if found is None:
        raise UsageError(
            f"{folder}: holds no {model.name} that learned these {len(everything)} records and "
            "canaries",
            f"The data or the policy differ. {_AGAIN}",
        )
    if found.model.whole_digest != noted:
        raise UsageError(f"{folder}: the fine-tuned model is not the one that was written", _AGAIN)
    return found


def refuse_tracked(folder: Path) -> None:
    """Refuse a folder of models or features that git tracks: the data's author may have made them.

    Raises
    ------
    UsageError
        Also if git cannot tell.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    real = Path(os.path.realpath(folder))
    try:
        for path, start in ((folder, folder.absolute().parent), (real, real)):
            root = vcs.repository_root(start)
            tracked = root and stands_in(path, root) and vcs.tracked_in(root, place(path, root))
            if tracked:
                raise UsageError(
                    f"{folder}: git tracks {tracked}, so a change of the data may have brought it",
                    "Give a folder outside of the checkout, such as one in $RUNNER_TEMP.",
                )
    except VcsError as error:
        raise UsageError(
            f"{folder}: whether git tracks what lies here cannot be told: {error.message}",
            f"Give a folder outside of the checkout. {error.remedy}",
        ) from error


def not_tuned(name: str) -> UsageError:
    """Return the error that a model has not learned the data yet, and what to do."""
    return UsageError(
        f"the model {name} has to learn the data first, once for all shards",
        "Run bye-lint tune -o tuned/ on one machine and give --tuned tuned/ to every other "
        "command. Or name a model that was fine-tuned on the data: set model.adapter, or "
        "fine_tune.mode: none with a whole model.",
    )
