"""Credit: how many frames a sender may still send before its reliable readers have to catch up.

Every reader named in the channel is waited for, alive or not: a killed one comes back and gets its frames again. The
session's own program (reader "") is waited for only while it is attached.

Rule: never more than `buffer` frames are sent and unacknowledged, so that nothing a reliable reader needs is dropped
from its queue, or let go of by its sender.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable, List, Optional, Tuple

from reconciler.stream import position
from reconciler.stream.errors import Backpressure, Closed
from reconciler.stream.spin import SenderWaits

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.contract.files import Channel

LOOK_S = 0.1
"""While it waits, a sender looks this often for what wakes nobody: readers that came, went or were replaced."""


class Reader:
    """One reader as its sender sees it."""

    def __init__(self, directory: Path, channel: str, name: str, of_tag: int) -> None:
        """Begin with nothing sent."""
        self.name = name
        self._path = position.path(directory, channel, name)
        self.position = position.Position(self._path)
        self._tag = of_tag
        self._since = 0
        self._attached = 0
        self._gone = 0

    def unacknowledged(self, sent: int) -> int:
        """Return how many of the sent frames this reader still has to acknowledge."""
        if not self.name and not self._present(sent):
            return 0
        return sent - max(self.position.acknowledged(self._tag), self._since)

    def behind(self, sent: int) -> int:
        """Return the same as seen by an onlooker in another thread, who notices nobody coming or going."""
        if not self.name and self._attached in {0, self._gone}:
            return 0
        return max(sent - max(self.position.acknowledged(self._tag), self._since), 0)

    def has_mapped(self, count: int) -> bool:
        """Tell whether this reader has mapped the memory of the first `count` frames, or is done with them."""
        seen, of_tag = self.position, self._tag
        return max(seen.mapped(of_tag), seen.acknowledged(of_tag)) >= count

    def came_or_went(self) -> bool:
        """Tell whether this is the session's own program and another one, or none, is attached by now."""
        return not self.name and self.position.attached != self._attached

    def look(self) -> None:
        """Notice that the file was replaced, or that the session's own program was killed."""
        if self.position.stale():
            self.position.close()
            self.position = position.Position(self._path)
        if not self.name and self._attached:
            self._gone = 0 if self.position.held() else self._attached

    def wait(self, until_count: int, timeout_s: float) -> None:
        """Sleep until about `until_count` frames are acknowledged."""
        self.position.wait(self._tag, until_count=until_count, timeout_s=timeout_s)

    def wake(self) -> None:
        """Wake the sender's thread that waits for this reader."""
        self.position.wake()

    def close(self) -> None:
        """Let go of the position."""
        self.position.close()

    def _present(self, sent: int) -> bool:
        attached = self.position.attached
        if attached != self._attached:
            self._attached = attached
            self._since = sent
        return attached not in (0, self._gone)


class Credit:
    """The window of one sender."""

    def __init__(self, directory: Path, channel: Channel, incarnation: int) -> None:
        """Map the position of every reliable reader.

        Raises:
            OSError: if a position can't be mapped.
        """
        self._channel = channel
        of_tag = position.tag(incarnation)
        self._readers: List[Reader] = [Reader(directory, channel.name, name, of_tag) for name in channel.readers]
        self._program = next((reader for reader in self._readers if not reader.name), None)
        self._until = 0

    def free(self, sent: int) -> int:
        """Return how many frames may be sent now.

        Readers only ever acknowledge more, so they are asked again when what they had left free is used up.
        """
        if sent >= self._until or (self._program is not None and self._program.came_or_went()):
            room = self._channel.buffer
            for reader in self._readers:
                room = min(room, self._channel.buffer - reader.unacknowledged(sent))
            self._until = sent + room
        return self._until - sent

    def backlog(self, sent: int) -> int:
        """Return how many of the sent frames the slowest reader has not finished. Any thread may ask."""
        return max((reader.behind(sent) for reader in self._readers), default=0)

    def acknowledged(self, sent: int) -> int:
        """Return how many frames all readers have acknowledged, so that nobody wants them again."""
        behind = 0
        for reader in self._readers:
            behind = max(behind, reader.unacknowledged(sent))
        return sent - behind

    def mapped(self, count: int) -> bool:
        """Tell whether all nodes that read have mapped the memory in which the first `count` frames lie.

        The session's own program looks when it likes to.
        """
        return all(reader.has_mapped(count) for reader in self._readers if reader.name)

    def asks(self) -> Tuple[int, ...]:
        """Return what differs from what it was when any reader asks to be sent again what is kept for it."""
        return tuple([reader.position.asks for reader in self._readers])

    def asleep(self, listeners: int) -> bool:
        """Tell whether any of so many listeners may sleep; those that have no position always may."""
        for reader in self._readers:
            if reader.position.awake:
                listeners -= 1
        return listeners > 0

    def settled(self, sent: int) -> bool:
        """Look after the readers, and tell whether each has acknowledged all that was sent."""
        self.look()
        return all(reader.unacknowledged(sent) <= 0 for reader in self._readers)

    def wait(self, sent: int, *, timeout_s: Optional[float], look: Callable[[], bool]) -> None:
        """Wait until a frame may be sent. Interruptible by signals; the GIL is released.

        `look` is called about every 0.1 s while waiting, to look after the readers and reconnect what came back; when
        it returns False the wait is given up.

        Raises:
            Backpressure: if the time limit passed.
            Closed: if `look` gave up.
        """
        begun = time.monotonic()
        while True:
            slowest = self._slowest(sent)
            if slowest is None:
                return
            left_s = LOOK_S if timeout_s is None else begun + timeout_s - time.monotonic()
            if left_s <= 0:
                raise Backpressure(self._complaint(slowest, sent, timeout_s or 0.0))
            with SenderWaits():
                slowest.wait(sent - self._channel.buffer // 2, min(left_s, LOOK_S))
            if not look():
                msg = f"{self._channel.name}: closed while waiting for {_who(slowest.name)}"
                raise Closed(msg)

    def look(self) -> None:
        """Notice which readers' files were replaced, and whether the session's own program was killed."""
        for reader in self._readers:
            reader.look()

    def wake(self) -> None:
        """Make a thread that waits look up."""
        for reader in self._readers:
            reader.wake()

    def close(self) -> None:
        """Let go of all positions."""
        for reader in self._readers:
            reader.close()

    def _slowest(self, sent: int) -> Optional[Reader]:
        worst = max(self._readers, key=lambda reader: reader.unacknowledged(sent), default=None)
        if worst is None or worst.unacknowledged(sent) < self._channel.buffer:
            return None
        return worst

    def _complaint(self, reader: Reader, sent: int, timeout_s: float) -> str:
        behind = reader.unacknowledged(sent)
        return (
            f"{self._channel.name}: {_who(reader.name)} is {behind} frames behind (buffer {self._channel.buffer}) and "
            f"made no room within {timeout_s:g} s: receive, send slower, or raise the connection's buffer"
        )


def _who(reader: str) -> str:
    return f"node {reader}" if reader else "the session's own program"
