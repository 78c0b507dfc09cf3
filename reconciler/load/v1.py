"""Documents with `version: v1`: rewritten into the present form, every key and value keeping its place (BY-09).

Rule: what v1 said and the present form says differently is in the tables below. What v1 knew and we have no use for is
passed over; so is a field nobody knows, unless it looks like a slip of a known one. A connection's end that names no
node is the session, which needs no connection here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.contract import names
from reconciler.contract.values import dataclass, field, replace
from reconciler.load.tree import Entry, Item, as_text, texts
from reconciler.load.words import cut, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.load.tree import Problem

VERSION = "v1"


@dataclass(frozen=True, slots=True)
class _Form:
    """How a mapping is rewritten: new names, forms below, changes of values, and what is passed over."""

    fields: Mapping[str, str]
    below: Mapping[str, _Form] = field(default_factory=dict)
    change: Mapping[str, Callable[[Item], Item]] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()


_LIMITS = _Form({"memory_mb": "memoryMb", "cpu_cores": "cpuCores", "pids": "pids"})
_VOLUME = _Form({"host_path": "hostPath", "container_path": "containerPath", "read_only": "readOnly"})
_DOCKER = _Form(
    {
        "python_version": "pythonVersion",
        "system_dependencies": "systemDependencies",
        "python_packages": "pythonPackages",
        "resource_limits": "resourceLimits",
        "base_image": "baseImage",
        "env": "env",
        "volumes": "volumes",
        "network": "network",
        "ports": "ports",
        "gpus": "gpus",
        "isolated": "isolated",
    },
    below={"resource_limits": _LIMITS, "volumes": _VOLUME},
    change={"python_version": as_text, "env": texts},
)
_NODE = _Form(
    {"id": "id", "node_type": "nodeType", "source": "source", "params": "params", "docker": "docker"},
    below={"docker": _DOCKER},
    ignored=frozenset({"is_streaming", "capabilities", "host", "runtime_hint", "execution"}),
)
_CONNECTION = _Form({"from": "from", "to": "to", "from_output": "fromOutput", "to_input": "toInput"})
_SPEC = _Form({"nodes": "nodes", "connections": "connections"}, below={"nodes": _NODE, "connections": _CONNECTION})


def is_v1(document: Item) -> bool:
    """Whether a document is in the old form."""
    version = document.get("version")
    return version is not None and document.get("apiVersion") is None and version.text == VERSION


def rewrite(document: Item) -> tuple[Item, list[Problem]]:
    """Return the document in the present form, and the slips in its field names."""
    slips: list[Problem] = []
    metadata = document.get("metadata")
    top = {name: entry for name, entry in document.entries().items() if name not in ("version", "metadata")}
    spec = _without_session_ends(_mapping(Item(top, document.line, document.column), _SPEC, slips))
    entries = {
        "apiVersion": _made(document, "reconciler.dev/v1alpha1"),
        "kind": _made(document, "Pipeline"),
        # v1 has no `spec`, so what lies below is told without it.
        "spec": Entry(replace(_made(document, "spec").key, text=""), spec),
    }
    if metadata is not None:
        key = document.entries()["metadata"].key
        entries["metadata"] = Entry(key, _metadata(metadata))
    return replace(document, value=entries), slips


def label(text: str) -> str:
    """Return a v1 name, which could be any text, as the nearest name that is allowed; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")


def _made(document: Item, text: str) -> Entry:
    here = Item(text, document.line, document.column, text)
    return Entry(here, here)


def _metadata(metadata: Item) -> Item:
    """Keep the name, and labels that are text; v1 allowed anything beside them."""
    if not isinstance(metadata.value, dict):
        return metadata
    kept = {}
    name = metadata.entries().get("name")
    if name:
        text = str(name.value.text)
        allowed = text if names.NAME.fullmatch(text) else label(text)
        kept["name"] = Entry(name.key, replace(name.value, value=allowed) if allowed else name.value)
    labels = metadata.entries().get("labels")
    if labels and isinstance(labels.value.value, dict):
        kept["labels"] = labels
    return replace(metadata, value=kept)


def _rewritten(item: Item, form: _Form, slips: list[Problem]) -> Item:
    if isinstance(item.value, tuple):
        return replace(item, value=tuple(_mapping(element, form, slips) for element in item.value))
    return _mapping(item, form, slips)


def _mapping(item: Item, form: _Form, slips: list[Problem]) -> Item:
    if not isinstance(item.value, dict):
        return item
    entries: dict[str, Entry] = {}
    for name, entry in item.value.items():
        if name in form.ignored:
            continue
        if name not in form.fields:
            hint = suggestion(name, form.fields)
            if hint and hint not in item.value:
                slips.append(entry.key.problem(f'unknown field "{cut(name)}", did you mean "{hint}"?'))
            continue
        if entry.value.value is None:
            continue
        value = form.change[name](entry.value) if name in form.change else entry.value
        value = _rewritten(value, form.below[name], slips) if name in form.below else value
        entries[form.fields[name]] = Entry(entry.key, value)
    return replace(item, value=entries)


def _without_session_ends(spec: Item) -> Item:
    nodes, connections = spec.get("nodes"), spec.get("connections")
    if nodes is None or connections is None or not isinstance(connections.value, tuple):
        return spec
    ids = {found.text for node in nodes.elements() if (found := node.get("id"))}
    inner = tuple(each for each in connections.value if not _leads_outside(each, ids))
    entries = spec.entries()
    kept = Entry(entries["connections"].key, replace(connections, value=inner))
    return replace(spec, value={**entries, "connections": kept})


def _leads_outside(connection: Item, ids: set[str]) -> bool:
    ends = (connection.get("from"), connection.get("to"))
    return any(end is not None and isinstance(end.value, str) and end.value not in ids for end in ends)
