"""Several receiving ends as one, and the waiting for them.

Waiting is adaptive (`spin.py`): while traffic is hot a reader looks again and again, otherwise it blocks on the
listeners. An idle reader is blocked; it looks up once a second to follow what wakes nobody.

Rule: a frame can't be missed between looking and blocking. A reader says that it will sleep and then looks once more; a
sender sends and then looks whether a reader sleeps; so one of them sees the other. A notification stays until it is
collected.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, List, Optional, Sequence

import iceoryx2 as iox

from reconciler.stream import forks
from reconciler.stream.errors import TransportError
from reconciler.stream.spin import Spin

if TYPE_CHECKING:
    from reconciler.stream.subscriber import Arrival, Subscriber

IDLE_LOOK_S = 1.0


class Inbox:
    """Receives from all its ends in turn, so that a busy one does not starve the others."""

    def __init__(self, subscribers: Sequence[Subscriber]) -> None:
        """Take the ends over."""
        self.subscribers = tuple(subscribers)
        for index, end in enumerate(self.subscribers):
            end.end = index
        self._turn = 0
        self.take = self._take_in_turn if len(self.subscribers) > 1 else self.subscribers[0].take
        """Return the next frame, or None where none waits."""
        self._spin = Spin()
        self._waitset: Optional[iox.WaitSet] = None
        self._guards: List[iox.WaitSetGuard] = []
        if len(self.subscribers) > 1:
            self._waitset = _new_waitset()
            self._guards = [self._waitset.attach_notification(end.listener) for end in self.subscribers]
        forks.guard(self)

    def _take_in_turn(self) -> Optional[Arrival]:
        count = len(self.subscribers)
        for step in range(count):
            index = (self._turn + step) % count
            arrival = self.subscribers[index].take()
            if arrival is not None:
                self._turn = (index + 1) % count
                return arrival
        return None

    def spin(self) -> Optional[Arrival]:
        """Return the next frame if it comes soon enough to look for it again and again."""
        arrival = self.take()
        if arrival is None and self._spin.begin():
            while arrival is None and self._spin.again():
                arrival = self.take()
        return arrival

    def wait(self, timeout_s: float) -> None:
        """Block until something was sent, the inbox is woken, a signal comes or the time is up. GIL released."""
        begun = time.perf_counter()
        try:
            if all(end.sleeps() for end in self.subscribers):
                self._block(timeout_s)
        except (iox.ListenerWaitError, iox.WaitSetRunError) as error:
            if "Interrupt" not in str(error):
                msg = f"iceoryx2 can't wait on {self.subscribers[0].channel.name}: {error}"
                raise TransportError(msg) from error
        finally:
            for end in self.subscribers:
                end.awakes()
            self._spin.blocked(begun)

    def _block(self, timeout_s: float) -> None:
        limit = iox.Duration.from_micros(max(int(min(timeout_s, IDLE_LOOK_S) * 1e6), 1))
        if self._waitset is None:
            self.subscribers[0].listener.timed_wait(limit)
            return
        self._waitset.wait_and_process_with_timeout(limit)
        for end in self.subscribers:
            end.listener.try_wait()

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
