"""How well a layer or a head tells the suspects from the rest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata


def separation(
    values: npt.NDArray[np.float64], flagged: npt.NDArray[np.bool_]
) -> tuple[float, ...]:
    """Return each column's area under the ROC curve, folded so that 0.5 is none and 1 is whole.

    The suspects were chosen by the same values, so this describes the choice; it does not
    prove it.

    Parameters
    ----------
    values : (n_samples, n_columns) array
        Rows that are not finite are left out.
    flagged : (n_samples,) bool array

    Returns
    -------
    tuple of float
        Empty where there is nothing flagged, or nothing else.
    """
    finite = np.isfinite(values).all(axis=1)
    values, flagged = values[finite], flagged[finite]
    inside, outside = int(flagged.sum()), int((~flagged).sum())
    if not inside or not outside or not values.shape[1]:
        return ()
    ranks = rankdata(values, axis=0)
    area = (ranks[flagged].sum(axis=0) - inside * (inside + 1) / 2) / (inside * outside)
    return tuple(float(v) for v in np.maximum(area, 1.0 - area))
