"""`reconcile events [-f]`: what was done and why, oldest first; with `-f`, on and on until interrupted."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.items import event_item
from reconciler.cli.place import paths_of
from reconciler.controller import journal

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.controller.event import Event


def run(options: Namespace) -> int:
    """Print events, a line each."""
    path = paths_of(options).journal
    events = journal.follow(path, wait=time.sleep) if options.follow else journal.read(path)
    for event in events:
        print(_line(event, as_json=options.output == "json"), flush=options.follow)
    return codes.DONE


def _line(event: Event, *, as_json: bool) -> str:
    item = event_item(event)
    if as_json:
        return json.dumps(item)
    return f"{item['status']['time']} {event.kind:<7} {event.object:<36} {event.reason}: {event.message}"
