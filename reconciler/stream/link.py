"""An open session: its lease, its epoch and its ends.

Rule: whatever was opened is closed, in any order of failure; frames of other epochs are passed over.
"""

from __future__ import annotations

import collections
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Optional, Sequence, Set, Tuple, Type, TypeVar

from reconciler.contract import files
from reconciler.contract import header as wire
from reconciler.stream import opening
from reconciler.stream.errors import Closed, FrameInvalid, NodeFailed, SessionNotReady, StreamError, TimedOut
from reconciler.stream.forks import Forks
from reconciler.stream.frame import EndOfStream, Error, Frame
from reconciler.stream.inbox import IDLE_LOOK_S
from reconciler.stream.together import Together

if TYPE_CHECKING:
    from reconciler.contract.files import Endpoints
    from reconciler.contract.paths import Paths
    from reconciler.stream.ends import Ends
    from reconciler.stream.lease import Held
    from reconciler.stream.publisher import Publisher
    from reconciler.stream.subscriber import Subscriber

F = TypeVar("F", bound=Frame)


class Link:
    """One stream through one session."""

    def __init__(self, paths: Paths, held: Held, endpoints: Endpoints, ends: Ends) -> None:
        """Take an open session's lease and ends over; on failure they are closed.

        Raises:
            SessionNotReady: if another program reads this session's output.
        """
        self.name = endpoints.session
        self.epoch = time.monotonic_ns()
        self._held = held
        self._endpoints = paths.endpoints / f"{endpoints.session}.json"
        self._memory = endpoints.memory
        self._pid = os.getpid()
        self._forks = Forks.count
        self._open = True
        self._ended = False
        self._seq = 0
        self._ending: List[int] = []
        """How many frames each publisher had sent when the stream was to end; an exception may have ended that."""
        self._over: Set[int] = set()
        self._looked = time.monotonic()
        self._failure: Optional[Error] = None
        self._stash: Deque[Frame] = collections.deque()
        self._sending = threading.RLock()
        self._receiving = threading.RLock()
        self._blocking = threading.RLock()
        self._ends = ends
        self._publishers = ends.publishers
        self._inbox = ends.inbox
        try:
            for end in self._inbox.subscribers:
                self._occupy(end)
        except BaseException:
            ends.close()
            held.release()
            raise

    @classmethod
    def open(cls, paths: Paths, pipeline: str, *, session: Optional[str], timeout_s: float) -> Link:
        """Take a lease, wait until the session is ready, and open its ends.

        Raises:
            StreamError: as `Session.open` says.
        """
        return cls(paths, *opening.open_session(paths, pipeline, session=session, timeout_s=timeout_s))

    @property
    def dropped(self) -> int:
        """How many frames on their way to this program were lost."""
        return sum(end.dropped for end in self._inbox.subscribers)

    def send(self, frame: Frame, timeout_s: float) -> None:
        """Send a frame to every node that the session feeds: to all, or to none where one makes no room."""
        if isinstance(frame, EndOfStream):
            msg = "an EndOfStream is not sent: call end()"
            raise FrameInvalid(msg)
        with self._sending:
            if self._ended:
                msg = f"session {self.name}: nothing can be sent after end(): open a new session"
                raise Closed(msg)
            if self._failure is not None:
                raise _failed(self._failure)
            self._ending.clear()
            self._send(frame, timeout_s)

    def end(self, timeout_s: float) -> None:
        """Send the end of the stream, once."""
        with self._sending:
            if not self._ended:
                self._end(timeout_s)
                self._ended = True

    def reserve(self, kind: Type[F], shape: Sequence[int], dtype: Any, content: Dict[str, Any]) -> F:
        """Reserve a frame in the memory of the first channel."""
        self._need_open()
        return self._publishers[0].reserve(kind, shape, dtype, **content)

    def has_room(self) -> bool:
        """Tell whether a frame can be sent without waiting."""
        return all(end.free() > 0 for end in self._publishers)

    def ready(self, timeout_s: float) -> None:
        """Wait until a frame can be sent."""
        deadline = time.monotonic() + timeout_s
        with self._sending:
            self._need_open()
            for end in self._publishers:
                end.ready(timeout_s=max(deadline - time.monotonic(), 0.0), look=self._is_open)

    def receive(self, timeout_s: Optional[float], *, raise_errors: bool) -> Optional[Frame]:
        """Return the next frame of this stream, or None after its end."""
        deadline = self.deadline(timeout_s)
        while True:
            there, frame = self.poll(raise_errors=raise_errors)
            if there:
                return frame
            self.wait(self.left(deadline, timeout_s))

    def poll(self, *, raise_errors: bool) -> Tuple[bool, Optional[Frame]]:
        """Tell whether a frame or the end (None) is there without waiting, and take it."""
        with self._receiving:
            self._need_open()
            frame = self._stash.popleft() if self._stash else self._fetch()
            if frame is None and not self._ended_everywhere():
                return False, None
        if raise_errors and (frame is None or isinstance(frame, Error)):
            error = frame or self._failure
            if error is not None:
                raise _failed(error)
        return True, frame

    def wait(self, timeout_s: float) -> None:
        """Block until something may have come, a second at most."""
        with self._blocking:
            with self._receiving:
                if self._waiting():
                    return
            self._inbox.wait(timeout_s)
            if self._open and time.monotonic() - self._looked >= IDLE_LOOK_S:
                self._looked = time.monotonic()
                self._look()

    def close(self) -> None:
        """Close all ends and give the session back."""
        if not self._open:
            return
        self._open = False
        if self._forks != Forks.count:
            return
        self._inbox.wake()
        for publisher in self._publishers:
            publisher.wake()
        with self._blocking, self._receiving, self._sending:
            for end in self._inbox.subscribers:
                if end.position is not None:
                    end.position.attached = 0
            self._ends.close()
            self._held.release()

    @staticmethod
    def deadline(timeout_s: Optional[float]) -> Optional[float]:
        """Return when a time limit passes."""
        return None if timeout_s is None else time.monotonic() + timeout_s

    def left(self, deadline: Optional[float], timeout_s: Optional[float]) -> float:
        """Return the seconds until a deadline, at most those until the next look.

        Raises:
            TimedOut: if there are none left.
        """
        left_s = IDLE_LOOK_S if deadline is None else deadline - time.monotonic()
        if left_s <= 0:
            msg = f"session {self.name}: nothing came within {timeout_s or 0:g} s"
            raise TimedOut(msg)
        return left_s

    def _occupy(self, end: Subscriber) -> None:
        """Let the sender wait for this program from now on."""
        if end.position is None:
            return
        if not end.position.hold():
            msg = f"session {self.name}: another program reads {end.channel.name}: wait until it ends"
            raise SessionNotReady(msg)
        end.position.attached = self.epoch

    def _send(self, frame: Frame, timeout_s: float) -> None:
        self._need_open()
        try:
            if len(self._publishers) == 1:
                self._publishers[0].send(
                    frame, epoch=self.epoch, seq=self._seq, timeout_s=timeout_s, look=self._is_open
                )
            else:
                self._send_together(self._publishers, frame, timeout_s)
            self._seq += 1
        except StreamError:
            raise
        except BaseException:
            self._seq += 1  # a signal's handler raised: the frame may have been sent, so its number is used up
            raise

    def _send_together(self, ends: Sequence[Publisher], frame: Frame, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        self.ready(timeout_s)
        together = Together(ends, frame, epoch=self.epoch, seq=self._seq, look=self._is_open)
        together.send(max(deadline - time.monotonic(), 0.0))

    def _end(self, timeout_s: float) -> None:
        """Send the end by each publisher that has not sent it in a call which an exception ended."""
        self._need_open()
        sent = [end.count(timeout_s=timeout_s, look=self._is_open) for end in self._publishers]
        self._ending = before = self._ending or sent
        left = [end for index, end in enumerate(self._publishers) if sent[index] == before[index]]
        if left:
            self._send_together(left, EndOfStream(), timeout_s)

    def _waiting(self) -> bool:
        """Tell whether a frame, or the end of the stream, can be received without waiting."""
        self._need_open()
        if not self._stash:
            frame = self._fetch()
            if frame is not None:
                self._stash.append(frame)
        return bool(self._stash) or self._ended_everywhere()

    def _fetch(self) -> Optional[Frame]:
        """Take frames until one belongs to this stream; None where none waits, or the stream is over."""
        while not self._ended_everywhere():
            arrival = self._inbox.spin()
            if arrival is None:
                return None
            frame, header, source, end = arrival
            source.done(header)
            if header.epoch != self.epoch:
                continue
            if header.kind != wire.END:
                if isinstance(frame, Error) and frame.fatal:
                    self._failure = frame
                return frame
            self._over.add(end)
        return None

    def _ended_everywhere(self) -> bool:
        return self._failure is not None or len(self._over) == len(self._inbox.subscribers)

    def _look(self) -> None:
        """Follow what changes without waking anybody."""
        self._inbox.renew()
        for publisher in self._publishers:
            publisher.refresh()
        if not self._endpoints.exists():
            msg = f"session {self.name} was ended by the controller: its pipeline is gone, or was set up anew"
            raise Closed(msg)
        if self._memory:
            now = files.parse_endpoints(files.read_text(self._endpoints) or "")
            if now is not None and now.memory != self._memory:
                msg = f"session {self.name}: its shared memory is gone, and what was in it: enter the new one"
                raise Closed(msg)

    def _is_open(self) -> bool:
        return self._open

    def _need_open(self) -> None:
        if self._forks != Forks.count:
            msg = f"session {self.name} was opened by PID {self._pid}, before a fork: open one in each process"
            raise Closed(msg)
        if not self._open:
            msg = f"session {self.name} is closed: open a new one"
            raise Closed(msg)


def _failed(error: Error) -> NodeFailed:
    """Return what an error frame raises. One that ended the stream is raised again whenever the session is used."""
    said = f"node {error.failed} raised {error.exception} on frame {error.frame_seq}: {error.message}"
    return NodeFailed(
        f"{said}; the stream has failed (onError: Fail): open a new session" if error.fatal else said,
        node=error.failed,
        exception=error.exception,
        frame_seq=error.frame_seq,
        fatal=error.fatal,
    )
