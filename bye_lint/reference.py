"""The policy and the baseline that judge a change: those of the commit it is compared with.

A pull request brings its own copies of both. They are read too, but only to say what they would
loosen.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bye_lint import vcs
from bye_lint.baseline import (
    Baseline,
    baseline_weakened,
    load_baseline,
    policy_weakened,
    weakened_finding,
)
from bye_lint.errors import PolicyError, VcsError
from bye_lint.policy import POLICY_NAMES, DatasetPolicy, Policy, default_policy, load_policy
from bye_lint.records import Finding
from bye_lint.snapshot import differing


@dataclass(frozen=True, slots=True)
class Reference:
    """What judges a change, and what the change would loosen in it (BYE301)."""

    policy: Policy
    baseline: Baseline
    weakened: tuple[Finding, ...]


def read_reference(
    head: Policy, ref: str, root: Path, *, choices: Mapping[str, Sequence[str]] | None = None
) -> Reference:
    """Read the policy and the baseline as they were where HEAD left a ref.

    The data that are checked are those that either names and that are there, so that none is
    dropped and none that is new is missed. Where there was no policy yet, the defaults judge,
    on the data and with the model that the head's policy names: the first policy of a
    repository cannot open its own gate. A model that lies in the repository and differs from
    the base's is told as well.

    Parameters
    ----------
    head : Policy
        The policy of the working tree, found or named as usual.
    choices : mapping of str to sequence of str, optional
        As in :func:`~bye_lint.policy.load_policy`.

    Raises
    ------
    VcsError
        If git cannot tell, or a policy lies outside of the repository.
    PolicyError, BaselineError
        If one of them has mistakes.
    """
    commit = vcs.merge_base(root, ref)
    name, text = _policy_at(head, commit, root)
    if text is None:
        policy = dataclasses.replace(
            default_policy(head.base),
            dataset=head.dataset,
            model=head.model,
            fine_tune=head.fine_tune,
        )
    else:
        policy = load_policy(root / name, choices=choices, text=text)
        policy = dataclasses.replace(policy, source=f"{name} at {commit[:12]}")
    own = "" if head.source is None else Path(head.source).read_text(encoding="utf-8-sig")
    shown = name if head.source is None else _relative(Path(head.source), root)
    baseline = _baseline_at(policy, commit, root)
    weakened = policy_weakened(policy, head, text=own, path=shown)
    weakened += baseline_weakened(baseline, _own(head, root))
    weakened += tuple(
        weakened_finding(
            f"{file}: the model that judges the data is changed by the same change", file
        )
        for file in _changed_model(policy, commit, root)
    )
    policy = dataclasses.replace(policy, dataset=_with_paths(policy, head))
    return Reference(policy, baseline, weakened)


def _changed_model(policy: Policy, commit: str, root: Path) -> list[str]:
    """Return the first file that differs in the model's folder, and in the adapter's."""
    changed = []
    for name in (policy.model.name, policy.model.adapter):
        path = (policy.base / name).resolve() if name else root.resolve()
        if path.is_dir() and path != root.resolve() and path.is_relative_to(root.resolve()):
            changed += differing(_relative(path, root), root, commit)[:1]
    return changed


def _with_paths(policy: Policy, head: Policy) -> DatasetPolicy:
    there = [path for path in policy.dataset.paths if (policy.base / path).exists()]
    new = [os.path.relpath(head.base / path, policy.base) for path in head.dataset.paths]
    paths = dict.fromkeys(Path(path).as_posix() for path in [*there, *new])
    return dataclasses.replace(policy.dataset, paths=tuple(paths))


def _policy_at(head: Policy, commit: str, root: Path) -> tuple[str, str | None]:
    """Return the path and text of the policy that held at a commit."""
    folder = PurePosixPath(_relative(head.base, root))
    names = [str(f / name) for f in (folder, *folder.parents) for name in POLICY_NAMES]
    if head.source is not None:
        names.insert(0, _relative(Path(head.source), root))
    files = vcs.list_at(root, commit)
    name = next((name for name in names if name in files), names[0])
    data = vcs.read_at(root, commit, name)
    if data is None:
        return name, None
    try:
        return name, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PolicyError(
            f"{name} at {commit[:12]}: not UTF-8", "Save the policy as UTF-8."
        ) from error


def _baseline_at(policy: Policy, commit: str, root: Path) -> Baseline:
    if policy.baseline is None:
        return Baseline()
    name = _relative(policy.base / policy.baseline, root)
    data = vcs.read_at(root, commit, name)
    if data is None:
        return Baseline(source=name)
    return load_baseline(root / name, text=data.decode("utf-8-sig", "replace"), source=name)


def _own(head: Policy, root: Path) -> Baseline:
    if head.baseline is None or not (head.base / head.baseline).exists():
        return Baseline()
    path = head.base / head.baseline
    return load_baseline(path, source=_relative(path, root))


def _relative(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError as error:
        raise VcsError(
            f"{path}: lies outside of the repository {root}",
            "With --policy-from-ref, keep the policy and the baseline in the repository.",
        ) from error
