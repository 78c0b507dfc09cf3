"""One thread that serves one session with one node.

It gets the node object ready, waits until no other instance serves this session with this node (`seat.py`), serves,
and leaves in one of two ways: at once, or, when another instance goes on, in good order: it serves until what is sent
comes to the other one, too, and its ends stay until their readers have acknowledged all that was sent.

Rule: nothing is read, emitted or acknowledged without the seat.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple, Type

from reconciler.contract.files import (
    FAIL,
    FAILED,
    READY,
    SKIP,
    STARTING,
    WAITING,
    Served,
    SessionStatus,
    added,
)
from reconciler.node.flow import Flow
from reconciler.node.graph import Graph, close_inputs, open_inputs, untouched
from reconciler.node.seat import Seat
from reconciler.stream.errors import Closed
from reconciler.stream.frame import Error
from reconciler.stream.inbox import IDLE_LOOK_S

if TYPE_CHECKING:
    from reconciler.contract.files import InputStatus
    from reconciler.node.doing import Place
    from reconciler.stream.channel import Domain
    from reconciler.stream.subscriber import Arrival, Subscriber

RETRY_S = 1.0
RETRY_MAX_S = 60.0
TURN_S = 0.02
"""How often one who waits asks whether the seat is free, or whether its readers have caught up."""

LINE_S = 0.5
"""Time for somebody to become the heir, where the one before may have been told to leave at the same moment."""

GIVE_UP_S = 1.0
"""Time for telling the readers of a node that hangs, who may have no room."""

STALLED = "Stalled"
"""What stands for the exception's name in the error frame of a node that hangs."""


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
        self._leaving = threading.Event()
        self._heir_comes = False
        self._looked = 0.0
        self._stopping = threading.Event()
        self._ended = False
        self._given_up_by = float("inf")
        self._state = STARTING
        self._message = ""
        self._failures = 0
        self._before = 0, tuple(map(untouched, served.inputs))
        self._graph: Optional[Graph] = None
        self._flow: Optional[Flow] = None
        self._thread = threading.Thread(target=self._run, name=f"serve-{served.session}", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def leave(self, *, heir_comes: bool) -> None:
        """Ask the thread to end when somebody else goes on and its readers have all that was sent.

        `heir_comes`: who goes on gets ready now, if it can, and is waited for; otherwise it is ready or not there.
        """
        self._heir_comes = heir_comes
        if not self._leaving.is_set():
            self._leaving.set()
            self._wake()

    def stop(self) -> None:
        """Ask the thread to end; it does so after the frame it works on. A second call does nothing."""
        if not self._stopping.is_set():
            self._leaving.set()
            self._stopping.set()
            self._wake()

    @property
    def parting(self) -> bool:
        """Whether it was asked to end."""
        return self._leaving.is_set()

    @property
    def alive(self) -> bool:
        """Whether it still serves, or may serve again."""
        return not self._ended

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end."""
        self._thread.join(timeout_s)

    def status(self) -> SessionStatus:
        """Return how the session fares."""
        sent, inputs = self._counts()
        graph = self._graph
        return SessionStatus(
            session=self.served.session,
            node=self.served.node,
            state=self._state,
            message=self._message,
            received=sum(each.received for each in inputs),
            sent=sent,
            dropped=sum(each.dropped for each in inputs),
            generation=self.served.generation,
            backlog=graph.backlog if graph is not None else 0,
            failures=self._failures,
            inputs=inputs,
        )

    def stalls_in_s(self) -> Optional[float]:
        """Return after how many more seconds without a sign of it the node counts as hanging; None: never."""
        flow, limit_s = self._flow, self.served.stall_timeout_s
        if flow is None or limit_s is None or self._graph is None:
            return None
        return limit_s - flow.progress.worked_s()

    def seize(self) -> Optional[Arrival]:
        """Take the frame away from a node that hangs on it; None if it has just come back. The process must end."""
        flow, limit_s = self._flow, self.served.stall_timeout_s
        return None if flow is None or limit_s is None else flow.progress.seize(limit_s)

    def give_up(self, arrival: Arrival, *, tried_before: bool) -> str:
        """Tell the session that the node hangs, as `onError` says, and return that as a message."""
        seq, policy = arrival.header.seq, self.served.on_error
        said = f"process() has given nothing back for {self.served.stall_timeout_s:g} s"
        skip = policy in (SKIP, FAIL) or tried_before
        error = Error(
            self.served.node,
            STALLED,
            said,
            seq,
            fatal=policy == FAIL,
            timestamp_ns=arrival.frame.timestamp_ns,
        )
        fate = "is passed over" if skip else "is tried once more"
        message = f"node {self.served.node} hangs in session {self.served.session}: {said} on frame {seq}, which {fate}"
        self._state, self._message = FAILED, message
        self._log.error("%s", message)
        self._given_up_by = time.monotonic() + GIVE_UP_S
        if self._flow is not None:
            self._flow.give_up(arrival, error, skip=skip)
        return message

    def _counts(self) -> Tuple[int, Tuple[InputStatus, ...]]:
        """Return what was sent, and what came by each connection, by these ends and those before."""
        graph, (sent, inputs) = self._graph, self._before
        if graph is None:
            return sent, inputs
        return sent + graph.sent, tuple(map(added, graph.inputs, inputs))

    def _run(self) -> None:
        pause_s = RETRY_S
        while not self._leaving.is_set():
            begun = time.monotonic()
            try:
                self._serve()
            except Closed:
                pass
            except BaseException as error:  # noqa: BLE001 - a thread must not end unseen
                self._log.error("%s", traceback.format_exc())
                self._failures += 1
                self._report(FAILED, f"{type(error).__name__}: {error}")
            if time.monotonic() - begun > RETRY_MAX_S:
                pause_s = RETRY_S
            self._leaving.wait(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)
        self._ended = True
        self._changed()

    def _serve(self) -> None:
        """Get ready, take the seat, serve, and leave whatever was reached."""
        seat = Seat(self._domain.root, self.served.session, self.served.node)
        self._flow = flow = Flow(self.served, self._kind, report=self._report, log=self._log, place=self.place)
        try:
            flow.begin()
            self._graph = graph = self._sit_down(seat)
            if graph is not None:
                flow.connect(graph)
                self._failures = 0
                self._report(READY)
                self._pump(flow, graph)
                self._pass_on(flow, graph, seat)
                self._see_off(graph)
        finally:
            self._close_graph()
            seat.leave()
            flow.end()
            self.place.idle()

    def _sit_down(self, seat: Seat) -> Optional[Graph]:
        """Take the seat and open all ends; None if this is to end before it is free."""
        inputs: List[Subscriber] = []
        try:
            while not seat.take():
                if self._state != WAITING:
                    self._report(WAITING, "another instance still serves this session")
                for end in inputs:
                    end.stand_by()
                if seat.await_it() and not inputs and seat.is_offered():
                    inputs = open_inputs(self._domain, self.served, waits=True)
                    seat.is_here()
                if self._leaving.wait(TURN_S):
                    close_inputs(inputs)
                    return None
        except BaseException:
            close_inputs(inputs)
            raise
        return Graph(self._domain, self.served, running=self._runs, log=self._log, inputs=inputs)

    def _pump(self, flow: Flow, graph: Graph) -> None:
        """Serve until it is time to leave."""
        while not self._leaving.is_set():
            self._turn(flow, graph, IDLE_LOOK_S, self._leaving)

    def _turn(self, flow: Flow, graph: Graph, seconds: float, until: threading.Event) -> None:
        """Serve for about so long, or until it is time for something else; look after the other ends once a second."""
        begun = time.monotonic()
        while not until.is_set() and time.monotonic() - begun < seconds:
            arrival = graph.inbox.spin()
            if arrival is not None:
                flow.take(arrival)
            else:
                graph.inbox.wait(seconds)
        if time.monotonic() - self._looked >= IDLE_LOOK_S:
            self._looked = time.monotonic()
            graph.look()

    def _pass_on(self, flow: Flow, graph: Graph, seat: Seat) -> None:
        """Serve until another one has its reading ends open, and what was sent before that."""
        seat.offer()
        since, seen = seat.heir(), time.monotonic()
        while not since and not self._stopping.is_set():
            if since is not None or self._heir_comes:
                seen = time.monotonic()
            elif time.monotonic() - seen > LINE_S:
                return
            self._turn(flow, graph, TURN_S, self._stopping)
            since = seat.heir()
        self._finish(flow, graph, since or 0)

    def _finish(self, flow: Flow, graph: Graph, until: int) -> None:
        """Serve what was sent until then. What came later is not acknowledged here, and comes to another one, too."""
        ends = list(graph.inbox.subscribers)
        for end in ends:
            end.tells = False
        while ends and not self._stopping.is_set():
            for end in tuple(ends):
                arrival = end.take()
                if arrival is not None and arrival.header.monotonic_ns < until:
                    flow.take(arrival)
                    continue
                ends.remove(end)
                if arrival is not None:
                    end.pass_over()

    def _see_off(self, graph: Graph) -> None:
        """Wait until the readers have acknowledged all that was sent: a new one could not get it from anybody else."""
        while not self._stopping.is_set() and not graph.settled():
            graph.look()
            self._stopping.wait(TURN_S)

    def _close_graph(self) -> None:
        graph, counts = self._graph, self._counts()
        self._before, self._graph = counts, None
        if graph is not None:
            graph.close()

    def _wake(self) -> None:
        graph = self._graph
        if graph is not None:
            graph.wake()

    def _runs(self) -> bool:
        return not self._stopping.is_set() and time.monotonic() < self._given_up_by

    def _report(self, state: str, message: str = "") -> None:
        self._state, self._message = state, message
        self._changed()
