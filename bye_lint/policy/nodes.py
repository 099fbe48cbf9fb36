"""YAML to plain values, with the place of every key and value, and every mistake at its place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

#: Path of keys and indices to a value, as in a JSON-schema error.
Where = tuple[str | int, ...]

#: More nodes than any policy has; aliases multiply nodes without multiplying the file.
MAX_NODES = 10_000
MAX_DEPTH = 20

_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + name for name in ("str", "int", "float", "bool", "null")}

# YAML 1.1 reads 2e-4 as text; everyone who writes it means the number
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


class Place(NamedTuple):
    """1-based line and column."""

    line: int
    column: int


class Problem(NamedTuple):
    """A mistake and where it stands; problems sort by place."""

    place: Place
    message: str


@dataclass
class Document:
    """A YAML document as plain values.

    Attributes
    ----------
    value : object
        dicts, lists and scalars; ``None`` for an empty document.
    values, keys : mapping of path to Place
        Where each value and each key begins.
    problems : list of Problem
        Everything that kept a part of the document from being read.
    """

    value: Any = None
    values: dict[Where, Place] = field(default_factory=dict)
    keys: dict[Where, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_document(text: str, *, max_nodes: int = MAX_NODES, fast: bool = False) -> Document:
    """Read one YAML document with the safe loader; nothing is raised, mistakes are listed.

    Parameters
    ----------
    fast : bool
        Let libyaml parse it, if PyYAML has it, for what may be long. What is not plain, or has a
        mistake, is read again without.
    """
    if fast and yaml.__with_libyaml__:
        document = _PlainReader(yaml.CSafeLoader(text), max_nodes).document_of_events()
        if document is not None:
            return document
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return _Reader(loader, max_nodes).read(node) if node is not None else Document()
    except yaml.MarkedYAMLError as error:
        return Document(problems=[_syntax_problem(error)])
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        return Document(problems=[Problem(place, "a control character is not allowed in YAML")])
    except _TooMuchError as error:
        return Document(problems=[Problem(_place(error.mark), str(error))])
    finally:
        if loader is not None:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    """The safe loader, which stops at an absurd depth instead of crawling through it."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > 2 * MAX_DEPTH:
            raise _TooMuchError(f"nested more than {MAX_DEPTH} levels deep", self.get_mark())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "the YAML cannot be read"
    hint = ", indent with spaces" if "'\\t'" in what else ""
    return Problem(_place(mark), f"not valid YAML: {what}{hint}")


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark is not None else Place(1, 1)


class _Reader:
    """One walk over the nodes. Aliases are followed, within the limit on nodes."""

    def __init__(self, loader: Any, max_nodes: int) -> None:
        self.loader = loader  # SafeLoader or CSafeLoader
        self.max_nodes = max_nodes
        self.document = Document()
        self.nodes = 0

    def read(self, node: yaml.Node) -> Document:
        try:
            self.document.value = self._value(node, ())
        except _TooMuchError as error:
            self.document.problems.append(Problem(_place(error.mark), str(error)))
        return self.document

    def _value(self, node: yaml.Node, where: Where) -> Any:
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise _TooMuchError(
                f"more than {self.max_nodes} values, or aliases of aliases", node.start_mark
            )
        if len(where) > MAX_DEPTH:
            raise _TooMuchError(f"nested more than {MAX_DEPTH} levels deep", node.start_mark)
        self.document.values[where] = _place(node.start_mark)
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._value(child, (*where, i)) for i, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        return self._problem(node, f"the tag {node.tag!r} is not allowed, expected plain YAML")

    def _mapping(self, node: yaml.MappingNode, where: Where) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for key_node, child in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _TAG + "merge":
                self._problem(key_node, "a key must be one word, expected the name of a setting")
                continue
            key = str(key_node.value)
            here = (*where, key)
            if key in found:
                first = self.document.keys[here].line
                self._problem(key_node, f"{key!r} is given twice, first on line {first}")
                continue
            self.document.keys[here] = _place(key_node.start_mark)
            found[key] = self._value(child, here)
        return found

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag == _TAG + "timestamp":
            return str(node.value)
        if node.tag not in _SCALARS:
            return self._problem(node, f"the tag {node.tag!r} is not allowed, expected plain YAML")
        if node.style is None and _EXPONENT.fullmatch(node.value):
            value: Any = float(node.value)
        else:
            try:
                value = self.loader.construct_object(node)
            except (ValueError, KeyError, yaml.YAMLError):
                return self._problem(node, f"{clip(node.value)} cannot be read as a number")
        if isinstance(value, float) and not math.isfinite(value):
            return self._problem(node, f"{clip(node.value)} is not a number that can be used")
        return value

    def _problem(self, node: yaml.Node, message: str) -> None:
        self.document.problems.append(Problem(_place(node.start_mark), message))


class _PlainReader(_Reader):
    """One walk over the events of libyaml: no nodes are made, no tags and no aliases are known."""

    def document_of_events(self) -> Document | None:
        """Return the document, or ``None`` for whatever the other reader has a word on."""
        try:
            _, event = self.loader.get_event(), self.loader.get_event()
            if isinstance(event, yaml.StreamEndEvent):
                return self.document
            self.document.value = self._told(self.loader.get_event(), ())
            self.loader.get_event()
            one = isinstance(self.loader.get_event(), yaml.StreamEndEvent)
        except (yaml.YAMLError, _NotPlainError):
            return None
        finally:
            self.loader.dispose()
        return self.document if one and not self.document.problems else None

    def _told(self, event: Any, where: Where) -> Any:
        self.nodes += 1
        if self.nodes > self.max_nodes or len(where) > MAX_DEPTH or not _is_plain(event):
            raise _NotPlainError
        self.document.values[where] = _place(event.start_mark)
        if isinstance(event, yaml.MappingStartEvent):
            return self._told_mapping(where)
        if isinstance(event, yaml.SequenceStartEvent):
            found: list[Any] = []
            while not isinstance(event := self.loader.get_event(), yaml.SequenceEndEvent):
                found.append(self._told(event, (*where, len(found))))
            return found
        if event.style:
            return event.value
        tag = self.loader.resolve(yaml.ScalarNode, event.value, (True, False))
        if tag == _TAG + "str" and _EXPONENT.fullmatch(event.value) is None:
            return event.value
        return self._scalar(yaml.ScalarNode(tag, event.value, event.start_mark))

    def _told_mapping(self, where: Where) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := self.loader.get_event(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or not _is_plain(event):
                raise _NotPlainError
            if event.value in found or (event.value == "<<" and not event.style):
                raise _NotPlainError
            here = (*where, event.value)
            self.document.keys[here] = _place(event.start_mark)
            found[event.value] = self._told(self.loader.get_event(), here)
        return found


def _is_plain(event: Any) -> bool:
    return event.anchor is None and event.tag is None


class _NotPlainError(Exception):
    """What is read needs the other reader."""


class _TooMuchError(Exception):
    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(message)
        self.mark = mark


def clip(value: object, limit: int = 60) -> str:
    """Return a value as it may be shown in a message: control characters escaped, not too long."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 4] + "..." + text[-1]
