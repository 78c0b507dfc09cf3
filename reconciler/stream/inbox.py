"""Several receiving ends as one, and the waiting for them.

Waiting is adaptive: for a short time after the last frame a reader looks again and again, then it blocks on the
listeners. An idle reader is blocked; it looks up once a second to follow what wakes nobody.

Rule: a frame can't be missed between looking and blocking, because a notification stays until it is collected.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence

import iceoryx2 as iox

from reconciler.stream.errors import TransportError

if TYPE_CHECKING:
    from reconciler.contract import header as wire
    from reconciler.stream.frame import Frame
    from reconciler.stream.subscriber import Subscriber

SPIN_ENV = "RECONCILE_SPIN_US"
"""How long a reader looks again and again before it blocks, in microseconds."""

DEFAULT_SPIN_US = 20 if (os.cpu_count() or 1) > 2 else 0  # noqa: PLR2004 - cores
"""On one or two cores the sender needs the core that a spinning reader keeps busy: each round trip gets longer."""
IDLE_LOOK_S = 1.0


class Arrival(NamedTuple):
    """A received frame, how it came, and through which of the inbox's ends."""

    frame: Frame
    header: wire.Header
    source: Subscriber
    end: int


class Inbox:
    """Receives from all its ends in turn, so that a busy one does not starve the others."""

    def __init__(self, subscribers: Sequence[Subscriber]) -> None:
        """Take the ends over."""
        self.subscribers = tuple(subscribers)
        self._turn = 0
        self._spin_s = float(os.environ.get(SPIN_ENV, DEFAULT_SPIN_US)) / 1e6
        self._waitset: Optional[iox.WaitSet] = None
        self._guards: List[iox.WaitSetGuard] = []
        if len(self.subscribers) > 1:
            self._waitset = _new_waitset()
            self._guards = [self._waitset.attach_notification(end.listener) for end in self.subscribers]

    def take(self) -> Optional[Arrival]:
        """Return the next frame, or None where none waits."""
        count = len(self.subscribers)
        for step in range(count):
            index = (self._turn + step) % count
            source = self.subscribers[index]
            received = source.take()
            if received is not None:
                self._turn = (index + 1) % count
                return Arrival(received.frame, received.header, source, index)
        return None

    def spin(self) -> Optional[Arrival]:
        """Return the next frame if it comes within the spinning time."""
        arrival = self.take()
        if arrival is not None or not self._spin_s:
            return arrival
        until = time.perf_counter() + self._spin_s
        while arrival is None and time.perf_counter() < until:
            arrival = self.take()
        return arrival

    def wait(self, timeout_s: float) -> None:
        """Block until something was sent, the inbox is woken, a signal comes or the time is up. GIL released."""
        limit = iox.Duration.from_micros(max(int(min(timeout_s, IDLE_LOOK_S) * 1e6), 1))
        try:
            if self._waitset is None:
                self.subscribers[0].listener.timed_wait(limit)
                return
            self._waitset.wait_and_process_with_timeout(limit)
            for end in self.subscribers:
                end.listener.try_wait()
        except (iox.ListenerWaitError, iox.WaitSetRunError) as error:
            if "Interrupt" not in str(error):
                msg = f"iceoryx2 can't wait on {self.subscribers[0].channel.name}: {error}"
                raise TransportError(msg) from error

    def renew(self) -> None:
        """Follow what changed without waking anybody. Call about once a second."""
        for end in self.subscribers:
            end.renew()

    def wake(self) -> None:
        """Wake whoever waits; from any thread."""
        self.subscribers[0].wake()

    def close(self) -> None:
        """Close all ends."""
        self._guards.clear()
        self._waitset = None
        for end in self.subscribers:
            end.close()


def _new_waitset() -> iox.WaitSet:
    builder = iox.WaitSetBuilder.new().signal_handling_mode(iox.SignalHandlingMode.Disabled)
    return builder.create(iox.ServiceType.Ipc)
