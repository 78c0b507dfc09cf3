"""`reconcile logs PIPELINE [NODE]`: the output of nodes, with time and name."""

from __future__ import annotations

import sys
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.console import stamp
from reconciler.cli.items import of_kind
from reconciler.cli.place import paths_of
from reconciler.controller import logs
from reconciler.controller.view import look

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from reconciler.cli.items import Item
    from reconciler.contract.paths import Paths
    from reconciler.controller.logs import Line


def run(options: Namespace) -> int:
    """Print what a pipeline's nodes wrote."""
    paths = paths_of(options)
    nodes = _nodes(options, paths)
    sources = [(item["metadata"]["name"], _read(item, options, paths)) for item in nodes]
    lines = _together(sources) if options.follow else _in_order(sources)
    for name, line in lines:
        print(f"{stamp(line.at_s)} {name} {line.instance}: {line.text}", flush=options.follow)
    return codes.DONE


def _nodes(options: Namespace, paths: Paths) -> list[Item]:
    found = of_kind(look(paths, options.manifests), "Node")
    ours = [item for item in found if item["metadata"]["pipeline"] == options.pipeline]
    chosen = [item for item in ours if options.node in {None, item["metadata"]["name"].split("/", 1)[1]}]
    if not chosen:
        names = ", ".join(item["metadata"]["name"] for item in found) or "none"
        wanted = options.pipeline + (f"/{options.node}" if options.node else "")
        msg = f"no node {wanted!r} (there are: {names})"
        raise ValueError(msg)
    return chosen


def _read(item: Item, options: Namespace, paths: Paths) -> Iterator[Line]:
    name = item["status"]["instance"]
    if item["status"]["container"]:
        from reconciler.engine import connect  # noqa: PLC0415 - a pipeline of host processes needs none

        engine = connect()
        return logs.read_container(engine, name, follow=options.follow, since_s=options.since, tail=options.tail)
    return logs.read_file(paths.logs / f"{name}.log", name, follow=options.follow, tail=options.tail)


def _in_order(sources: list[tuple[str, Iterator[Line]]]) -> list[tuple[str, Line]]:
    lines = [(name, line) for name, source in sources for line in source]
    return sorted(lines, key=lambda pair: pair[1].at_s)


def _together(sources: list[tuple[str, Iterator[Line]]]) -> Iterator[tuple[str, Line]]:
    """Yield lines as they come, until every source has ended."""
    arrived: SimpleQueue[tuple[str, Line] | None] = SimpleQueue()

    def pump(name: str, source: Iterator[Line]) -> None:
        try:
            for line in source:
                arrived.put((name, line))
        finally:
            arrived.put(None)

    for name, source in sources:
        Thread(target=pump, args=(name, source), daemon=True).start()
    left = len(sources)
    while left:
        found = arrived.get()
        if found is None:
            left -= 1
        else:
            yield found
    print("reconcile: every node has ended", file=sys.stderr)
