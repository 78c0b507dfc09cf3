"""One frame into several channels: to all of them, or to none.

Rule: whatever can be refused, or take time, is done for each channel before the first of them has the frame: credit,
what readers want again, encoding, memory. Meanwhile each end keeps its lock. Then all are sent within one call, where
no signal's handler can raise.
"""

from __future__ import annotations

import collections
import operator
import time
from typing import TYPE_CHECKING, Callable, List, Sequence, Tuple

import iceoryx2 as iox

from reconciler.stream.errors import TransportError

if TYPE_CHECKING:
    from reconciler.stream.frame import Frame
    from reconciler.stream.publisher import Publisher

_SEND = operator.methodcaller("send")


class Together:
    """A frame on its way. For one `send`."""

    def __init__(
        self, ends: Sequence[Publisher], frame: Frame, *, epoch: int, seq: int, look: Callable[[], bool]
    ) -> None:
        """Remember what goes where. A frame that was reserved is sent as it is by the first end, which comes last."""
        self._left = list(ends)
        self._frame = frame
        self._epoch = epoch
        self._seq = seq
        self._look = look
        self._deadline = 0.0
        self._complete: List[Tuple[Publisher, iox.SampleMutUninit, int]] = []
        self._going: List[iox.SampleMut] = []

    def send(self, timeout_s: float) -> None:
        """Send the frame by all ends, waiting for room.

        Raises:
            StreamError: as `Publisher.send` does; but for a `TransportError` nobody has the frame then.
        """
        self._deadline = time.monotonic() + timeout_s
        try:
            self.go_on()
        finally:  # an error would keep the memory
            self._complete.clear()
            self._going.clear()

    def add(self, end: Publisher, sample: iox.SampleMutUninit, flags: int) -> None:
        """Take over what an end has made complete; it has its lock until all is sent."""
        self._complete.append((end, sample, flags))

    def go_on(self) -> None:
        """Have the next end make the frame complete; after the last one, send."""
        if self._left:
            self._left.pop().send(
                self._frame,
                epoch=self._epoch,
                seq=self._seq,
                timeout_s=max(self._deadline - time.monotonic(), 0.0),
                look=self._look,
                together=self,
            )
            return
        self._going.extend(end.begin(sample) for end, sample, _ in self._complete)
        try:
            collections.deque(map(_SEND, self._going), maxlen=0)
        except iox.SendError as error:
            channels = ", ".join(end.channel.name for end, _, _ in self._complete)
            msg = f"iceoryx2 can't send on one of {channels}: {error}"
            raise TransportError(msg) from error
        for end, _, flags in self._complete:
            end.finish(flags)
