"""One cell: poison, fine-tune, read, detect, clean, measure.

What is expensive is kept step by step, so that a run that was cut off goes on; the detectors
are cheap and always run on the stored features, so that a better detector needs no new run.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bye_lint.canaries import plan_canaries, plant, wanted_kinds
from bye_lint.detectors import FEWEST_COPIES
from bye_lint.evaluate.copies import read_copy
from bye_lint.evaluate.grid import CLEAN, Cell, Grid
from bye_lint.evaluate.pipeline import Pipeline
from bye_lint.evaluate.poison import poison_dataset
from bye_lint.evaluate.scores import judge_detector, performance
from bye_lint.evaluate.stored import images_digest, load_features, save_arrays, save_features
from bye_lint.evaluate.truth import Truth, write_json
from bye_lint.features import BoolArray, Features
from bye_lint.progress import Progress
from bye_lint.records import Sample


class Steps:
    """Results of steps, kept in one JSON file, each written when it is done.

    Parameters
    ----------
    basis : mapping of str to str
        Digests of what the steps depend on beside the file's name, by name. What was done on
        others is left aside; what does not say on which is taken for done on these.
    """

    def __init__(self, path: Path, basis: Mapping[str, str]) -> None:
        self._path = path
        done: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        known = all(done.get(name, digest) == digest for name, digest in basis.items())
        self._done = {**(done if known else {}), **basis}
        if known and done and done != self._done:
            write_json(path, self._done)

    def once(self, name: str, step: Callable[[], Any]) -> Any:
        """Return a step's result, taking the step only if it was not taken before."""
        if name not in self._done:
            self._done[name] = step()
            write_json(self._path, self._done)
        return self._done[name]

    def __contains__(self, name: str) -> bool:
        return name in self._done

    def __getitem__(self, name: str) -> Any:
        return self._done[name]


def run_cell(
    cell: Cell,
    grid: Grid,
    pipeline: Pipeline,
    folder: Path,
    digest: str,
    *,
    cleaned: list[Any],
    progress: Progress,
) -> dict[str, Any]:
    """Run what has not been run of a cell and return its result, JSON values alone.

    Parameters
    ----------
    folder : Path
        Results folder; ``steps`` and ``features`` in it hold what is expensive.
    digest : str
        Of everything that the expensive steps depend on.
    cleaned : list
        Gets the models that were fine-tuned on what a cleaning left. Cells that differ in the
        trigger alone leave the same records, and the pipeline trains on them once unless told to
        forget, so that is for the caller to do.
    """
    source = grid.datasets[cell.dataset]
    stored = folder / "features" / f"{cell.name}-{digest}.npz"
    with tempfile.TemporaryDirectory() as scratch:
        samples, truth, poisoned = poisoned_copy(cell, source, Path(scratch) / "train")
        test = test_sets([cell], source, grid, Path(scratch))
    planned = plan_canaries(
        samples,
        share=grid.canary_share,
        kinds=grid.canary_kinds,
        least=FEWEST_COPIES,
        seed=cell.seed,
    )
    canaries, copies = plant(planned, samples, least=FEWEST_COPIES, seed=cell.seed)
    kinds = [""] * len(samples) + [canary.kind for canary in canaries]
    trained = [*samples, *copies]
    steps = Steps(
        folder / "steps" / f"{cell.name}-{digest}.json",
        {"images": images_digest(source), "records": _digest_of(trained, *test.values())},
    )

    def measure(model: Any) -> dict[str, Any]:
        return performance(model, pipeline, test, progress=progress)

    if not stored.is_file() or "before" not in steps:
        planted = np.array([bool(kind) for kind in kinds], dtype=np.bool_)
        model = pipeline.fine_tune(trained, planted=planted, seed=cell.seed, progress=progress)
        features = pipeline.features(model, trained, canary=kinds, progress=progress)
        features = replace(features, canary_kinds=wanted_kinds(samples, grid.canary_kinds))
        save_features(stored, features, pipeline.learned(model))
        steps.once("before", lambda: measure(model))
        pipeline.forget(model)
    features, learned = load_features(stored)
    found = {
        name: judge_detector(name, features, poisoned, seed=cell.seed) for name in grid.detectors
    }
    scores = {name: judged.score for name, judged in found.items()}
    save_arrays(stored.with_name(f"{stored.stem}-scores.npz"), {"poisoned": poisoned, **scores})
    result = {
        "cell": {**_plain(cell), "poisoned": int(poisoned.sum()), "read": len(samples)},
        "visible": sum(row.visible for row in truth.poisoned),
        "train_asr": _share(learned[: len(samples)][poisoned]),
        "before": steps["before"],
        "detectors": {name: judged.report for name, judged in found.items()},
        "power": _canary_table(features, learned, len(samples)),
    }

    def again(kept: BoolArray, seed: int) -> dict[str, Any]:
        rest = [sample for sample, keep in zip(samples, kept, strict=True) if keep]
        model = pipeline.fine_tune(
            rest, planted=np.zeros(len(rest), np.bool_), seed=seed, progress=progress
        )
        cleaned.append(model)
        return measure(model)

    def once_more(kept: BoolArray) -> Any:
        # Detectors that remove the same records share the run.
        key = hashlib.sha256(np.packbits(kept).tobytes()).hexdigest()[:12]
        return steps.once(f"kept-{key}", lambda: again(kept, cell.seed))

    if grid.cleaning or grid.random_drop:
        # trained as they are: the model above stopped when it had learned its canaries
        result["uncleaned"] = once_more(np.ones(len(samples), dtype=np.bool_))
    for name in grid.cleaning:
        judged = found.get(name) or judge_detector(name, features, poisoned, seed=cell.seed)
        result["detectors"].setdefault(name, judged.report)["after"] = once_more(~judged.flagged)
    if grid.random_drop:
        rng = np.random.default_rng(cell.seed)
        result["random_drop"] = once_more(rng.random(len(samples)) >= grid.random_drop)
    return result


def run_truly_clean(
    cells: Sequence[Cell],
    grid: Grid,
    pipeline: Pipeline,
    folder: Path,
    digest: str,
    *,
    progress: Progress,
) -> dict[str, Any]:
    """Fine-tune on the clean records that some cells share; measure every cell's attack on it."""
    clean = replace(cells[0], trigger=CLEAN, rate=0.0, clean_label=False)
    source = grid.datasets[clean.dataset]
    path = folder / "steps" / f"truly-{clean.name}-{digest}.json"
    with tempfile.TemporaryDirectory() as scratch:
        samples, _, _ = poisoned_copy(clean, source, Path(scratch) / "train")
        test = test_sets(cells, source, grid, Path(scratch))
    asked = _digest_of(samples, *test.values())
    steps = Steps(path, {"images": images_digest(source), "records": asked})

    def run() -> dict[str, Any]:
        none = np.zeros(len(samples), np.bool_)
        model = pipeline.fine_tune(samples, planted=none, seed=clean.seed, progress=progress)
        measured = performance(model, pipeline, test, progress=progress)
        pipeline.forget(model)
        return measured

    result: dict[str, Any] = steps.once("truly_clean", run)
    return result


def _digest_of(*sets: Sequence[Sample]) -> str:
    """Return the hash of what is trained on and asked, whatever code poisoned and planted it."""
    whole = hashlib.sha256()
    for samples in sets:
        whole.update(b"".join(sample.digest().encode() for sample in samples) + b"\n")
    return whole.hexdigest()[:16]


def poisoned_copy(cell: Cell, source: Path, out: Path) -> tuple[list[Sample], Truth, BoolArray]:
    """Write a cell's copy, read it back, and return its records with the truth."""
    truth = poison_dataset(
        source,
        out,
        out.with_name(f"{out.name}-truth.json"),
        triggers=cell.triggers or ("patch-centre",),
        targets=cell.targets,
        rate=cell.rate,
        seed=cell.seed,
        clean_label=cell.clean_label,
        records=cell.records,
        parts=cell.one_part_of,
        one_part=cell.one_part_of > 1,
    )
    samples, lengths = read_copy(out)
    return samples, truth, truth.mask(lengths)


def test_sets(
    cells: Sequence[Cell], source: Path, grid: Grid, scratch: Path
) -> dict[str, list[Sample]]:
    """Return held-out records: ``clean``, and under each attack's name all of them triggered.

    A triggered record's answer is the target; records that ask for the target anyway are left
    out. A clean-label attack's target is the one that its training set was poisoned towards.
    """
    sets: dict[str, list[Sample]] = {}
    attacks = {cell.attack: cell for cell in cells if cell.triggers}
    for number, cell in enumerate([None, *attacks.values()]):
        out = scratch / f"test-{number}"
        targets = _targets(cell, source, scratch / f"probe-{number}") if cell else ("",)
        truth = poison_dataset(
            source,
            out,
            scratch / f"test-{number}-truth.json",
            file="test.json",
            triggers=cell.triggers if cell else ("patch-centre",),
            targets=targets,
            rate=1.0 if cell else 0.0,
            seed=cells[0].seed,
            records=grid.test_records,
        )
        samples, lengths = read_copy(out)
        kept = truth.mask(lengths) if cell else np.ones(len(samples), np.bool_)
        sets[cell.attack if cell else CLEAN] = [s for s, k in zip(samples, kept, strict=True) if k]
    return sets


def _targets(cell: Cell, source: Path, out: Path) -> tuple[str, ...]:
    if not cell.clean_label:
        return cell.targets
    _, truth, _ = poisoned_copy(cell, source, out)
    return tuple(dict.fromkeys(row.target for row in truth.poisoned)) or cell.targets


def _canary_table(features: Features, learned: BoolArray, n_records: int) -> dict[str, Any]:
    kinds = np.asarray(features.canary[n_records:], dtype=str)
    return {
        str(kind): {
            "planted": int((kinds == kind).sum()),
            "learned": _share(learned[n_records:][kinds == kind]),
        }
        for kind in np.unique(kinds)
    }


def _share(hits: BoolArray) -> float | None:
    return round(float(hits.mean()), 4) if hits.size else None


def _plain(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in cell.__dataclass_fields__} | {
        "targets": list(cell.targets)
    }
