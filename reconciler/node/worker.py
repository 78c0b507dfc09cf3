"""One thread that serves one session with one node.

A stream begins with the first frame of a newer epoch and ends when all inputs have ended; each has a node object of
its own. Frames of an older epoch are left over from a program that is gone, and are passed over.

Rule: a frame is acknowledged when all that it made the node emit is sent, and not before.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Tuple, Type

from reconciler.contract import header as wire
from reconciler.contract.files import FAILED, READY, STARTING, Served, SessionStatus
from reconciler.node.graph import Graph, cause_of
from reconciler.stream.calls import Calls
from reconciler.stream.errors import Closed
from reconciler.stream.frame import EndOfStream, Error
from reconciler.stream.inbox import IDLE_LOOK_S

if TYPE_CHECKING:
    from reconciler.node.doing import Place
    from reconciler.stream.channel import Domain
    from reconciler.stream.subscriber import Arrival

RETRY_S = 1.0
RETRY_MAX_S = 60.0


class Worker:
    """Serves one session until it is stopped; starts again, with backoff, what fails."""

    def __init__(
        self, domain: Domain, served: Served, kind: Type[Any], *, changed: Callable[[], None], place: Place
    ) -> None:
        """Remember what to serve. `changed` is called, from the thread, when the status has changed.

        `place` is told what is in hand, for the case that the process is killed.
        """
        self.place = place
        self.served = served
        self._domain = domain
        self._kind = kind
        self._changed = changed
        self._log = logging.getLogger(f"{served.pipeline}/{served.node}/{served.session}")
        self._stopping = threading.Event()
        self._ended = False
        self._state = STARTING
        self._message = ""
        self._failures = 0
        self._before = [0, 0, 0]
        self._graph: Optional[Graph] = None
        self._calls: Optional[Calls] = None
        self._used = False
        self._epoch = 0
        self._over: Dict[int, Arrival] = {}
        self._thread = threading.Thread(target=self._run, name=f"serve-{served.session}", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does so after the frame it works on. A second call does nothing."""
        if not self._stopping.is_set():
            self._stopping.set()
            graph = self._graph
            if graph is not None:
                graph.wake()

    @property
    def alive(self) -> bool:
        """Whether it still serves, or may serve again."""
        return not self._ended

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end."""
        self._thread.join(timeout_s)

    def status(self) -> SessionStatus:
        """Return how the session fares."""
        received, sent, dropped = self._counts()
        return SessionStatus(
            session=self.served.session,
            node=self.served.node,
            state=self._state,
            message=self._message,
            received=received,
            sent=sent,
            dropped=dropped,
            generation=self.served.generation,
        )

    def _counts(self) -> Tuple[int, int, int]:
        graph = self._graph
        now = (graph.received, graph.sent, graph.dropped) if graph is not None else (0, 0, 0)
        return (self._before[0] + now[0], self._before[1] + now[1], self._before[2] + now[2])

    def _run(self) -> None:
        pause_s = RETRY_S
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                self._serve()
            except Closed:
                pass
            except BaseException as error:  # noqa: BLE001 - a thread must not end unseen
                self._log.error("%s", traceback.format_exc())
                self._report(FAILED, f"{type(error).__name__}: {error}")
            finally:
                self._leave()
            if time.monotonic() - begun > RETRY_MAX_S:
                pause_s = RETRY_S
            self._stopping.wait(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)
        self._ended = True
        self._changed()

    def _serve(self) -> None:
        self._graph = graph = Graph(self._domain, self.served, running=self._runs, log=self._log)
        self._begin()
        self._report(READY)
        looked = time.monotonic()
        while not self._stopping.is_set():
            arrival = graph.inbox.spin()
            if arrival is not None:
                self._take(arrival)
            else:
                graph.inbox.wait(IDLE_LOOK_S)
            if time.monotonic() - looked >= IDLE_LOOK_S:
                looked = time.monotonic()
                graph.look()

    def _leave(self) -> None:
        """Clean up and close, whatever was reached."""
        self._end()
        graph, counts = self._graph, self._counts()
        self._before, self._graph = list(counts), None
        self._over.clear()
        self.place.idle()
        if graph is not None:
            graph.close()

    def _runs(self) -> bool:
        return not self._stopping.is_set()

    def _begin(self) -> None:
        """Make a node object for the next stream."""
        params = json.loads(self.served.params) if self.served.params else {}
        calls = Calls(self._kind, params=params, session=self.served.session, log=self._log)
        self.place.initializing()
        calls.initialize()
        self.place.idle()
        self._calls, self._used = calls, False

    def _end(self) -> None:
        """Clean the node object up; what that raises is logged, since the stream is over."""
        calls, self._calls = self._calls, None
        if calls is not None:
            try:
                calls.cleanup()
            except Exception:  # noqa: BLE001 - it is the user's code
                self._log.exception("cleanup() raised; going on")

    def _take(self, arrival: Arrival) -> None:
        header = arrival.header
        if header.epoch > self._epoch:
            self._meet(header.epoch)
        if header.epoch < self._epoch:
            arrival.source.done(header)
        elif header.kind == wire.END:
            self._over[arrival.end] = arrival
            if len(self._over) == len(self.served.inputs):
                self._finish(arrival)
        elif header.kind == wire.ERROR:
            self._need_graph().emit_everywhere(arrival.frame, epoch=self._epoch, cause=cause_of(arrival, 0))
            arrival.source.done(header)
        else:
            self._process(arrival)
            arrival.source.done(header)

    def _meet(self, epoch: int) -> None:
        """Begin a new stream; an older one that did not end belongs to a program that is gone."""
        if self._used:
            self._end()
        if self._calls is None:
            self._begin()
        self._settle()
        self._epoch = epoch
        self._need_graph().restart()

    def _finish(self, arrival: Arrival) -> None:
        """Let the node give out what is left, pass the end on, and be ready for the next stream."""
        count = self._process(arrival)
        self._need_graph().emit_everywhere(EndOfStream(), epoch=self._epoch, cause=cause_of(arrival, count))
        self._settle()
        self._end()
        if self.served.session == self.served.pipeline:
            self._begin()  # a standing session: another program may come

    def _settle(self) -> None:
        """Acknowledge the ends that were kept until all had come."""
        for ended in self._over.values():
            ended.source.done(ended.header)
        self._over.clear()

    def _process(self, arrival: Arrival) -> int:
        """Hand a frame to the node and send what it gives back; return the next free index."""
        graph = self._need_graph()
        index = 0
        try:
            if self._calls is None:
                self._begin()
            self.place.frame(arrival.header.seq)
            self._used = True
            for output in self._need_calls().process(arrival.frame):
                if not isinstance(output.frame, EndOfStream):
                    graph.emit(output.port, output.frame, epoch=self._epoch, cause=cause_of(arrival, index))
                    index += 1
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001 - it is the user's code
            self._fail(arrival, error, index)
            index += 1
        else:
            if self._state == FAILED:
                self._report(READY)
        self.place.idle()
        return index

    def _fail(self, arrival: Arrival, error: Exception, index: int) -> None:
        """Tell the session and the controller that the node raised; the frame is skipped."""
        self._failures += 1
        name, text, seq = type(error).__name__, str(error), arrival.header.seq
        self._log.error("process() raised on frame %d\n%s", seq, traceback.format_exc())
        self._report(FAILED, f"process() raised {name} on frame {seq}: {text} ({self._failures} so far)")
        frame = Error(self.served.node, name, text, seq, timestamp_ns=arrival.frame.timestamp_ns)
        self._need_graph().emit_everywhere(frame, epoch=self._epoch, cause=cause_of(arrival, index))

    def _report(self, state: str, message: str = "") -> None:
        self._state, self._message = state, message
        self._changed()

    def _need_graph(self) -> Graph:
        if self._graph is None:
            msg = "not serving"
            raise Closed(msg)
        return self._graph

    def _need_calls(self) -> Calls:
        if self._calls is None:
            msg = "no node object"
            raise Closed(msg)
        return self._calls
