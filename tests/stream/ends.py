"""Opening the two ends of a channel in tests."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from reconciler.stream.inbox import Inbox
from reconciler.stream.publisher import Publisher
from reconciler.stream.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.contract.files import Channel
    from reconciler.stream.frame import Frame
    from tests.support.instance import Instance


class Ends:
    """A sender and readers of one channel, in this program."""

    def __init__(self, instance: Instance, channel: Channel) -> None:
        self.domain = instance.domain()
        self.channel = channel
        self.sender = Publisher(self.domain, channel)
        self.readers: list[Subscriber] = []
        self._seq = 0

    def read(self, reader: str, channel: Channel | None = None) -> Subscriber:
        """Open another reader."""
        self.readers.append(Subscriber(self.domain, channel or self.channel, reader))
        return self.readers[-1]

    def send(self, frame: Frame, timeout_s: float | None = 5.0) -> None:
        """Send a frame."""
        self.sender.send(frame, epoch=1, seq=self._seq, timeout_s=timeout_s)
        self._seq += 1

    def close(self) -> None:
        """Close what is open."""
        self.sender.close()
        for reader in self.readers:
            reader.close()
        self.domain.close()


@contextlib.contextmanager
def ends(instance: Instance, channel: Channel) -> Iterator[Ends]:
    """Open the sending end of a channel."""
    opened = Ends(instance, channel)
    try:
        yield opened
    finally:
        opened.close()


def drain(reader: Subscriber, *, acknowledge: bool = True) -> list[Frame]:
    """Take all that waits."""
    frames = []
    while (received := reader.take()) is not None:
        frames.append(received.frame)
        if acknowledge:
            reader.done(received.header)
    return frames


def await_frame(reader: Subscriber) -> Frame:
    """Wait for one frame."""
    inbox = Inbox([reader])
    for _ in range(20):
        arrival = inbox.take()
        if arrival is not None:
            reader.done(arrival.header)
            return arrival.frame
        inbox.wait(1.0)
    pytest.fail("nothing came")
