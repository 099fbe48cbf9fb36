"""The policy and the baseline that judge a change: those of the ref that it is compared with.

A pull request brings its own copies of both. They are read too, but only to say what they would
loosen. Where they lie is asked of the ref as well: a file that the change takes away, or makes a
link, chooses no other judge.
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
from bye_lint.places import place, refuse_links, stands_in
from bye_lint.policy import (
    POLICY_NAMES,
    DatasetPolicy,
    ModelPolicy,
    Policy,
    default_policy,
    load_policy,
)
from bye_lint.records import Finding
from bye_lint.snapshot import differing


@dataclass(frozen=True, slots=True)
class Reference:
    """What judges a change.

    Attributes
    ----------
    weakened : tuple of Finding
        What the change would loosen in it (BYE301).
    known : tuple of Path
        The dataset files and folders that the base's own policy names, whether or not they are
        there. What else the change brings is new.
    """

    policy: Policy
    baseline: Baseline
    weakened: tuple[Finding, ...]
    known: tuple[Path, ...] = ()


def read_reference(
    head: Policy,
    ref: str,
    root: Path,
    *,
    start: Path,
    named: Path | None = None,
    choices: Mapping[str, Sequence[str]] | None = None,
) -> Reference:
    """Read the policy and the baseline as they are at a ref.

    The ref's own, not those of the commit where HEAD left it: whoever opens a pull request
    chooses from where. What a branch has left alone since then it does not loosen, however the
    ref has been tightened.

    The data that are checked are those that either policy names and that are there, so that none
    is dropped and none that is new is missed. Where there is no policy yet, the defaults judge,
    on the data and with the model that the head's policy names, which are told where they are not
    the defaults: the first policy of a repository cannot open its own gate. A model that lies in
    the repository, there or at the ref, and is not the ref's is told as well.

    Parameters
    ----------
    head : Policy
        The policy of the working tree, found or named as usual; no link leads to it.
    start : Path
        File or folder from which the policy is looked for upwards.
    named : Path, optional
        The policy that the command line names.
    choices : mapping of str to sequence of str, optional
        As in :func:`~bye_lint.policy.load_policy`.

    Raises
    ------
    VcsError
        If git cannot tell, a policy lies outside of the repository, one is a link at the ref, or
        the head's policy names data outside of the repository that the ref's does not.
    PolicyError, BaselineError
        If one of them has mistakes.
    """
    tip, fork = vcs.resolve(root, ref), vcs.merge_base(root, ref)
    names = _names(start, named, root)
    name, text = _policy_at(names, tip, root)
    policy = before = default_policy(head.base)
    if text is None:
        policy = dataclasses.replace(
            before, dataset=head.dataset, model=head.model, fine_tune=head.fine_tune
        )
    else:
        before = load_policy(root / name, choices=choices, text=text)
        policy = dataclasses.replace(before, source=f"{name} at {tip[:12]}")
    baseline = _baseline_at(policy, tip, root)
    weakened = _weakened(
        before, baseline, head, left=_policy_at(names, fork, root), fork=fork, root=root
    )
    weakened += tuple(
        weakened_finding(f"{file}: the model that judges the data is not that of {ref}", file)
        for file in _changed_model(policy, tip, root)
    )
    known = tuple(before.base / path for path in before.dataset.paths)
    _refuse_outside(head, root, known, images=text is None)
    policy = dataclasses.replace(policy, dataset=_with_paths(policy, head))
    return Reference(policy, baseline, weakened, known)


def _weakened(
    before: Policy,
    baseline: Baseline,
    head: Policy,
    *,
    left: tuple[str, str | None],
    fork: str,
    root: Path,
) -> tuple[Finding, ...]:
    """Return what the working tree's policy and baseline loosen, unless it is as it was left.

    Parameters
    ----------
    left : tuple of str and str or None
        Path and text of the policy at the commit where the branch left its base; findings are
        shown there if the working tree has none.
    fork : str
        That commit.
    """
    shown, own = left[0], None
    if head.source is not None:
        shown = place(Path(head.source), root)
        own = _plain_ends(Path(head.source).read_bytes()).decode("utf-8-sig")
    accepted, entries = _own_baseline(head, root)
    same = own == left[1] and (own is None or shown == left[0])
    found = () if same else policy_weakened(before, head, text=own or "", path=shown)
    if same and (accepted is None or entries == _read_at(root, fork, accepted.source)):
        return found
    return found + baseline_weakened(baseline, accepted or Baseline())


def _changed_model(policy: Policy, commit: str, root: Path) -> list[str]:
    """Return the first file that differs in the model's folder, and in the adapter's.

    A folder that is gone differs too: its name would be asked of the hub. One that git does not
    track is the machine's, as what lies outside of the repository is.
    """
    changed = []
    of_package = policy.model.name == ModelPolicy().name  # whatever folder is called so
    for name in filter(None, (None if of_package else policy.model.name, policy.model.adapter)):
        try:
            folder = place(policy.base / name, root)
        except VcsError:
            continue  # a model of the machine, which a change cannot touch
        changed += differing(folder, root, commit)[:1]
    return changed


def _refuse_outside(head: Policy, root: Path, known: Sequence[Path], *, images: bool) -> None:
    """Refuse data of the machine that the change's own policy names, and the base's does not.

    Parameters
    ----------
    images : bool
        The image root is the change's own, too.
    """
    named = [path for path in head.dataset.paths if not stands_in(head.base / path, root)]
    theirs = {os.path.realpath(path) for path in known}
    new = [path for path in named if os.path.realpath(head.base / path) not in theirs]
    image_root = head.dataset.image_root
    if images and image_root is not None and not stands_in(head.base / image_root, root):
        new.append(image_root)
    if new:
        raise VcsError(
            f"{new[0]}: lies outside of the repository, and only the policy of the change names it",
            "Name it in the policy of the base first, or on the command line.",
        )


def _with_paths(policy: Policy, head: Policy) -> DatasetPolicy:
    there = [path for path in policy.dataset.paths if (policy.base / path).exists()]
    new = [os.path.relpath(head.base / path, policy.base) for path in head.dataset.paths]
    paths = dict.fromkeys(Path(path).as_posix() for path in [*there, *new])
    return dataclasses.replace(policy.dataset, paths=tuple(paths))


def _names(start: Path, named: Path | None, root: Path) -> list[list[str]]:
    """Return the paths that the policy may have, nearest first; of those in a list, one may be."""
    first = PurePosixPath(place(named or start, root))
    folders = [[str(f / name) for name in POLICY_NAMES] for f in (first, *first.parents)]
    return [[str(first)], *folders] if named is not None else folders


def _policy_at(names: Sequence[Sequence[str]], commit: str, root: Path) -> tuple[str, str | None]:
    """Return the path and text of the policy that held at a commit."""
    files = vcs.list_at(root, commit, [name for group in names for name in group])
    for group in names:
        found = [name for name in group if name in files]
        if len(found) > 1:
            both = " and ".join(found)
            raise PolicyError(f"two policies at {commit[:12]}, {both}", "Keep one of them.")
        data = _read_at(root, commit, found[0]) if found else None
        if data is not None:
            try:
                return found[0], data.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise PolicyError(
                    f"{found[0]} at {commit[:12]}: not UTF-8", "Save the policy as UTF-8."
                ) from error
    return names[0][0], None


def _baseline_at(policy: Policy, commit: str, root: Path) -> Baseline:
    if policy.baseline is None:
        return Baseline()
    name = place(policy.base / policy.baseline, root)
    data = _read_at(root, commit, name)
    if data is None:
        return Baseline(source=name)
    return load_baseline(root / name, text=data.decode("utf-8-sig", "replace"), source=name)


def _own_baseline(head: Policy, root: Path) -> tuple[Baseline | None, bytes]:
    """Return the working tree's baseline and its bytes, with plain ends of lines."""
    if head.baseline is None or not (head.base / head.baseline).exists():
        return None, b""
    path = head.base / head.baseline
    refuse_links(path, root)
    return load_baseline(path, source=place(path, root)), _plain_ends(path.read_bytes())


def _read_at(root: Path, commit: str, name: str) -> bytes | None:
    data = vcs.read_at(root, commit, name)
    return None if data is None else _plain_ends(data)


def _plain_ends(data: bytes) -> bytes:
    """Return a file's bytes with LF for CRLF, which git may write in the working tree alone."""
    return data.replace(b"\r\n", b"\n")
