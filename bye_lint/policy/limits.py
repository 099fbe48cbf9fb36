"""Limits of the gate: a count, or a percentage of something."""

from __future__ import annotations

import re
from fractions import Fraction

from bye_lint.errors import PolicyError

#: A percentage from 0% to 100%, as JSON schema and :func:`parse_limit` both read it.
PERCENTAGE = r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?) ?%$"


def parse_limit(limit: int | str, total: int) -> int:
    """Return how many of ``total`` a limit allows.

    Parameters
    ----------
    limit : int or str
        A count, or a percentage such as ``0.5%``; a share of a record is not allowed, so that
        ``0.5%`` of 199 is 0.
    total : int
        What the percentage is of.

    Raises
    ------
    PolicyError
        If the limit is neither.
    """
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
        return limit
    if isinstance(limit, str):
        text = limit.strip()
        if text.isascii() and text.isdigit():
            return int(text)
        if re.match(PERCENTAGE, text):
            # Fractions: 0.29 * 100 is 28.999... in floating point
            return int(Fraction(text.rstrip("% ")) * total / 100)
    raise PolicyError(
        f"{limit!r} is not a limit, expected a count or a percentage from 0% to 100%",
        'Write a count such as 3, or a percentage such as "0.5%".',
    )
