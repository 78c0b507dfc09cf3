"""What a sender keeps: frames that it has sent and that a reader may still want once more.

iceoryx2 keeps a fixed number of samples for readers that come, however large and whether or not anybody can want them
again, so that each frame would go through memory that nobody has touched for that many frames. Here the sender reads
its own channel instead. Its frames lie in the queue of that reading end, which costs nothing until it is full, and
large ones are taken out once they are acknowledged: the next one goes where they lay, which the processor has at hand.

Rule: a signal's handler may raise between any two steps. So whatever takes frames out first says that nothing is sure
(`unsure`), one frame at a time is out of the queue, and it stays in `_out` until it has been sent again. What an
interruption leaves is the queue as a ring that begins elsewhere; `repeat` turns it on until its newest frame went by.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Callable, List

import iceoryx2 as iox

from reconciler.contract import header as wire
from reconciler.stream import channel as channels
from reconciler.stream import forks, memory
from reconciler.stream.errors import TransportError

if TYPE_CHECKING:
    from reconciler.contract.files import Channel

    Again = Callable[[iox.Sample, wire.Header, int], None]
    """Sends a copy of a kept frame with these flags."""


class Keeper:
    """The sender's own reading end. For one thread at a time."""

    def __init__(self, services: channels.Services, channel: Channel, incarnation: int) -> None:
        """Open the end, before the sender that is to be read.

        Raises:
            TransportError: if iceoryx2 refuses.
        """
        self.unsure = False
        """Whether the last send may have taken place or not, or the queue is in disorder: `repeat` makes it sure."""
        self._name = channel.name
        self._incarnation = incarnation
        self._depth = channels.depth(channel)
        self._first = 0
        self._out: List[iox.Sample] = []
        self._windows = memory.Windows()
        try:
            self._queue = services.frames.subscriber_builder().buffer_size(self._depth).create()
        except iox.SubscriberCreateError as error:
            msg = f"iceoryx2 refuses the sender of {channel.name} an end to keep frames: {error}"
            raise TransportError(msg) from error
        forks.guard(self)

    def let_go(self, until: int, sent: int) -> None:
        """Let go of all frames before place `until`; `sent` is how many were sent."""
        count = until - max(self._first, sent - self._depth)
        if count <= 0 or self.unsure:
            return
        self.unsure = True
        for _ in range(count):
            self._queue.receive()
        self._first = until
        self.unsure = False

    def repeat(self, until: int, sent: int, again: Again) -> int:
        """Send all frames from place `until` on once more, oldest first; return how many were sent in all.

        Raises:
            Exception: what `again` raises; the next call goes on from there.
        """
        last, flags = (sent, 0) if self.unsure else (sent - 1, wire.OLDEST)
        before = -1
        self.unsure = True
        while self._has_out():
            header = wire.decode(self._windows.at(self._out[0]).header)
            if header.incarnation == self._incarnation:
                if header.position < before:  # the ring came round: the send in doubt did not take place
                    last = sent - 1
                before = header.position
                if before >= until:
                    again(self._out[0], header, flags)
                    flags = 0
            self._out.clear()
            if before == last:
                break
        self._first = until
        self.unsure = False
        return max(sent, before + 1)

    def _has_out(self) -> bool:
        if not self._out:
            # Taken and handed on within one call, where no handler can raise.
            self._out.extend(itertools.islice(iter(self._queue.receive, None), 1))
        return bool(self._out)

    def close(self) -> None:
        """Close the end."""
        self._out.clear()
        del self._queue
