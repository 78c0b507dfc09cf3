"""What a sender keeps: frames that it has sent and that a reader may still want once more.

iceoryx2 keeps a fixed number of samples for readers that come, however large and whether or not anybody can want them
again, so that each frame would go through memory that nobody has touched for that many frames. Here the sender reads
its own channel instead. Its frames lie in the queue of that reading end, which costs nothing until it is full, and
large ones are taken out once they are acknowledged: the next one goes where they lay, which the processor has at hand.

Rule: a signal's handler may raise between any two steps, and memory may be missing for a copy. So whatever takes frames
out first says that nothing is sure (`unsure`), one frame at a time is out of the queue, and it stays in `_out` until it
has been sent again. What is left then is a ring that begins somewhere, with one frame in it twice perhaps; the next
`repeat` goes round it to see what is there before it sends all of it in order.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Callable, List, Optional

import iceoryx2 as iox

from reconciler.contract import header as wire
from reconciler.stream import channel as channels
from reconciler.stream import forks, memory
from reconciler.stream.errors import TransportError

if TYPE_CHECKING:
    from reconciler.contract.files import Channel

    Again = Callable[[iox.Sample, wire.Header, int], None]
    """Sends a copy of a kept frame with these flags."""

TWICE = 8
"""Room for frames that lie in the queue twice after interruptions."""

_TURN_SHIFT, _TURNS = 8, 255


class Keeper:
    """The sender's own reading end. For one thread at a time."""

    def __init__(self, services: channels.Services, channel: Channel, incarnation: int) -> None:
        """Open the end, before the sender that is to be read.

        Raises:
            TransportError: if iceoryx2 refuses.
        """
        self.unsure = False
        """Whether the queue is in disorder, or it is in doubt whether the last frame was sent."""
        self.sent = 0
        """How many frames were sent, as `repeat` found it last."""
        self._incarnation = incarnation
        self._depth = min(channel.buffer + TWICE, channels.depth(channel))
        self._first = 0
        self._turn = 0
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

    def repeat(self, until: int, sent: int, again: Again) -> bool:
        """Send all frames from place `until` on once more, oldest first; tell whether there are any.

        Raises:
            Exception: what `again` raises; the next call begins anew.
        """
        self.sent = sent
        if self.unsure:
            count = self._put_in_order(until, again)
        else:
            count = sent - max(self._first, sent - self._depth)
            self.unsure = True
        flags = wire.OLDEST
        for _ in range(count):
            header = self._next()
            if header is None:
                break
            if header.position >= until:
                again(self._out[0], header, flags)
                flags = 0
            self._out.clear()
        self._first = until
        self.unsure = False
        return not flags

    def _put_in_order(self, until: int, again: Again) -> int:
        """Go round the ring until its oldest frame is in front; return how many there are.

        Copies carry the number of the turn, so a turn is over when the first of them comes by.
        """
        self._turn = self._turn % _TURNS + 1
        mark = self._turn << _TURN_SHIFT
        order: List[int] = []
        while True:
            header = self._next()
            if header is None or header.flags == mark:
                break
            if header.position >= until and header.position not in order:
                again(self._out[0], header, mark)
                order.append(header.position)
            self._out.clear()
        self.sent = max([self.sent, *(position + 1 for position in order)])
        for _ in range(order.index(min(order)) if order else 0):
            header = self._next()
            if header is not None:
                again(self._out[0], header, mark)
            self._out.clear()
        return len(order)

    def _next(self) -> Optional[wire.Header]:
        """Return the header of the frame in `_out`, which is taken from the queue if need be; None if there is none."""
        while True:
            if not self._out:
                # Taken and handed on within one call, where no handler can raise.
                self._out.extend(itertools.islice(iter(self._queue.receive, None), 1))
            if not self._out:
                return None
            header = wire.decode(self._windows.at(self._out[0]).header)
            if header.incarnation == self._incarnation:
                return header
            self._out.clear()

    def close(self) -> None:
        """Close the end."""
        self._out.clear()
        del self._queue
