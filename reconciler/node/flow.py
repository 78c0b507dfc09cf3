"""What becomes of the frames of one served session: streams begin and end, the node works, its outputs go on.

A stream begins with the first frame of a newer epoch and ends when all inputs have ended; each has a node object of
its own. Frames of an older epoch are left over from a program that is gone, and are passed over.

Rule: a frame is acknowledged when all that it made the node emit is sent, and not before.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from typing import TYPE_CHECKING, Any, Callable, Optional, Set, Type

from reconciler.contract import header as wire
from reconciler.contract.files import ERRING, FAIL, READY, SKIP
from reconciler.node.graph import cause_of
from reconciler.node.progress import Progress
from reconciler.stream.calls import Calls
from reconciler.stream.errors import Closed, FrameInvalid, StreamError
from reconciler.stream.frame import EndOfStream, Error

if TYPE_CHECKING:
    import logging

    from reconciler.contract.files import Served
    from reconciler.node.doing import Place
    from reconciler.node.graph import Graph
    from reconciler.stream.frame import Frame
    from reconciler.stream.subscriber import Arrival


class Flow:
    """Serves one session, frame by frame. `report` is told the session's state and a message when they change."""

    def __init__(
        self,
        served: Served,
        kind: Type[Any],
        *,
        report: Callable[[str, str], None],
        log: logging.Logger,
        place: Place,
    ) -> None:
        """Remember what to serve; `begin` and `connect` are still to be called."""
        self._place = place
        self._served = served
        self._kind = kind
        self._tell = report
        self._log = log
        self._graph: Optional[Graph] = None
        self._calls: Optional[Calls] = None
        self._used = False
        self._erring = False
        self._failures = 0
        self._epoch = 0
        self._failed_epoch = 0
        self._emitted = 0
        self._over: Set[int] = set()
        """By which of the inputs the stream has ended."""
        self.progress = Progress()

    def begin(self) -> None:
        """Make a node object for the next stream.

        Raises:
            Exception: whatever the node's `initialize` raises.
        """
        params = json.loads(self._served.params) if self._served.params else {}
        calls = Calls(self._kind, params=params, session=self._served.session, log=self._log, reserve=self._reserve)
        self._place.initializing()
        calls.initialize()
        self._place.idle()
        self._calls, self._used = calls, False

    def connect(self, graph: Graph) -> None:
        """Take the ends that frames come and go by."""
        self._graph = graph

    def end(self) -> None:
        """Clean the node object up; what that raises is logged, since the stream is over."""
        calls, self._calls = self._calls, None
        if calls is not None:
            try:
                calls.cleanup()
            except Exception:  # noqa: BLE001 - it is the user's code
                self._log.exception("cleanup() raised; going on")

    def take(self, arrival: Arrival) -> None:
        """Do what a frame asks for, then acknowledge it.

        Raises:
            Closed: if the node is to stop while it waits for a reader.
        """
        header = arrival.header
        if header.epoch > self._epoch:
            self._meet(header.epoch)
        if header.epoch < self._epoch or header.epoch == self._failed_epoch:
            arrival.source.done(header)
        elif header.kind == wire.END:
            self._over.add(arrival.end)
            if len(self._over) == len(self._served.inputs):
                self._finish(arrival)
            else:
                arrival.source.note_end(self._epoch)  # it does not come again
                arrival.source.done(header)
        elif header.kind == wire.ERROR:
            self._need_graph().emit_everywhere(arrival.frame, epoch=self._epoch, cause=cause_of(arrival, 0))
            self._acknowledge(arrival)
        else:
            self._process(arrival)
            self._acknowledge(arrival)

    def give_up(self, arrival: Arrival, error: Error, *, skip: bool) -> None:
        """Tell the session that the node hangs on a frame, and pass the frame over if it is not to come again.

        Called by another thread, which has seized the frame. The error has no cause, so that it is not taken for what
        the node will emit when it gets the frame again.
        """
        graph = self._need_graph()
        try:
            for port in graph.ports:
                with contextlib.suppress(StreamError):  # who is that far behind hears of it from the controller
                    graph.emit(port, error, epoch=self._epoch, cause=wire.NO_CAUSE)
                    if error.fatal:
                        graph.emit(port, EndOfStream(), epoch=self._epoch, cause=wire.NO_CAUSE)
            with contextlib.suppress(StreamError):
                graph.await_mapped()
        finally:
            if skip:
                arrival.source.done(arrival.header)

    def _acknowledge(self, arrival: Arrival) -> None:
        """Say that a frame is done with: it is, once what was emitted for it can outlive this program."""
        self._need_graph().await_mapped()
        arrival.source.done(arrival.header)

    def _meet(self, epoch: int) -> None:
        """Begin a new stream; an older one that did not end belongs to a program that is gone."""
        if self._used:
            self.end()
        if self._calls is None:
            self.begin()
        self._epoch = epoch
        graph = self._need_graph()
        graph.restart()
        self._over = {end.end for end in graph.inbox.subscribers if end.has_ended(epoch)}
        self._report_good()

    def _finish(self, arrival: Arrival) -> None:
        """Let the node give out what is left, pass the end on, and be ready for the next stream."""
        self._process(arrival)
        if self._epoch != self._failed_epoch:
            self._emit_end(arrival)
            self.end()
        self._over.clear()
        self._acknowledge(arrival)
        if self._served.session == self._served.pipeline and self._calls is None:
            self.begin()  # a standing session: another program may come

    def _process(self, arrival: Arrival) -> None:
        """Hand a frame to the node and send what it gives back; on an exception do as `onError` says."""
        self._emitted = 0
        try:
            self._run(arrival)
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001 - it is the user's code
            self._failed(arrival, error)
        else:
            self._report_good()

    def _run(self, arrival: Arrival) -> None:
        """Call the node with a frame. What an earlier try of this frame has sent is not sent again."""
        if self._calls is None:
            self.begin()
        self._used = True
        nth = 0
        self._place.frame(arrival.header.seq)
        self.progress.start(arrival)
        try:
            for output in self._need_calls().process(arrival.frame):
                if isinstance(output.frame, EndOfStream):
                    continue
                if nth >= self._emitted:
                    self.progress.stop()
                    cause = cause_of(arrival, nth)
                    self._need_graph().emit(output.port, output.frame, epoch=self._epoch, cause=cause)
                    self._emitted = nth + 1
                    self.progress.start(arrival)
                nth += 1
        finally:
            self.progress.stop()
            self._place.idle()

    def _failed(self, arrival: Arrival, error: Exception) -> None:
        """Do what `onError` says. Whichever it is, the session hears of it, once for each frame."""
        policy = self._served.on_error
        self._log_failure(arrival, error)
        if policy not in (SKIP, FAIL):
            error = self._try_again(arrival) or error
        fatal = policy == FAIL
        self._failures += 1
        name, seq = type(error).__name__, arrival.header.seq
        said = f"process() raised {name} on frame {seq}: {error} ({self._failures} so far)"
        self._report_bad(f"{said}; the stream has failed (onError: Fail)" if fatal else said)
        frame = Error(self._served.node, name, str(error), seq, fatal=fatal, timestamp_ns=arrival.frame.timestamp_ns)
        self._need_graph().emit_everywhere(frame, epoch=self._epoch, cause=cause_of(arrival, self._emitted))
        self._emitted += 1
        if fatal:
            self._failed_epoch = self._epoch
            self._emit_end(arrival)
            self.end()

    def _try_again(self, arrival: Arrival) -> Optional[Exception]:
        """Give a frame to a new node object; return what that one raises, after which it is not used again either."""
        self._renew()
        try:
            self._run(arrival)
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001 - it is the user's code
            self._log_failure(arrival, error)
            self._renew()
            return error
        return None

    def _renew(self) -> None:
        self.end()
        self.begin()

    def _emit_end(self, arrival: Arrival) -> None:
        cause = cause_of(arrival, self._emitted)
        self._need_graph().emit_everywhere(EndOfStream(), epoch=self._epoch, cause=cause)

    def _log_failure(self, arrival: Arrival, error: Exception) -> None:
        """Log where it was raised, and forget that: the frames there may hold reserved memory."""
        self._log.error("process() raised on frame %d\n%s", arrival.header.seq, traceback.format_exc())
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None

    def _report_good(self) -> None:
        if self._erring:
            self._erring = False
            self._tell(READY, "")

    def _report_bad(self, message: str) -> None:
        self._erring = True
        self._tell(ERRING, message)

    def _reserve(self, *what: Any, port: str) -> Frame:
        if self._graph is None:
            msg = "a frame can be reserved in process() only: in initialize() the node may have no outputs yet"
            raise FrameInvalid(msg)
        frame: Frame = self._graph.reserve(*what, port=port)
        return frame

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
