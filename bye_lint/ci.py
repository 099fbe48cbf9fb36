"""What hooks and CI services say in the environment: what a change is compared with, and pushed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bye_lint.errors import UsageError
from bye_lint.vcs import resolve

_PUSHED_FROM, _PUSHED_TO = "PRE_COMMIT_FROM_REF", "PRE_COMMIT_TO_REF"

#: Where the base stands, and how to name it for git: in full, since a tag of a shorter name would
#: come first.
_BASES = (
    (_PUSHED_FROM, "{}"),
    ("GITHUB_BASE_REF", "refs/remotes/origin/{}"),
    # not CI_MERGE_REQUEST_DIFF_BASE_SHA, which is where the branch began: its author chooses that
    ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "refs/remotes/origin/{}"),
    ("CHANGE_TARGET", "refs/remotes/origin/{}"),
)


def base_ref(environ: Mapping[str, str]) -> str | None:
    """Return the ref that a hook or a CI service says the change is to be compared with.

    Known are pre-commit's pre-push stage, pull requests on GitHub, merge requests on GitLab and
    change requests on Jenkins; None elsewhere, where everything is to be checked.
    """
    return next((form.format(environ[name]) for name, form in _BASES if environ.get(name)), None)


def refuse_another_push(environ: Mapping[str, str], root: Path) -> None:
    """Refuse to speak for a push of what is not checked out: the working tree is what is read.

    Raises
    ------
    UsageError
        If what a pre-push hook says is pushed is not the commit of HEAD.
    VcsError
        If git does not know it.
    """
    pushed = environ.get(_PUSHED_TO)
    if not pushed or not environ.get(_PUSHED_FROM):
        return
    wanted, here = resolve(root, pushed), resolve(root, "HEAD")
    if wanted != here:
        raise UsageError(
            f"{root}: {wanted[:12]} is to be pushed, and {here[:12]} is checked out",
            "Check out what you push, so that its data are the ones that are read.",
        )
