"""Which data a check is of: those that the command line names, or those of the policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bye_lint.datasets import holds_records
from bye_lint.errors import UsageError
from bye_lint.policy import POLICY_NAMES, Policy


def data_among(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return those of some paths that are no policy files, which hold no records."""
    return tuple(path for path in paths if path.name not in POLICY_NAMES)


def paths_of_hook(paths: Sequence[Path], policy: Policy) -> tuple[Path, ...]:
    """Return what there is to check of the files that a hook names; it may be nothing.

    A hook names whatever has a dataset's suffix. What holds no records is passed over, as in a
    folder; if the policy is among the files, its own paths are checked when no other is.
    """
    chosen = tuple(
        path
        for path in data_among(paths)
        if path.is_dir() or holds_records(path, policy.dataset, policy.base)
    )
    if not chosen and len(data_among(paths)) < len(paths) and policy.dataset.paths:
        return dataset_places((), policy, "")
    return chosen


def dataset_places(paths: Sequence[Path], policy: Policy, example: str) -> tuple[Path, ...]:
    """Return the data that are named, or else those of the policy.

    Parameters
    ----------
    example : str
        How the command is told of data.

    Raises
    ------
    UsageError
        If there is none, or the policy's are not there.
    """
    chosen = data_among(paths)
    if chosen:
        return chosen
    chosen = tuple(policy.base / path for path in policy.dataset.paths)
    if not chosen:
        raise UsageError(
            "nothing to check: no PATH of data was given and the policy names none",
            f"Name a folder ({example}), or set dataset.paths in bye-lint.yaml.",
        )
    for path in chosen:
        if not path.exists():
            raise UsageError(
                f"{path}: no such file or folder (dataset.paths in {policy.source})",
                "Paths of the policy are relative to the policy file.",
            )
    return chosen
