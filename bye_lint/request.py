"""What one check was asked to do: the paths, and the policy with the command line's overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bye_lint import tables
from bye_lint.baseline import Baseline, load_baseline
from bye_lint.ci import base_ref, refuse_another_push
from bye_lint.datapaths import data_among, dataset_places, paths_of_hook
from bye_lint.datasets import dataset_files, display_path
from bye_lint.errors import ResultError, UsageError
from bye_lint.escape import visible
from bye_lint.places import refuse_leaving, refuse_links, stands_in
from bye_lint.policy import (
    DEVICE,
    PATTERNS,
    Policy,
    default_policy,
    find_policy,
    load_policy,
    show_policy,
)
from bye_lint.records import Finding
from bye_lint.reference import Reference, read_reference
from bye_lint.results import ScanResult
from bye_lint.vcs import repository_root


@dataclass(frozen=True, slots=True)
class Request:
    """One check.

    Attributes
    ----------
    paths : tuple of Path
        Dataset files and folders.
    root : Path
        Folder that reported paths are relative to: the repository's root, or the working
        directory outside of one.
    structural : bool
        Run the structural rules alone.
    changed_since : str or None
        Git ref; only what changed since it is judged.
    baseline : Baseline
        Findings that are known and accepted.
    weakened : tuple of Finding
        What the change would loosen in its own judge.
    known : tuple of Path or None
        Where records of the base count as known, if a change is judged by its base; None: in the
        paths, in those of the policy, and under the names that they had.
    policy_ref : str or None
        Git ref that the policy and the baseline are of; None: they are the working tree's.
    policy_path : Path or None
        The policy file that the command line named, or that gave the paths and would not be found
        from the root.
    paths_of_policy : bool
        The paths are those of the policy; else the command line named them.
    accepts : bool
        A baseline, if there is one, counts.
    """

    paths: tuple[Path, ...]
    policy: Policy
    root: Path
    structural: bool = False
    changed_since: str | None = None
    baseline: Baseline = field(default_factory=Baseline)
    weakened: tuple[Finding, ...] = ()
    known: tuple[Path, ...] | None = None
    policy_ref: str | None = None
    policy_path: Path | None = None
    paths_of_policy: bool = False
    accepts: bool = True


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says instead of the policy."""

    policy_path: Path | None = None
    device: str | None = None
    seed: int | None = None
    structural: bool = False
    changed_since: str | None = None
    policy_from_ref: bool = False
    policy_ref: str | None = None
    baseline: bool = True
    hook: bool = False
    policy_alone: bool = False  # nothing is read, so no data need be named
    example: str = "bye-lint check data/"  # how the command is told of data


def plan_request(paths: Sequence[Path], overrides: Overrides) -> Request:
    """Find the policy, apply the command line's overrides, settle the paths.

    A policy file among the paths is read, and so checked, but holds no records.

    The order is part of what protects a change's judge. The repository and the ref come first,
    since both decide whose files count. The base's policy is read before any path is chosen: it
    names the data, their format and the image root, so that by the change's own policy the change
    could take its data out of the check, or have other places looked at than are read. Only what
    was chosen by it can then be held to lie within the repository.

    Raises
    ------
    UsageError
        If a path does not exist, or there is none to check.
    PolicyError
        If the policy has mistakes.
    VcsError
        If git cannot tell what the change is compared with.
    """
    _refuse_arguments(paths, overrides)
    start = paths[0] if paths else Path.cwd()
    root = (repository_root(start) or Path.cwd()).resolve()
    if "auto" in (overrides.changed_since, overrides.policy_ref):
        refuse_another_push(os.environ, root)
    ref = _ref(overrides.changed_since)
    judge_ref = _judge_ref(overrides, ref)
    if judge_ref is not None:
        _refuse_another_repository(start, root)
    found = overrides.policy_path or find_policy(start)
    rules = _rules(overrides, found, judge_ref, start, root)
    chosen = _chosen_paths(paths, overrides, rules.policy)
    if judge_ref is not None:
        _refuse_leaving(chosen, rules.policy, root)
    of_policy = not set(chosen) & set(paths)
    return Request(
        paths=chosen,
        policy=_overridden(rules.policy, overrides),
        root=root,
        structural=overrides.structural,
        changed_since=ref,
        baseline=rules.baseline if overrides.baseline else Baseline(),
        weakened=rules.weakened,
        known=None if judge_ref is None else (*data_among(paths), *rules.known),
        policy_ref=judge_ref,
        policy_path=_told_policy(overrides, found if of_policy else None, root),
        paths_of_policy=of_policy,
        accepts=overrides.baseline,
    )


def _refuse_arguments(paths: Sequence[Path], overrides: Overrides) -> None:
    """Refuse what the command line alone shows to be a mistake.

    Raises
    ------
    UsageError
    """
    if overrides.hook and not overrides.structural:
        raise UsageError(
            "--hook is for --structural alone",
            "A check by the model needs whole datasets, not the files of a commit.",
        )
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder", "Check the spelling of the path.")
    if overrides.device is not None and re.search(DEVICE, overrides.device) is None:
        raise UsageError(
            f"--device {overrides.device!r}: no such device", f"Use {PATTERNS[DEVICE]}."
        )


def _rules(
    overrides: Overrides, found: Path | None, judge_ref: str | None, start: Path, root: Path
) -> Reference:
    """Return the policy and the baseline that judge: the working tree's, or those of a ref."""
    if judge_ref is not None and found:
        refuse_links(found, root)  # before it is read: it could lead to another file at the ref
    choices = tables.choices()
    policy = load_policy(found, choices=choices) if found else default_policy(Path.cwd())
    if judge_ref is not None:
        return read_reference(
            policy, judge_ref, root, start=start, named=overrides.policy_path, choices=choices
        )
    baseline = Baseline()
    if policy.baseline is not None and overrides.baseline:
        path = policy.base / policy.baseline
        baseline = load_baseline(path, source=shown(path, root))
    return Reference(policy, baseline, ())


def _chosen_paths(paths: Sequence[Path], overrides: Overrides, policy: Policy) -> tuple[Path, ...]:
    """Return the data that are checked, by the policy that judges."""
    if overrides.policy_alone:
        return data_among(paths)
    if overrides.hook:
        return paths_of_hook(paths, policy)
    return dataset_places(paths, policy, overrides.example)


def _refuse_leaving(chosen: Sequence[Path], policy: Policy, root: Path) -> None:
    """Refuse data and images in the repository that links lead out of it."""
    image_root = policy.dataset.image_root
    for path in (*chosen, *(() if image_root is None else (policy.base / image_root,))):
        refuse_leaving(path, root)


def _overridden(policy: Policy, overrides: Overrides) -> Policy:
    """Return the policy with what the command line says instead."""
    if overrides.device is not None:
        policy = replace(policy, model=replace(policy.model, device=overrides.device))
    return policy if overrides.seed is None else replace(policy, seed=overrides.seed)


def _told_policy(overrides: Overrides, found: Path | None, root: Path) -> Path | None:
    """Return the policy file by whose name alone the same check can be asked for again."""
    if overrides.policy_path is not None:
        return overrides.policy_path
    return found if found and found.parent.resolve() != root else None


def _ref(ref: str | None) -> str | None:
    """Return a ref; ``auto`` is the one that a hook or a CI service names, if any."""
    return base_ref(os.environ) if ref == "auto" else ref


def _judge_ref(overrides: Overrides, ref: str | None) -> str | None:
    """Return the ref whose policy judges, if the command line asks for one."""
    if overrides.policy_ref is not None:
        return _ref(overrides.policy_ref)
    if overrides.policy_from_ref and overrides.changed_since is None:
        raise UsageError(
            "--policy-from-ref needs a ref to read the policy from",
            "Add --changed-since REF, or auto in a hook or a CI job; to check everything, name the "
            "ref with --policy-ref instead.",
        )
    return ref if overrides.policy_from_ref else None


def _refuse_another_repository(start: Path, root: Path) -> None:
    """Refuse data that a link or a submodule leads into a repository with refs of its own.

    Raises
    ------
    UsageError
    """
    here = repository_root(Path.cwd())
    if here is not None and here != root and stands_in(start, here):
        raise UsageError(
            f"{start}: belongs to another repository, {root}",
            "Run from inside of that one, so that its own base is asked for the policy.",
        )


def effective_policy(request: Request) -> str:
    """Return the policy that the check would follow, as YAML."""
    return show_policy(request.policy)


def sources(request: Request) -> Iterator[Path]:
    """Yield the files that the check reads as its subject or by its rules: nothing may write them.

    Raises
    ------
    DatasetError
        If a path holds no dataset.
    """
    policy = request.policy
    if policy.source:
        yield Path(policy.source)
    if policy.baseline is not None:
        yield policy.base / policy.baseline
    for file in dataset_files(request.paths, policy.dataset, policy.base):
        yield file.path


def dataset_paths(
    request: Request, *, on_passed_over: Callable[[Path], None] | None = None
) -> tuple[str, ...]:
    """Return the dataset files that would be read, as reports show them."""
    policy = request.policy
    found = dataset_files(request.paths, policy.dataset, policy.base, on_passed_over=on_passed_over)
    return tuple(shown(file.path, request.root) for file in found)


def passed_over(paths: Sequence[Path], root: Path, *, most: int = 3) -> str:
    """Say which files of the folders look like data and were not read."""
    named = ", ".join(visible(shown(path, root)) for path in paths[:most])
    more = f" and {len(paths) - most} more (--show-files lists them)" if len(paths) > most else ""
    return f"passed over, hidden or of no known format: {named}{more}"


def shown(path: Path, root: Path) -> str:
    """Return a path as reports show it: relative to the root, with forward slashes.

    A file that is a link is shown where it stands, and so is a link to a folder outside of the
    root, as their records are: what they lead to has another name, and other files beside it.
    """
    if path.is_dir() and path.resolve().is_relative_to(root.resolve()):
        path = path.resolve()
    return display_path(path, root)


def result_paths(result: ScanResult) -> tuple[Path, ...]:
    """Return the dataset files and folders that a saved result is of.

    Raises
    ------
    ResultError
        If one is not here.
    """
    root = (repository_root(Path.cwd()) or Path.cwd()).resolve()
    paths = tuple(root / path for path in result.paths)
    for path in paths:
        if not path.exists():
            raise ResultError(
                f"{path}: the data of this result are not here",
                "Run from the repository (or the folder) in which the check was run.",
            )
    return paths
