"""The entropy that a check computes on its device is the published one."""

from __future__ import annotations

import numpy as np
import torch

from bye_lint.models.probe import _entropy
from bye_lint.stages import attention_entropy


def test_the_entropy_beside_the_model_is_that_of_the_first_stage():
    rng = np.random.default_rng(0)
    attention = rng.dirichlet(np.full(49, 0.3), (5, 6))
    attention[0, 0] = np.eye(49)[3]  # collapsed
    attention[0, 1] = 1 / 49  # even
    found = _entropy(torch.from_numpy(attention)).numpy()
    np.testing.assert_allclose(found, attention_entropy(attention), rtol=1e-12, atol=1e-12)
