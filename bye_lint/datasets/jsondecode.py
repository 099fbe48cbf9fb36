"""One JSON value out of a string, by the standard library's scanner, without its leniency."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NamedTuple


class Broken(NamedTuple):
    """Why no value could be read, and where in the string."""

    message: str
    pos: int


class _RefusedError(ValueError):
    """A value that the standard library takes and JSON does not; a constant by its name."""

    def __init__(self, message: str, constant: str = "") -> None:
        super().__init__(message)
        self.constant = constant


def _constant(name: str) -> Any:
    raise _RefusedError(f"{name} is not JSON, write null", name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # parsers disagree on which of the two holds, so what is checked may not be what is trained
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise _RefusedError(f"the key {clip(twice)} is given twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_SURROGATE = re.compile("[\ud800-\udfff]")
# a string that does not end goes on to the end, else each quote in it would begin another
_CONSTANT = re.compile(r'"(?:[^"\\]++|\\.)*+"?|(-?Infinity|NaN)', re.DOTALL)


def decode(text: str, pos: int) -> tuple[Any, int] | Broken:
    """Decode the value that begins at ``pos``; return it and the place after it, or what is wrong.

    Beyond what the standard library checks, ``NaN`` and keys that are given twice are refused.
    """
    try:
        value, end = _DECODER.raw_decode(text, pos)
    except json.JSONDecodeError as error:
        return Broken(_lowered(error.msg), error.pos)
    except _RefusedError as error:
        return Broken(str(error), _place_of_constant(text, pos, error.constant))
    except ValueError:
        return Broken("a number has too many digits", pos)
    except RecursionError:
        return Broken("nested too deeply", pos)
    return value, end


def is_incomplete(broken: Broken, length: int) -> bool:
    """Tell whether more text might mend what is wrong, in a string of ``length``."""
    # the longest literal that can be cut off is -Infinity, the longest escape \\uXXXX\\uXXXX
    return broken.message.startswith("unterminated string") or (
        broken.pos >= length - 16 and not broken.message.startswith("nested")
    )


def has_surrogate(text: str) -> bool:
    """Tell whether a string holds half a character, which no UTF-8 file can hold."""
    return not text.isascii() and _SURROGATE.search(text) is not None


def clip(value: object, limit: int = 80) -> str:
    """Return a value as it may be shown in a message: control characters escaped, not too long."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"  # too deep to show, perhaps
    text = ascii(value) if isinstance(value, str) and has_surrogate(value) else repr(value)
    return text if len(text) <= limit else text[: limit - 4] + "..." + text[-1]


def _lowered(message: str) -> str:
    message = message.removesuffix(" at").removesuffix(" starting")
    return message[:1].lower() + message[1:]


def _place_of_constant(text: str, pos: int, name: str) -> int:
    """Return where a constant stands, or ``pos`` where it is none that was refused."""
    for match in _CONSTANT.finditer(text, pos) if name else ():
        if match.group(1) == name:
            return match.start(1)
    return pos
