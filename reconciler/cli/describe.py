"""`reconcile describe KIND NAME`: one object whole, with recent events and last log lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.cli import codes, image
from reconciler.cli.console import stamp
from reconciler.cli.items import all_of
from reconciler.cli.logs import last_lines
from reconciler.cli.place import paths_of, tell
from reconciler.controller import journal
from reconciler.controller.view import look

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.cli.items import Item

EVENTS_SHOWN = 10
LINES_SHOWN = 10
"""Last lines of each node."""


def run(options: Namespace) -> int:
    """Print one object as YAML, then its events, then the last lines that its nodes wrote."""
    if options.kind == "image":
        return image.run(options)
    from ruamel.yaml import YAML  # noqa: PLC0415 - only this command pays for it

    paths = paths_of(options)
    seen = look(paths, options.manifests)
    tell(seen.desired.diagnostics)
    found = all_of(seen, options.kind)
    item = next((item for item in found if item["metadata"]["name"] == options.name), None)
    if item is None:
        names = ", ".join(item["metadata"]["name"] for item in found) or "none"
        msg = f"no {options.kind} {options.name!r} (there are: {names})"
        raise ValueError(msg)
    YAML(typ="safe", pure=True).dump(item, sys.stdout)
    about = {f"{options.kind}/{options.name}", options.name}
    instance = item["status"].get("instance")
    events = [e for e in journal.read(paths.journal, last=2_000) if _concerns(e.object, about, instance)]
    print("events:")
    for event in events[-EVENTS_SHOWN:]:
        print(f"- {stamp(event.at_s)} {event.kind} {event.reason}: {event.message}")
    nodes = [node for node in all_of(seen, "node") if _belongs(node, options.kind, options.name)]
    if nodes:
        print("logs:")
    for node in nodes:
        for line in last_lines(paths, node, tail=LINES_SHOWN):
            print(f"- {stamp(line.at_ns / 1e9)} {node['metadata']['name']}: {line.text}")
    return codes.DONE


def _belongs(node: Item, kind: str, name: str) -> bool:
    """Whether a node is the object that is described, or part of it."""
    metadata = node["metadata"]
    return (kind, name) in {("node", metadata["name"]), ("pipeline", metadata["pipeline"])}


def _concerns(about: str, names: set[str], instance: str | None) -> bool:
    return about in names or bool(instance and about.endswith(f"/{instance}"))
