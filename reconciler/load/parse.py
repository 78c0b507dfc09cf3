"""From bytes to documents with positions, within fixed bounds whatever the input.

Rule: the tree is built from the event stream with counters, without recursion, and the stream is left as soon as a
bound is passed: 340 bytes of nested aliases, cyclic aliases or thousands of brackets cost no more than a plain error.

Source: YAML 1.2.2, core schema (10.3): `yes` and `on` are text. `<<` merges, as most people expect of YAML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from reconciler.contract.values import dataclass, field, replace
from reconciler.load.scalars import BadScalarError, joined, scalar, shown_tag
from reconciler.load.tree import Entry, Item, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 20_000
MAX_DOCUMENTS = 1_000

_LONG_TAG = re.compile(r"![^\s]{1024}")
"""The scanner takes quadratic time for tags."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The documents of one file; with problems, none of them counts."""

    documents: tuple[Item, ...] = ()
    problems: tuple[Problem, ...] = ()


class _RejectedError(Exception):
    """The file is not read any further."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def parse(data: bytes) -> Parsed:
    """Read the documents of a file. Empty documents are left out."""
    try:
        text = _text(data)
    except _RejectedError as rejected:
        return Parsed(problems=(rejected.problem,))
    composer = _Composer()
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            composer.take(event)
    except _RejectedError as rejected:
        return Parsed(problems=(rejected.problem,))
    except MarkedYAMLError as error:
        return Parsed(problems=(_marked(error),))
    except ReaderError as error:
        return Parsed(problems=(_unreadable(text, error),))
    except Exception as error:  # noqa: BLE001 - the parser's own slips on strange input must not become ours
        message = f"not valid YAML: the parser gave up ({type(error).__name__})"
        return Parsed(problems=(Problem(composer.line, composer.column, message),))
    return Parsed(tuple(composer.documents), tuple(composer.problems))


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _RejectedError(Problem(1, 1, f"the file has more than the {MAX_BYTES} bytes that are allowed"))
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        found = f"not UTF-8 text: found byte 0x{data[error.start]:02x}"
        raise _RejectedError(Problem(line, column, found)) from None
    tag = _LONG_TAG.search(text)
    if tag:
        raise _RejectedError(_at_index(text, tag.start(), "a tag of more than 1024 characters is not allowed"))
    return text


def _at_index(text: str, index: int, message: str) -> Problem:
    before = text[:index]
    return Problem(before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1, message)


def _marked(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = ", ".join(str(part) for part in (error.context, error.problem) if part)
    said = " ".join(said.split()) or "unknown mistake"
    if r"'\t'" in said:
        said = "a tab can't stand here, use spaces"
    return Problem(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, f"not valid YAML: {said}")


def _unreadable(text: str, error: ReaderError) -> Problem:
    position = error.position if isinstance(error.position, int) else 0
    code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
    return _at_index(text, position, f"not valid YAML: the control character U+{code:04X} is not allowed")


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read. `key` is the one whose value comes next."""

    mapping: bool
    line: int
    column: int
    anchor: str | None
    elements: list[Item] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    merges: list[Item] = field(default_factory=list)
    key: Item | None = None
    size: int = 1


class _Composer:
    """Builds documents from events, and counts."""

    def __init__(self) -> None:
        self.documents: list[Item] = []
        self.problems: list[Problem] = []
        self.line = self.column = 1
        self._open: list[_Open] = []
        self._anchors: dict[str, Item] = {}
        self._unfinished: set[str] = set()
        self._nodes = 0
        self._explicit = 0

    def take(self, event: Any) -> None:
        """Take the next event."""
        self.line, self.column = event.start_mark.line + 1, event.start_mark.column + 1
        match event:
            case DocumentStartEvent():
                self._anchors, self._unfinished = {}, set()
            case DocumentEndEvent():
                if len(self.documents) > MAX_DOCUMENTS:
                    raise self._reject(f"more than {MAX_DOCUMENTS} documents in one file")
            case MappingStartEvent() | SequenceStartEvent():
                self._begin(event)
            case MappingEndEvent() | SequenceEndEvent():
                self._end()
            case ScalarEvent():
                self._scalar(event)
            case AliasEvent():
                self._alias(event.anchor)

    def _reject(self, message: str) -> _RejectedError:
        return _RejectedError(Problem(self.line, self.column, message))

    def _begin(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        mapping = isinstance(event, MappingStartEvent)
        if len(self._open) >= MAX_DEPTH:
            raise self._reject(f"nested deeper than {MAX_DEPTH} levels")
        allowed = "tag:yaml.org,2002:map" if mapping else "tag:yaml.org,2002:seq"
        if event.ctag and str(event.ctag) not in ("!", allowed, "!!map" if mapping else "!!seq"):
            self.problems.append(
                Problem(self.line, self.column, f"the tag {shown_tag(str(event.ctag))} is not supported")
            )
        self._count(1)
        if event.anchor:
            self._unfinished.add(event.anchor)
        self._open.append(_Open(mapping, self.line, self.column, event.anchor))

    def _end(self) -> None:
        done = self._open.pop()
        value = _merged(done) if done.mapping else tuple(done.elements)
        item = Item(value, done.line, done.column, size=done.size)
        if done.anchor:
            self._unfinished.discard(done.anchor)
        self._put(item, done.anchor)

    def _scalar(self, event: ScalarEvent) -> None:
        self._count(1)
        text = joined(str(event.value))
        try:
            value = scalar(text, quoted=event.style is not None, tag=str(event.ctag) if event.ctag else None)
        except BadScalarError as bad:
            self.problems.append(Problem(self.line, self.column, str(bad)))
            value = None
        self._put(Item(value, self.line, self.column, text), event.anchor, quoted=event.style is not None)

    def _alias(self, anchor: str) -> None:
        if anchor in self._unfinished:
            raise self._reject(f"the alias *{anchor} stands inside what it stands for")
        if anchor not in self._anchors:
            raise self._reject(f"the alias *{anchor} has no anchor &{anchor} before it")
        target = self._anchors[anchor]
        self._count(target.size)
        self._put(target, None)

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._reject(f"more than {MAX_NODES} values, aliases counted each time they are used")

    def _put(self, item: Item, anchor: str | None, *, quoted: bool = True) -> None:
        if anchor:
            self._anchors[anchor] = item
        if not self._open:
            if item.value is not None or quoted:
                self.documents.append(item)
            return
        parent = self._open[-1]
        parent.size += item.size
        if not parent.mapping:
            parent.elements.append(item)
        elif parent.key is None:
            parent.key = self._key(item, merge=item.text == "<<" and not quoted)
        else:
            key, parent.key = parent.key, None
            self._entry(parent, key, item)

    def _key(self, item: Item, *, merge: bool) -> Item:
        if isinstance(item.value, dict | tuple):
            self.problems.append(item.problem("a key must be text, found a list or a mapping"))
        return replace(item, value="<<" if merge else "")

    def _entry(self, parent: _Open, key: Item, item: Item) -> None:
        if key.value == "<<":
            sources = item.elements() if isinstance(item.value, tuple) else (item,)
            if not all(isinstance(source.value, dict) for source in sources):
                self.problems.append(item.problem("`<<` merges mappings, found something else"))
            parent.merges.extend(sources)
            return
        first = parent.entries.get(key.text)
        if first:
            said = f'the key "{key.text}" is there twice, first on line {first.key.line}'
            self.problems.append(key.problem(said))
            return
        parent.entries[key.text] = Entry(key, item)


def _merged(done: _Open) -> dict[str, Entry]:
    """Put merged entries behind the written ones, which win; of several merged mappings the first wins."""
    entries = dict(done.entries)
    for source in done.merges:
        for name, entry in source.entries().items():
            entries.setdefault(name, entry)
    return entries


def walk(item: Item) -> Iterator[Item]:
    """Yield a tree's values, depth first."""
    yield item
    for element in item.elements():
        yield from walk(element)
    for entry in item.entries().values():
        yield from walk(entry.value)
