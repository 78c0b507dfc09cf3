"""`reconcile logs PIPELINE [NODE]`: the output of nodes, with time and name; `-f` goes on through restarts."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.console import stamp
from reconciler.cli.items import of_kind
from reconciler.cli.place import paths_of, tell
from reconciler.controller import logs
from reconciler.controller.view import look
from reconciler.model.errors import ReconcilerError

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from reconciler.cli.items import Item
    from reconciler.contract.paths import Paths
    from reconciler.controller.logs import Line
    from reconciler.engine.port import EnginePort

LOOK_S = 1.0
"""How often it is asked which instances nodes have now."""


def run(options: Namespace) -> int:
    """Print what a pipeline's nodes wrote."""
    found = Output(paths_of(options), options)
    found.look(must=True)
    since_ns = None if options.since is None else time.time_ns() - int(options.since * 1e9)
    for line in found.before(since_ns=since_ns, tail=options.tail):
        found.say(at_s=line.at_ns / 1e9, instance=line.instance, owners=(), stream=line.stream, text=line.text)
    if options.follow:
        found.follow()
    return codes.DONE


def last_lines(paths: Paths, item: Item, *, tail: int) -> list[Line]:
    """Return the last lines of a node; none where they can't be read, or where it has no instance."""
    name = item["status"]["instance"]
    if not name:
        return []
    if "docker" not in item["spec"]:
        return logs.read_file(paths.logs / f"{name}.log", name, tail=tail)[0]
    from reconciler.engine import connect  # noqa: PLC0415 - a pipeline of host processes needs none

    try:
        engine = connect()
        try:
            return logs.read_container(engine, name, tail=tail)
        finally:
            engine.close()
    except ReconcilerError:
        return []


def _unknown(pipeline: str, node: str | None, found: list[list[str]]) -> str:
    """Return what is wrong with a name, and what there is instead."""
    ids = [known for owner, known in found if owner == pipeline]
    if ids:
        return f"pipeline {pipeline} has no node {node!r} (there are: {', '.join(ids)})"
    pipelines = dict.fromkeys(owner for owner, _ in found)
    return f"no pipeline {pipeline!r} (there are: {', '.join(pipelines) or 'none'})"


@dataclass
class Output:
    """The output of the chosen nodes, from whatever instances they have at a time."""

    paths: Paths
    options: Namespace
    nodes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """`container` or `process`, then the node, by the instance's name."""
    seen: dict[str, int] = field(default_factory=dict)
    left: threading.Event = field(default_factory=threading.Event)
    """Set when nobody reads any more what is printed, or it can't be."""
    error: OSError | None = None

    @cached_property
    def engine(self) -> EnginePort:
        """The engine, asked for only where there are containers."""
        from reconciler.engine import connect  # noqa: PLC0415 - a pipeline of host processes needs none

        return connect()

    def log_file(self, name: str) -> Path:
        """Return the file a host process writes to."""
        return self.paths.logs / f"{name}.log"

    def running(self) -> dict[str, tuple[str, ...]]:
        """Return the instances of the chosen nodes."""
        return self.nodes

    def look(self, *, must: bool = False) -> bool:
        """See which instances the nodes have now; whether there are such nodes.

        Raises:
            ValueError: if there are none and there must be.
        """
        wanted = (self.options.pipeline, self.options.node)
        seen = look(self.paths, self.options.manifests)
        tell(seen.desired.diagnostics if must else ())
        found = of_kind(seen, "Node")
        named = [(item, *item["metadata"]["name"].split("/", 1)) for item in found]
        chosen = [item for item, pipeline, node in named if pipeline == wanted[0] and wanted[1] in {None, node}]
        if must and not chosen:
            raise ValueError(_unknown(*wanted, [name for _, *name in named]))
        self.nodes = {
            item["status"]["instance"]: (
                "container" if "docker" in item["spec"] else "process",
                item["metadata"]["name"],
            )
            for item in chosen
            if item["status"]["instance"]
        }
        return bool(chosen)

    def before(self, *, since_ns: int | None, tail: int | None) -> list[Line]:
        """Return what was written until now, in the order of time, and remember how far that is."""
        found: list[Line] = []
        for name, (kind, _) in self.nodes.items():
            if kind == "container":
                self.seen[name] = time.time_ns()
                lines = logs.read_container(self.engine, name, since_ns=since_ns, tail=tail)
                self.seen[name] = lines[-1].at_ns if lines else self.seen[name]
            else:
                path = self.log_file(name)
                lines, self.seen[str(path)] = logs.read_file(path, name, since_ns=since_ns, tail=tail)
            found += lines
        return sorted(found, key=lambda line: line.at_ns)

    def follow(self) -> None:
        """Print what comes, until interrupted or until the pipeline has gone.

        Raises:
            OSError: if it can't be printed.
        """
        stop = threading.Event()
        followers = logs.Followers(self, self.say, seen=self.seen)
        threading.Thread(target=followers.run, args=(stop,), daemon=True, name="follow").start()
        try:
            while self._still_there():
                if self.left.wait(LOOK_S) and self.error is not None:
                    raise self.error
        finally:
            stop.set()
        print(f"reconcile: {self.options.pipeline} is gone", file=sys.stderr)

    def say(self, *, at_s: float, instance: str, owners: tuple[str, ...], stream: str, text: str) -> None:
        """Print a line; where it can't be, whoever waits in `follow` raises that."""
        del stream
        node = owners[0] if owners else self.nodes[instance][1]
        try:
            print(f"{stamp(at_s)} {node} {instance}: {text}", flush=self.options.follow)
        except OSError as error:
            if threading.current_thread() is threading.main_thread():
                raise
            self.error = error
            self.left.set()

    def _still_there(self) -> bool:
        try:
            return self.look()
        except ReconcilerError:
            return True  # the engine is away: what is followed goes on when it is back
