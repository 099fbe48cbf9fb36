"""What every example lost each time that training came by it: how fast it was learned.

It costs nothing: the loss is computed for the gradient anyway, before the step that it leads to.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bye_lint.features import FloatArray


class LossTrace:
    """Mean negative log-likelihood of each example's answer, visit by visit, in nats a token.

    Parameters
    ----------
    n_examples : int
    """

    def __init__(self, n_examples: int) -> None:
        self._visits = torch.zeros(n_examples, dtype=torch.long)
        self._values = torch.full((n_examples, 1), torch.nan)

    def note(self, chosen: Sequence[int], losses: Sequence[float]) -> None:
        """Keep the losses of one batch's examples."""
        if not losses:
            return
        at = torch.tensor(list(chosen))
        visit = self._visits[at]
        if int(visit.max()) >= self._values.shape[1]:
            fresh = torch.full((len(self._values), 1), torch.nan)
            self._values = torch.cat([self._values, fresh], dim=1)
        self._values[at, visit] = torch.tensor(list(losses))
        self._visits[at] += 1

    def state(self) -> dict[str, Tensor]:
        """Return what :meth:`restore` takes."""
        return {"visits": self._visits, "values": self._values}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a kept state."""
        self._visits, self._values = state["visits"].cpu(), state["values"].cpu()

    def array(self) -> FloatArray | None:
        """Return (n_examples, n_visits): the visits that every example had; ``None`` before."""
        complete = int(self._visits.min()) if len(self._visits) else 0
        return self._values[:, :complete].numpy().copy() if complete else None
