"""What a result was made with: the tool, the packages, the model, the data, the policy."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bye_lint import __version__
from bye_lint.packages import installed
from bye_lint.policy import show_policy
from bye_lint.records import Checked
from bye_lint.request import Request, shown
from bye_lint.results import Reproducibility

if TYPE_CHECKING:
    from bye_lint.scoring import Scores

#: Packages whose version can change a score.
_PACKAGES = ("numpy", "pillow", "scikit-learn", "torch", "transformers")


def reproducibility(
    request: Request, checked: Sequence[Checked], scores: Scores | None
) -> Reproducibility:
    """Return what is needed to repeat a check, and to know whether it is the same one.

    Parameters
    ----------
    checked : sequence of Checked
        Every record that was read; their order does not matter.
    scores : Scores or None
        ``None`` where no model looked at the records.
    """
    policy = request.policy
    content = hashlib.sha256("\n".join(sorted(item.digest for item in checked)).encode())
    rules = hashlib.sha256(show_policy(policy).encode())
    model = scores.model if scores is not None else None
    versions = {name: installed(name) for name in _PACKAGES}
    return Reproducibility(
        tool_version=__version__,
        seed=policy.seed,
        python=platform.python_version(),
        packages={name: found for name, found in versions.items() if found},
        device=scores.device if scores is not None else "",
        dtype=scores.dtype if scores is not None else "",
        model=model.name if model is not None else "",
        model_digest=model.whole_digest if model is not None else "",
        fine_tuned=scores.fine_tuned if scores is not None else "",
        family=model.family if model is not None else "",
        dataset_digest=content.hexdigest(),
        policy_digest=rules.hexdigest(),
        changed_since=request.changed_since,
        policy_ref=request.policy_ref,
        policy_path=shown(request.policy_path, request.root) if request.policy_path else None,
        paths_of_policy=request.paths_of_policy,
        accepts=request.accepts,
    )
