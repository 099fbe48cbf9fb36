"""A baseline in JSON, read by json itself: only where each entry begins is kept of its places."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from bye_lint.policy.nodes import Document, Place, Where

_SPACE = re.compile(r"[ \t\n\r]*")
_TOP = Place(1, 1)


class _Unplaced(dict[Where, Place]):
    """Places that were not kept are the top of the file."""

    def __missing__(self, key: Where) -> Place:
        return _TOP


def read_json(text: str) -> Document | None:
    """Read a baseline, or return ``None`` where it is not JSON or gives a key twice.

    Whoever finds a mistake in the values reads the text again with
    :func:`~bye_lint.policy.nodes.read_document`, which knows the place of every key and value.
    """
    try:
        return _Reader(text).read()
    except (ValueError, IndexError, RecursionError):
        return None


class _Reader:
    """One walk over the text: by hand down to the list of entries, each of which json reads."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.document = Document(values=_Unplaced(), keys=_Unplaced())
        self.decoder = json.JSONDecoder(object_pairs_hook=_mapping, parse_constant=_refuse)
        self._seen, self._line, self._begin = 0, 1, 0

    def read(self) -> Document:
        pairs: list[tuple[Any, Any]] = []
        self._expect("{")
        while not self._is_next("}"):
            if pairs:
                self._expect(",")
            key = self._value()
            self._expect(":")
            pairs.append((key, self._entries() if key == "entries" else self._value()))
        self.document.value = _mapping(pairs)
        if self._skip() != len(self.text):
            raise ValueError("there is more than one value")
        return self.document

    def _entries(self) -> Any:
        if not self._is_next("["):
            return self._value()
        found: list[Any] = []
        while not self._is_next("]"):
            if found:
                self._expect(",")
            self.document.values["entries", len(found)] = self._place()
            found.append(self._value())
        return found

    def _value(self) -> Any:
        value, self.at = self.decoder.raw_decode(self.text, self._skip())
        return value

    def _place(self) -> Place:
        at = self._skip()
        self._line += self.text.count("\n", self._seen, at)
        self._begin = max(self._begin, self.text.rfind("\n", self._seen, at) + 1)
        self._seen = at
        return Place(self._line, at - self._begin + 1)

    def _skip(self) -> int:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _is_next(self, sign: str) -> bool:
        found = self.text[self._skip()] == sign
        self.at += found
        return found

    def _expect(self, sign: str) -> None:
        if not self._is_next(sign):
            raise ValueError(f"no {sign}")


def _mapping(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs) or not all(isinstance(key, str) for key in found):
        raise ValueError("a key is no text, or is given twice")
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")
