"""`reconcile get KIND`: what there is, with conditions."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.console import table
from reconciler.cli.items import Item, all_of, event_item, ready
from reconciler.cli.place import paths_of, tell
from reconciler.controller import journal
from reconciler.controller.view import look

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.contract.paths import Paths


def run(options: Namespace) -> int:
    """Print the objects of one kind."""
    paths = paths_of(options)
    found = _events(paths) if options.kind == "events" else _objects(options, paths)
    if options.output == "json":
        print(json.dumps({"items": found}, indent=1))
    elif options.output == "yaml":
        from ruamel.yaml import YAML  # noqa: PLC0415 - only this output pays for it

        YAML(typ="safe", pure=True).dump({"items": found}, sys.stdout)
    elif options.output == "name":
        print("".join(f"{item['metadata']['name']}\n" for item in found), end="")
    elif found:
        table(_rows(options.kind, found, wide=options.output == "wide"))
    else:
        print(f"no {options.kind}", file=sys.stderr)
    return codes.DONE


def _objects(options: Namespace, paths: Paths) -> list[Item]:
    seen = look(paths, options.manifests)
    tell(seen.desired.diagnostics)
    return all_of(seen, options.kind.removesuffix("s"))


def _events(paths: Paths) -> list[Item]:
    return [event_item(event) for event in journal.read(paths.journal)]


def _rows(kind: str, found: list[Item], *, wide: bool) -> list[tuple[str, ...]]:
    match kind:
        case "events":
            rows = [_event_row(item) for item in found]
            return [("TIME", "TYPE", "OBJECT", "REASON", "MESSAGE"), *rows]
        case "images":
            return [("NAME", "ID", "PYTHON-ENV"), *(_image_row(item) for item in found)]
        case "services":
            return [("NAME", "PATTERN", "NODES"), *(_service_row(item) for item in found)]
        case "nodes":
            heading = ("NAME", "READY", "REASON", "INSTANCE", "RESTARTS", "SESSIONS", "OWNERS", "MESSAGE")
            return _cut([heading, *(_node_row(item) for item in found)], wide=wide)
        case _:
            plain = ("NAME", "READY", "REASON", "SINCE", "MESSAGE")
            return _cut([plain, *(_plain_row(item) for item in found)], wide=wide)


def _cut(rows: list[tuple[str, ...]], *, wide: bool) -> list[tuple[str, ...]]:
    """Leave out the last column, the longest, unless it was asked for."""
    return rows if wide else [row[:-1] for row in rows]


def _plain_row(item: Item) -> tuple[str, ...]:
    condition = ready(item)
    name = item["metadata"]["name"]
    return (name, condition["status"], condition["reason"], condition["lastTransitionTime"], condition["message"])


def _node_row(item: Item) -> tuple[str, ...]:
    condition, status = ready(item), item["status"]
    return (
        item["metadata"]["name"],
        condition["status"],
        condition["reason"],
        status["instance"],
        str(status["restarts"]),
        str(len(status["sessions"])),
        ",".join(status["owners"]),
        condition["message"],
    )


def _image_row(item: Item) -> tuple[str, ...]:
    return (item["metadata"]["name"], item["status"]["id"][:19], item["status"]["envHash"][:12])


def _service_row(item: Item) -> tuple[str, ...]:
    return (item["metadata"]["name"], item["status"]["pattern"], str(item["status"]["nodes"]))


def _event_row(item: Item) -> tuple[str, ...]:
    status = item["status"]
    return (status["time"], status["type"], item["metadata"]["name"], status["reason"], status["message"])
