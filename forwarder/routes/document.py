"""
The document: YAML text as a tree whose scalars are still text and know their place.

YAML itself would read the MAC 123456789012 as an integer, 1E2345678901 as infinity and 00:11:22:33:44:55 as a
number to base 60. So nothing is converted here. Only structure, anchors and merge keys are resolved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import yaml

from forwarder.routes.problems import Problem, shown
from forwarder.routes.syntax import Unparseable, explain, require_printable

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML built without libyaml reads the same, ten times slower
    from yaml import SafeLoader as Loader  # type: ignore[assignment] # the same interface

MOST_NODES = 500_000
"""Most nodes with every alias written out: far above any real file, far below a billion laughs."""
MOST_LEVELS = 50

_NULLS = frozenset({"~", "null", "Null", "NULL"})
_HARMLESS_TAGS = frozenset(
    {"!"}
    | {
        f"tag:yaml.org,2002:{name}"
        for name in ("str", "int", "float", "bool", "null", "map", "seq")
    }
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text as written. `is_plain` says that it stood without quotes."""

    text: str
    line: int
    column: int
    is_plain: bool = True

    @property
    def is_null(self) -> bool:
        return self.is_plain and self.text in _NULLS

    @property
    def is_blank(self) -> bool:
        return self.is_plain and not self.text


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: list["Node"]
    line: int
    column: int


class Entry(NamedTuple):
    """One key of a mapping with its value."""

    key: Scalar
    value: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order of the file; merge keys are resolved."""

    entries: dict[str, Entry]
    line: int
    column: int


Node: TypeAlias = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Document:
    """The tree of one file, None for an empty one, and the problems of its structure."""

    root: Node | None
    problems: list[Problem]


def compose(text: str) -> Document:
    """
    The tree of one YAML document.

    Raises Unparseable with one problem when the text is no YAML, nests deeper than MOST_LEVELS, or has aliases that
    expand to more than MOST_NODES.
    """
    require_printable(text)
    composer = _Composer()
    try:
        for event in _events(text):
            composer.take(event)
    except yaml.YAMLError as error:
        raise Unparseable(explain(error, text)) from error
    return Document(composer.root, composer.problems)


def plain(node: Node) -> object:
    """The node as str, list, dict or (for a written null) None."""
    if isinstance(node, Scalar):
        return None if node.is_null else node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {name: plain(entry.value) for name, entry in node.entries.items()}


def find(node: Node, path: tuple[str | int, ...]) -> Node:
    """The node at `path` (keys and indices), or the deepest node on the way that exists."""
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            node = node.entries[step].value
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            break
    return node


def find_key(node: Node, path: tuple[str | int, ...]) -> Node:
    """The key at the end of `path`; if there is none, the node that `find` returns."""
    parent = find(node, path[:-1])
    if isinstance(parent, Mapping) and path and path[-1] in parent.entries:
        return parent.entries[str(path[-1])].key
    return parent


def _events(text: str) -> Iterator[yaml.Event]:
    return yaml.parse(text, Loader=Loader)


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _too_deep(line: int, column: int) -> Problem:
    return Problem(
        line, column, f"lists and mappings are nested more than {MOST_LEVELS} levels deep"
    )


class _Built(NamedTuple):
    """A finished node, with its numbers of nodes and levels when its aliases are written out."""

    node: Node
    size: int
    height: int


class _Open:
    """A list or mapping whose end has not come yet."""

    __slots__ = ("anchor", "children", "column", "height", "is_mapping", "line", "size")

    def __init__(self, event: yaml.CollectionStartEvent) -> None:
        self.is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.anchor: str | None = event.anchor
        self.line, self.column = _place(event)
        self.children: list[Node] = []
        self.size = 1
        self.height = 1

    def add(self, built: _Built) -> None:
        self.children.append(built.node)
        self.size += built.size
        self.height = max(self.height, built.height + 1)


class _Composer:
    """Turns events into one tree without recursion; aliases share the node they name."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Built | None] = {}
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._take_start(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._take_end()
        elif isinstance(event, yaml.AliasEvent):
            self._take_alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._take_document(event)

    def _take_scalar(self, event: yaml.ScalarEvent) -> None:
        self._check_tag(event)
        line, column = _place(event)
        scalar = Scalar(event.value, line, column, event.style in (None, ""))
        self._finish(_Built(scalar, 1, 1), event.anchor)

    def _take_start(self, event: yaml.CollectionStartEvent) -> None:
        self._check_tag(event)
        self._stack.append(_Open(event))
        if len(self._stack) > MOST_LEVELS:
            raise Unparseable(_too_deep(self._stack[-1].line, self._stack[-1].column))
        if event.anchor is not None:
            self._anchors[event.anchor] = (
                None  # its anchor is known, but it is not finished: it must not contain itself
            )

    def _take_end(self) -> None:
        opened = self._stack.pop()
        node: Node
        if opened.is_mapping:
            node = Mapping(self._entries(opened.children), opened.line, opened.column)
        else:
            node = Sequence(opened.children, opened.line, opened.column)
        self._finish(_Built(node, opened.size, opened.height), opened.anchor)

    def _take_alias(self, event: yaml.AliasEvent) -> None:
        line, column = _place(event)
        if event.anchor not in self._anchors:
            # The name is not told, because it may be a password that begins with "*".
            text = 'this alias names no anchor; a "*" that means every device, or begins a text, stands in quotes'
            raise Unparseable(Problem(line, column, text))
        built = self._anchors[event.anchor]
        if built is None:
            name = shown(f"*{event.anchor}")
            raise Unparseable(Problem(line, column, f"{name} contains itself"))
        self._place(built, line, column)

    def _take_document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            line, column = _place(event)
            raise Unparseable(
                Problem(line, column, 'a second document begins at this "---"; keep one')
            )

    def _finish(self, built: _Built, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = built
        self._place(built, built.node.line, built.node.column)

    def _place(self, built: _Built, line: int, column: int) -> None:
        if not self._stack:
            self.root = built.node
            return
        self._stack[-1].add(built)
        if self._stack[-1].size > MOST_NODES:
            text = f"it holds more than {MOST_NODES:,} values, its aliases written out"
            raise Unparseable(Problem(line, column, text))
        if len(self._stack) + built.height > MOST_LEVELS:
            raise Unparseable(_too_deep(line, column))

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag not in _HARMLESS_TAGS:
            # The name is not told, because it may be a password that begins with "!".
            text = 'tags are not supported; a secret is env:NAME or file:/path, a text with "!" in front is quoted'
            self._complain(*_place(event), text)

    def _entries(self, children: list[Node]) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._complain(key.line, key.column, "a key must be a plain text")
            elif key.is_plain and key.text == "<<":
                merged = self._merge(value, key) | merged
            elif key.text in own:
                first = own[key.text].key
                text = f"{shown(key.text)} is given twice, first at line {first.line}, column {first.column}"
                self._complain(key.line, key.column, text)
            else:
                own[key.text] = Entry(key, value)
        return {**merged, **own} if merged else own

    def _merge(self, value: Node, key: Scalar) -> dict[str, Entry]:
        sources = value.items if isinstance(value, Sequence) else [value]
        merged: dict[str, Entry] = {}
        for source in sources:
            if isinstance(source, Mapping):
                merged = source.entries | merged
            else:
                text = '"<<" takes a mapping or a list of mappings, usually an alias such as *base'
                self._complain(key.line, key.column, text)
        return merged

    def _complain(self, line: int, column: int, text: str) -> None:
        self.problems.append(Problem(line, column, text))
