"""The model that a check looks with: which it is, and how it comes to know the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bye_lint import models
from bye_lint.canaries import plan_canaries, wanted_kinds
from bye_lint.canaries import plant as plant_canaries
from bye_lint.detectors import FEWEST_COPIES, get_detector
from bye_lint.models import FineTuneSettings, ResolvedModel, Tuned
from bye_lint.models.devices import settle
from bye_lint.policy import ModelPolicy, Policy
from bye_lint.progress import Progress
from bye_lint.records import Sample
from bye_lint.shelf import Shelf
from bye_lint.store import cache_folder, require_writable

SCOUT = "scout"


def resolve(policy: ModelPolicy, base: Path, *, fetch: bool = True) -> ResolvedModel:
    """Find the model; ``scout`` is the one that lies in the package, as it was released."""
    if policy.name != SCOUT:
        return models.resolve_model(policy, base, fetch=fetch)
    from bye_lint.scout import verify_scout

    return models.resolve_model(policy, base, folder=verify_scout())


def place(policy: ModelPolicy) -> tuple[str, str]:
    """Settle device and number format without importing torch, for the cache's keys."""
    return settle(policy.device, policy.dtype)


def tunes(policy: Policy) -> bool:
    """Whether the model still has to learn the data: it came without an adapter that did."""
    return policy.fine_tune.mode == "auto" and policy.model.adapter is None


def settings(model: ResolvedModel, policy: Policy) -> FineTuneSettings:
    """Return how the check fine-tunes a model."""
    return models.schedule(policy.fine_tune, model, device=policy.model.device, seed=policy.seed)


def plant(
    samples: Sequence[Sample], policy: Policy, progress: Progress
) -> tuple[tuple[str, ...], tuple[Sample, ...]]:
    """Return the kinds and the copies of the canaries that the check plants.

    Where they will be too few for any verdict, that is said before the model is trained.
    """
    with progress.stage("plant", "Planting canaries"):
        planned = plan_canaries(
            samples, share=policy.fine_tune.canary_share, least=FEWEST_COPIES, seed=policy.seed
        )
        planted, copies = plant_canaries(
            planned,
            samples,
            least=FEWEST_COPIES,
            seed=policy.seed,
            shelf=Shelf(cache_folder()),
        )
    kinds = tuple(canary.kind for canary in planted)
    needed = get_detector(policy.detection.method).canaries
    counts = Counter(kinds)
    wanted = wanted_kinds(samples) if policy.fine_tune.canary_share else ()
    asked = Counter(canary.kind for canary in planned)
    few = [kind for kind in wanted if asked[kind] < FEWEST_COPIES]
    hidden = [kind for kind in wanted if asked[kind] >= FEWEST_COPIES > counts[kind]]
    if needed and few:
        whose = "no kind gets" if len(few) == len(wanted) else f"{', '.join(few)}: fewer than"
        progress.say(
            f"warning: {len(samples)} records are too few for canaries: {whose} the "
            f"{FEWEST_COPIES} copies that a kind needs, so the check cannot pass"
        )
    if needed and hidden:
        progress.say(
            f"warning: hardly any image can show {', '.join(hidden)}: fewer than {FEWEST_COPIES} "
            "canaries of the kind, so the check cannot pass"
        )
    return kinds, copies


def fine_tune(
    model: ResolvedModel,
    everything: Sequence[Sample],
    n_real: int,
    policy: Policy,
    device: str,
    progress: Progress,
    cache: Path | None = None,
) -> Tuned:
    """Fine-tune on records and canaries, or take the model that learned the same before.

    ``cache`` is where the model is kept, if not with everything else.
    """
    how = settings(model, policy)
    place = cache or cache_folder()
    folder = models.tuned_folder(place, model, everything, how)
    found = models.look_for_tuned(folder, model)
    if found is not None and models.launched() == 1:
        return found
    require_writable(place)
    watched = np.arange(len(everything)) >= n_real
    with progress.stage("fine-tune", f"Fine-tuning {model.name}") as task:
        return models.tune(
            model,
            everything,
            how,
            cache=place,
            device=device,
            watched=watched if watched.any() else None,
            max_pixels=policy.dataset.max_pixels,
            on_progress=lambda p: task.update(p.step, p.total, f"loss {p.loss:.3f}"),
        )
