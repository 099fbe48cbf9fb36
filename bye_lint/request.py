"""What one check was asked to do: the paths, and the policy with the command line's overrides."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bye_lint import tables
from bye_lint.datasets import dataset_files
from bye_lint.errors import UsageError
from bye_lint.policy import Policy, default_policy, find_policy, load_policy, show_policy
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
    """

    paths: tuple[Path, ...]
    policy: Policy
    root: Path
    structural: bool = False


def plan_request(
    paths: Sequence[Path],
    *,
    policy_path: Path | None = None,
    device: str | None = None,
    seed: int | None = None,
    structural: bool = False,
) -> Request:
    """Find the policy, apply the command line's overrides, settle the paths.

    Raises
    ------
    UsageError
        If a path does not exist, or there is none to check.
    PolicyError
        If the policy has mistakes.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder", "Check the spelling of the path.")
    start = paths[0] if paths else Path.cwd()
    found = policy_path or find_policy(start)
    policy = load_policy(found, choices=tables.choices()) if found else default_policy(Path.cwd())
    if device is not None:
        policy = replace(policy, model=replace(policy.model, device=device))
    if seed is not None:
        policy = replace(policy, seed=seed)
    chosen = tuple(paths) or tuple(policy.base / p for p in policy.dataset.paths)
    if not chosen:
        raise UsageError(
            "nothing to check: no PATH was given and the policy names none",
            "Name a folder (bye-lint check data/), or set dataset.paths in bye-lint.yaml.",
        )
    missing = [p for p in chosen if not p.exists()]
    if missing:
        raise UsageError(
            f"{missing[0]}: no such file or folder (dataset.paths in {policy.source})",
            "Paths of the policy are relative to the policy file.",
        )
    root = repository_root(chosen[0]) or Path.cwd()
    return Request(chosen, policy, root.resolve(), structural)


def effective_policy(request: Request) -> str:
    """Return the policy that the check would follow, as YAML."""
    return show_policy(request.policy)


def dataset_paths(request: Request) -> tuple[str, ...]:
    """Return the dataset files that would be read, as reports show them."""
    policy = request.policy
    found = dataset_files(request.paths, policy.dataset, policy.base)
    return tuple(shown(file.path, request.root) for file in found)


def shown(path: Path, root: Path) -> str:
    """Return a path as reports show it: relative to the root, with forward slashes."""
    return Path(os.path.relpath(path.resolve(), root)).as_posix()
