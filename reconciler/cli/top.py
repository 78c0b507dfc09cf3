"""`reconcile top [PIPELINE]`: what flows through each node and what it takes, on and on until interrupted.

Rule: rates are taken between two looks. A node writes its counters about once a second while they change, so what
passed is counted from the time at which they were written.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from reconciler.cli import codes
from reconciler.cli.console import table
from reconciler.cli.items import connection
from reconciler.cli.place import paths_of, tell
from reconciler.contract.files import added
from reconciler.contract.values import dataclass, field
from reconciler.controller.view import look
from reconciler.observe.usage import of_container, of_process

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from reconciler.cli.items import Item
    from reconciler.contract.files import InputStatus, SessionStatus
    from reconciler.contract.paths import Paths
    from reconciler.controller.view import Seen
    from reconciler.observe.usage import Usage

WRITTEN_EVERY_S = 1.0
"""How old counters may be that were written while frames flowed."""

HEADING = ("NODE", "SESSIONS", "IN/S", "OUT/S", "DROPPED", "BACKLOG", "CPU", "MEMORY", "INSTANCE")
CLEAR = "\x1b[H\x1b[2J"


@dataclass(frozen=True, slots=True)
class Flow:
    """What one node of a pipeline has counted, over all its sessions."""

    instance: str
    sessions: int = 0
    received: int = 0
    sent: int = 0
    dropped: int = 0
    backlog: int = 0
    written_s: float = 0.0
    inputs: tuple[InputStatus, ...] = ()
    """What came by each connection."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: the flow through each node, and what each instance takes. Times are seconds since the epoch."""

    at_s: float
    flows: dict[str, Flow] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)


def run(options: Namespace) -> int:
    """Print a table of nodes: once, or again and again on a terminal."""
    paths = paths_of(options)
    once = options.once or options.output == "json" or not sys.stdout.isatty()
    before = _sample(options, paths, tells=True)
    while True:
        time.sleep(options.interval)
        now = _sample(options, paths)
        found = [_item(name, before, now) for name in sorted(now.flows)]
        if options.output == "json":
            print(json.dumps({"items": found}, indent=1))
        else:
            print("" if once else CLEAR, end="")
            table([HEADING, *(row for item in found for row in _rows(item))])
        if once:
            return codes.DONE
        before = now


def _sample(options: Namespace, paths: Paths, *, tells: bool = False) -> Sample:
    seen = look(paths, options.manifests)
    tell(seen.desired.diagnostics if tells else ())
    nodes = [status for status in seen.statuses if status.kind == "Node"]
    chosen = [status for status in nodes if options.pipeline in {None, status.pipeline}]
    if options.pipeline is not None and not chosen:
        known = ", ".join(sorted({status.pipeline for status in nodes})) or "none"
        msg = f"no pipeline {options.pipeline!r} (there are: {known})"
        raise ValueError(msg)
    flows = {status.name: _flow(status.instance, status.name, seen, paths) for status in chosen}
    return Sample(time.time(), flows, _usage(seen))


def _flow(instance: str, name: str, seen: Seen, paths: Paths) -> Flow:
    pipeline, node = name.split("/", 1)
    sessions = {session.name for session in seen.desired.sessions if session.pipeline == pipeline}
    served = _served(instance, seen)
    counted = [each for each in served if each.node == node and each.session in sessions]
    return Flow(
        instance,
        len(counted),
        sum(each.received for each in counted),
        sum(each.sent for each in counted),
        sum(each.dropped for each in counted),
        sum(each.backlog for each in counted),
        _written_s(paths, instance),
        _by_connection(counted),
    )


def _by_connection(counted: Iterable[SessionStatus]) -> tuple[InputStatus, ...]:
    """Return what came by each connection, over all sessions."""
    found: dict[tuple[str, str, str], InputStatus] = {}
    for each in (each for session in counted for each in session.inputs):
        ends = each.node, each.output, each.port
        found[ends] = added(found[ends], each) if ends in found else each
    return tuple(found.values())


def _served(instance: str, seen: Seen) -> tuple[SessionStatus, ...]:
    found = next((files for files in seen.observed.node_files if files.name == instance), None)
    return found.status.sessions if found is not None and found.status is not None else ()


def _written_s(paths: Paths, instance: str) -> float:
    try:
        return (paths.node(instance) / "status.json").stat().st_mtime
    except OSError:
        return 0.0


def _usage(seen: Seen) -> dict[str, Usage]:
    containers = {c.name: of_container(c.id) for c in seen.observed.containers if c.state == "running"}
    processes = {process.name: of_process(process.pid) for process in seen.observed.processes}
    return {name: found for name, found in {**containers, **processes}.items() if found is not None}


def _item(name: str, before: Sample, now: Sample) -> Item:
    flow = now.flows[name]
    earlier = before.flows.get(name, flow)
    elapsed_s = max(flow.written_s - max(earlier.written_s, before.at_s - WRITTEN_EVERY_S), 0.0)
    usage, used = now.usage.get(flow.instance), before.usage.get(flow.instance)
    cores = (usage.cpu_s - used.cpu_s) / (now.at_s - before.at_s) if usage and used else None
    status = {
        "instance": flow.instance,
        "sessions": flow.sessions,
        "inPerSecond": _rate(flow.received - earlier.received, elapsed_s),
        "outPerSecond": _rate(flow.sent - earlier.sent, elapsed_s),
        "dropped": flow.dropped,
        "backlog": flow.backlog,
        "inputs": [connection(each) for each in flow.inputs],
        "cpuCores": None if cores is None else round(max(cores, 0.0), 3),
        "memoryBytes": usage.memory_bytes if usage else None,
        "conditions": [],
    }
    return {"kind": "Node", "metadata": {"name": name}, "spec": {}, "status": status}


def _rate(count: int, elapsed_s: float) -> float:
    """Return frames a second; counters that begin anew, or were not written meanwhile, say nothing."""
    return round(count / elapsed_s, 1) if count > 0 and elapsed_s > 0 else 0.0


def _rows(item: Item) -> Iterator[tuple[str, ...]]:
    """Yield a node's row, and one for each of its connections where it has several."""
    yield _row(item)
    inputs: list[dict[str, Any]] = item["status"]["inputs"]
    for each in inputs if len(inputs) > 1 else ():
        into = f" to {each['toInput']}" if each["toInput"] else ""
        by = f".{each['fromOutput']}" if each["fromOutput"] else ""
        yield (f"  from {each['from'] or 'the session'}{by}{into}", *("", "", ""), str(each["dropped"]), *("",) * 4)


def _row(item: Item) -> tuple[str, ...]:
    status: dict[str, Any] = item["status"]
    cores, memory = status["cpuCores"], status["memoryBytes"]
    return (
        item["metadata"]["name"],
        str(status["sessions"]),
        f"{status['inPerSecond']:.1f}",
        f"{status['outPerSecond']:.1f}",
        str(status["dropped"]),
        str(status["backlog"]),
        "-" if cores is None else f"{cores * 100:.1f}%",
        "-" if memory is None else f"{memory / (1 << 20):.0f} MiB",
        status["instance"] or "-",
    )
