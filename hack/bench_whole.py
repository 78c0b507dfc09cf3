"""What a small frame costs at either end where nobody waits: a real session and a real node's flow in one thread.

A frame that goes to a container and back costs the same work, and beyond it only looking for frames that are not there
yet, being woken and waking; so this is the floor. Least and median of many, since steps are compared with the one and
rates with the other; and the median where the core has slept before each part, as it has where a reader was woken.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reconciler.node.doing import Place
from reconciler.node.flow import Flow
from reconciler.node.graph import Graph
from reconciler.stream import Session, Tensor
from tests.support.instance import chain, fresh_instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

ROUNDS, SLEEPING_ROUNDS, WARM_UP = 20_000, 4_000, 1_000
PAUSE_S = 1e-4
SIZE_BYTES = 64


class Leg(NamedTuple):
    """A part of a round trip: microseconds, and how many functions are called in it, Python's own ones included."""

    name: str
    least_us: float
    median_us: float
    slept_us: float
    calls: int


class Passing:
    """A node that passes on."""

    def process(self, frame: object) -> object:
        """Return what came."""
        return frame


def legs() -> list[Leg]:
    """Measure each leg of a round trip of 64 B, and the program's and the node's end as a whole."""
    with fresh_instance() as instance:
        served, ends = chain("whole", "pass")
        log = logging.getLogger("bench")
        domain = instance.domain("pass")
        flow = Flow(served[0], Passing, report=lambda *_: None, log=log, place=Place())
        flow.begin()
        graph = Graph(domain, served[0], running=lambda: True, log=log)
        flow.connect(graph)
        instance.publish(ends)
        name, where = instance.paths.instance, str(instance.directory)
        with Session.open("whole", instance=name, runtime_dir=where) as session:
            times = _round_trips(session, graph, flow)
        flow.end()
        graph.close()
        domain.close()
    return times


def _round_trips(session: Session, graph: Graph, flow: Flow) -> list[Leg]:
    frame = Tensor(np.zeros(SIZE_BYTES, np.uint8))

    def send() -> None:
        session.send(frame)

    def serve() -> None:
        arrival = graph.inbox.take()
        assert arrival is not None
        flow.take(arrival)

    def receive() -> None:
        assert session.receive(1) is not None

    parts = {"program sends": send, "node takes, passes on, acknowledges": serve, "program receives": receive}
    list(_timed(parts, WARM_UP, 0))
    for end in (*graph.inbox.subscribers, *session._need()._inbox.subscribers):  # noqa: SLF001 - what is measured
        end.awakes()  # as while traffic is hot: nobody is notified
    hot, slept = list(_timed(parts, ROUNDS, 0)), list(_timed(parts, SLEEPING_ROUNDS, PAUSE_S))
    counts = [_calls(part) for part in parts.values()]
    found = [
        Leg(name, min(column), statistics.median(column), statistics.median(cold), count)
        for name, column, cold, count in zip(
            parts, zip(*hot, strict=True), zip(*slept, strict=True), counts, strict=True
        )
    ]
    sends, _, receives = found
    ends = [[first + last for first, _, last in rounds] for rounds in (hot, slept)]
    whole = (min(ends[0]), statistics.median(ends[0]), statistics.median(ends[1]), sends.calls + receives.calls)
    return [*found, Leg("program's end, whole", *whole)]


def _timed(parts: dict[str, Callable[[], None]], rounds: int, pause_s: float) -> Iterator[tuple[float, ...]]:
    for _ in range(rounds):
        took = []
        for part in parts.values():
            if pause_s:
                time.sleep(pause_s)
            begun = time.perf_counter()
            part()
            took.append((time.perf_counter() - begun) * 1e6)
        yield tuple(took)


def _calls(part: Callable[[], None]) -> int:
    counted = [0]

    def count(_: FrameType, event: str, __: object) -> None:
        counted[0] += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        part()
    finally:
        sys.setprofile(None)
    return counted[0] - 2  # the part itself, and the end of counting
