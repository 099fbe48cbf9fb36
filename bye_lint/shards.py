"""One check on several machines: each reads the attention of a part, one judges them together.

A shard is a folder of rows beside a note, ``shard.json``, that is written last: where it lies,
the shard is complete. Parts are whole blocks (:mod:`bye_lint.models.blocks`), so the rows are
those of a single check, to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bye_lint import learning, models, scan, scoring
from bye_lint.errors import UsageError
from bye_lint.features import FloatArray
from bye_lint.models import FeatureRow, FineTuneSettings, ResolvedModel, Tuned
from bye_lint.policy import Policy
from bye_lint.progress import Progress
from bye_lint.readings import Readings
from bye_lint.records import Sample
from bye_lint.reports import write_report
from bye_lint.request import Request
from bye_lint.store import FeatureStore
from bye_lint.tuned import find_tuned, not_tuned, refuse_tracked

NOTE = "shard.json"
_LONGEST_NOTE = 10_000

_AGAIN = "Extract this shard again."
_ONE_CHECK = "Extract all shards from the same data, with the same policy, model and packages."


@dataclass(frozen=True)
class Note:
    """What a shard says of itself.

    Attributes
    ----------
    shard, of : int
        The ``shard``-th of ``of`` parts, counted from 1.
    model : str
        Digest of the model and its adapter.
    device, dtype : str
        What the model ran on, and in which number format.
    records : int
        How many records this part holds.
    """

    shard: int
    of: int
    model: str
    device: str
    dtype: str
    records: int

    @property
    def folder(self) -> str:
        """Name of the shard's folder."""
        return f"shard-{self.shard}-of-{self.of}"


def part(samples: Sequence[Sample], family: str, shard: int, of: int) -> list[list[int]]:
    """Return the blocks, as places of samples, that one shard reads: every ``of``-th."""
    return models.blocks(samples, family)[shard - 1 :: of]


def extract_shard(
    request: Request,
    shard: tuple[int, int],
    out: Path,
    *,
    tuned: Path | None = None,
    progress: Progress,
) -> tuple[Note, Path]:
    """Read the attention of one part of the records that a check would look at.

    Blocks that lie in the folder already, from a run that was cut off, are not read again.

    Parameters
    ----------
    shard : tuple of two int
        The how-manieth part of how many.
    tuned : Path or None
        What :func:`bye_lint.tuned.tune` wrote, where the model had to learn the data first.

    Raises
    ------
    UsageError
        If the model has not learned the data yet, or the folder cannot be written, or git tracks
        what lies in it.
    """
    policy = request.policy
    refuse_tracked(out)
    require_tuned(policy, tuned)
    scoring.require_extra()
    model = learning.resolve(policy.model, policy.base)
    device, dtype = learning.place(policy.model)
    _, chosen = scan.read(request, progress)
    records = chosen.samples if scan.worth_scoring(request, chosen) else []
    samples = Readings.of(records, policy.dataset.turns).samples
    if samples and learning.tunes(policy):
        samples += learning.plant(samples, policy, progress)[1]
        model = find_tuned(tuned, model, samples, learning.settings(model, policy)).model
    mine = part(samples, model.family, *shard)
    # Cards of one machine are one device to whoever judges.
    kind = device.partition(":")[0]
    note = Note(*shard, model.whole_digest, kind, dtype, sum(map(len, mine)))
    folder = out / note.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fill(folder, samples, mine, model, policy, note, device, progress)
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written: {error.strerror}", "Give -o another folder."
        ) from error
    write_report(json.dumps(asdict(note), indent=2) + "\n", folder / NOTE)
    return note, folder


def _fill(
    folder: Path,
    samples: Sequence[Sample],
    mine: Sequence[Sequence[int]],
    model: ResolvedModel,
    policy: Policy,
    note: Note,
    device: str,
    progress: Progress,
) -> None:
    store = FeatureStore(folder.parent, namespace=folder.name)
    keys = models.feature_keys(samples, model, dtype=note.dtype)
    wanted = [i for block in mine for i in block]
    found = models.cached_rows(store, [keys[i] for i in wanted], attention=True, leave=True)
    lacking = {i for i, row in zip(wanted, found, strict=True) if row is None}
    todo = [block for block in mine if not lacking.isdisjoint(block)]
    if not todo:
        return
    with progress.stage("load", f"Loading model {model.name}"):
        loaded = models.load_model(model, device=device, dtype=note.dtype)
    with progress.stage("extract", "Reading attention") as task:
        count = scoring.Tally(task, note.records)
        count(note.records - sum(map(len, todo)))
        # All blocks in one go: workers are started once, and prepare the next block meanwhile.
        places = [i for block in todo for i in block]
        named = [keys[i] for i in places]
        counted = iter(range(len(places)))
        batches = models.read_batches(
            loaded,
            [samples[i] for i in places],
            division=[[next(counted) for _ in block] for block in todo],
            keys=named,
            batch_tokens=policy.model.batch_tokens,
            maps=True,
            max_pixels=policy.dataset.max_pixels,
        )
        for batch in batches:
            store.put({named[p[0]]: row.to_arrays() for p, row in batch if named[p[0]]})
            count(sum(len(places) for places, _ in batch))


def require_tuned(policy: Policy, tuned: Path | None) -> None:
    """Refuse a model that would have to learn the data first: every shard would learn another.

    Raises
    ------
    UsageError
        If the policy asks for fine-tuning, and nothing that was fine-tuned is given; or git
        tracks what is given.
    """
    if tuned is not None:
        refuse_tracked(tuned)
    if tuned is None and learning.tunes(policy):
        raise not_tuned(policy.model.name)


@dataclass
class Shards:
    """Rows of several shards, as one source; see :class:`bye_lint.scoring.RowSource`.

    Attributes
    ----------
    notes, folders : sequences of Note and Path
        In the order of the shards.
    tuned : Path or None
        What :func:`bye_lint.tuned.tune` wrote.
    """

    notes: Sequence[Note]
    folders: Sequence[Path]
    tuned: Path | None = None

    @property
    def placed(self) -> tuple[str, str]:
        """Device and number format that the model ran with."""
        return self.notes[0].device, self.notes[0].dtype

    def fine_tuned(
        self, model: ResolvedModel, everything: Sequence[Sample], settings: FineTuneSettings
    ) -> Tuned:
        """Return the model that the shards were read with; see :func:`find_tuned`."""
        return find_tuned(self.tuned, model, everything, settings)

    def rows(self, samples: Sequence[Sample], model: ResolvedModel) -> list[FeatureRow]:
        """Return one row a sample.

        Raises
        ------
        UsageError
            If the shards were read with another model, or lack a record.
        """
        if self.notes[0].model != model.whole_digest:
            raise UsageError(f"the shards are of another model than {model.name}", _ONE_CHECK)
        keys = models.feature_keys(samples, model, dtype=self.placed[1])
        rows: list[FeatureRow | None] = [None] * len(keys)
        damaged = 0
        for store in self._stores():
            found = models.cached_rows(store, keys, attention=True, leave=True)
            for i, row in enumerate(found):
                rows[i] = rows[i] if row is None else row
            damaged += store.damaged
        present = [row for row in rows if row is not None]
        if len(present) < len(rows):
            raise self._lack(samples, model.family, rows, damaged)
        return present

    def attention(self, samples: Sequence[Sample], model: ResolvedModel) -> list[FloatArray | None]:
        """Return the attention maps of some samples."""
        keys = models.feature_keys(samples, model, dtype=self.placed[1])
        return models.stored_attention(self._stores(), keys)

    def _stores(self) -> list[FeatureStore]:
        return [FeatureStore(folder.parent, namespace=folder.name) for folder in self.folders]

    def _lack(
        self,
        samples: Sequence[Sample],
        family: str,
        rows: Sequence[FeatureRow | None],
        damaged: int,
    ) -> UsageError:
        """Name the first shard that lacks records."""
        of = self.notes[0].of
        parts = (
            [i for block in part(samples, family, k, of) for i in block] for k in range(1, of + 1)
        )
        shard, mine = next(
            (k, mine) for k, mine in enumerate(parts, 1) if any(rows[i] is None for i in mine)
        )
        lacking = sum(rows[i] is None for i in mine)
        why = f" ({damaged} damaged files were thrown away)" if damaged else ""
        return UsageError(
            f"shard {shard} of {of} lacks {lacking} of its {len(mine)} records{why}",
            f"Run again: {_command(shard, of)}. {_ONE_CHECK}",
        )


def open_shards(paths: Iterable[Path], *, tuned: Path | None = None) -> Shards:
    """Find shards in folders that are one, or that hold some, and see that none is missing.

    Raises
    ------
    UsageError
        If a folder holds no shard, or what git tracks, one is missing, or they do not go together.
    """
    found: dict[int, tuple[Note, Path]] = {}
    for folder in [folder for path in paths for folder in _folders(path)]:
        note = _read_note(folder)
        first = next(iter(found.values()), (note, folder))[0]
        same = ("of", "model", "device", "dtype")
        differs = [name for name in same if getattr(note, name) != getattr(first, name)]
        if differs:
            raise UsageError(
                f"{folder}: not of one check with {first.folder}: another {' and '.join(differs)}",
                _ONE_CHECK,
            )
        found[note.shard] = (note, folder)
    of = next(iter(found.values()))[0].of if found else 0
    for shard in range(1, of + 1):
        if shard not in found:
            raise UsageError(f"shard {shard} of {of} is missing", f"Run: {_command(shard, of)}")
    if not found:
        raise UsageError("no shards to judge", "Name the folders that bye-lint extract wrote.")
    ordered = [found[shard] for shard in range(1, of + 1)]
    return Shards([note for note, _ in ordered], [folder for _, folder in ordered], tuned)


def _command(shard: int, of: int) -> str:
    return f"bye-lint extract --shard {shard}/{of} -o features/"


def _folders(path: Path) -> list[Path]:
    refuse_tracked(path)
    if (path / NOTE).is_file():
        return [path.resolve()]
    inner = sorted(note.parent.resolve() for note in path.glob(f"shard-*/{NOTE}"))
    if not inner:
        raise UsageError(
            f"{path}: no complete shard lies here",
            "Name the folders that bye-lint extract wrote; a run that was cut off leaves no "
            f"{NOTE} and goes on when it is started again.",
        )
    return inner


def _read_note(folder: Path) -> Note:
    path = folder / NOTE
    try:
        with path.open("rb") as file:
            values = json.loads(file.read(_LONGEST_NOTE))
        note = Note(**values)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read: {error}", _AGAIN) from error
    whole = {"shard", "of", "records"}
    kinds = {f.name: int if f.name in whole else str for f in fields(note)}
    typed = all(type(getattr(note, name)) is kind for name, kind in kinds.items())
    if not typed or not 1 <= note.shard <= note.of or folder.name != note.folder:
        raise UsageError(f"{path}: not the note of a shard in a folder of its name", _AGAIN)
    return note
