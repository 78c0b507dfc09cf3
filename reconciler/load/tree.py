"""A YAML document as a tree whose every key and value knows where it was written.

Rule: values are JSON's (text, numbers, booleans, null, lists, mappings with text keys) and nothing else, so what leaves
here can be compared, hashed and written down. Aliases share subtrees; `size` counts them as often as they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.contract.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Sequence

Loc = tuple[str | int, ...]
"""A way down a tree: mapping keys and list indexes."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file; line and column count from 1. `document` counts from 0, -1 for the file itself."""

    line: int
    column: int
    message: str
    document: int = -1


@dataclass(frozen=True, slots=True)
class Item:
    """A value where it was written. `text` is a scalar as written, before it was taken for a number or a boolean."""

    value: bool | float | str | tuple[Item, ...] | dict[str, Entry] | None
    line: int = 1
    column: int = 1
    text: str = ""
    size: int = 1

    def get(self, *way: str | int) -> Item | None:
        """Return what lies at the end of a way down, or None."""
        found: Item | None = self
        for step in way:
            found = _child(found, step) if found is not None else None
        return found

    def entries(self) -> dict[str, Entry]:
        """Return the entries of a mapping; anything else has none."""
        return self.value if isinstance(self.value, dict) else {}

    def elements(self) -> tuple[Item, ...]:
        """Return the elements of a list; anything else has none."""
        return self.value if isinstance(self.value, tuple) else ()

    def problem(self, message: str) -> Problem:
        """Say that something is wrong here."""
        return Problem(self.line, self.column, message)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping and its value."""

    key: Item
    value: Item


def _child(item: Item, step: str | int) -> Item | None:
    if isinstance(item.value, dict):
        entry = item.value.get(str(step))
        return entry.value if entry else None
    if isinstance(item.value, tuple) and isinstance(step, int) and 0 <= step < len(item.value):
        return item.value[step]
    return None


def plain(item: Item) -> Any:
    """Return a tree as plain Python values, without positions."""
    if isinstance(item.value, dict):
        return {name: plain(entry.value) for name, entry in item.value.items()}
    if isinstance(item.value, tuple):
        return [plain(element) for element in item.value]
    return item.value


def nearest(item: Item, way: Loc) -> Item:
    """Return what lies at the end of a way down, or the last thing on it that exists."""
    for step in way:
        child = item.get(step)
        if child is None:
            break
        item = child
    return item


def written(item: Item, way: Loc) -> str:
    """Return a way down as a person would write it, with the keys as they stand in the file: `spec.nodes[0].id`."""
    text = ""
    here: Item | None = item
    for step in way:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            entry = here.entries().get(step) if here else None
            name = entry.key.text if entry else step
            text += f".{name}" if text and name else name
        here = here.get(step) if here else None
    return text


def as_text(item: Item) -> Item:
    """Return numbers and booleans as the text that was written, where text is meant: `1.10` stays `1.10`."""
    if isinstance(item.value, bool | int | float):
        return replace(item, value=item.text)
    return item


def texts(item: Item) -> Item:
    """Apply `as_text` to each value of a mapping."""
    if not isinstance(item.value, dict):
        return item
    return replace(item, value={name: Entry(e.key, as_text(e.value)) for name, e in item.value.items()})


def at(item: Item, way: Sequence[str | int], change: Any) -> Item:
    """Return a tree in which `change` was applied to what lies at the end of a way; `"*"` stands for each element."""
    if not way:
        changed: Item = change(item)
        return changed
    step, rest = way[0], way[1:]
    if step == "*" and isinstance(item.value, tuple):
        return replace(item, value=tuple(at(element, rest, change) for element in item.value))
    if isinstance(item.value, dict) and step in item.value:
        entry = item.value[str(step)]
        return replace(item, value={**item.value, str(step): Entry(entry.key, at(entry.value, rest, change))})
    return item
