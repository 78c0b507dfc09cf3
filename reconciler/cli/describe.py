"""`reconcile describe KIND NAME`: one object whole, with recent events and last log lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.cli import codes, image
from reconciler.cli.console import stamp
from reconciler.cli.items import of_kind
from reconciler.cli.place import paths_of
from reconciler.controller import journal
from reconciler.controller.view import look

if TYPE_CHECKING:
    from argparse import Namespace

EVENTS_SHOWN = 10


def run(options: Namespace) -> int:
    """Print one object as YAML, then its events."""
    if options.kind == "image":
        return image.run(options)
    from ruamel.yaml import YAML  # noqa: PLC0415 - only this command pays for it

    paths = paths_of(options)
    found = of_kind(look(paths, options.manifests), options.kind.capitalize())
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
    return codes.DONE


def _concerns(about: str, names: set[str], instance: str | None) -> bool:
    return about in names or bool(instance and about.endswith(f"/{instance}"))
