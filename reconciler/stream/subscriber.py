"""The receiving end of a channel.

Rule: a reader takes frames in order, an older sender's before a newer one's, each once. It acknowledges a frame only
when it is done with it, so that what a killed reader left unfinished comes again; what comes again although it was done
is passed over by its position. Where frames are missing that the sender keeps, the reader asks for them and passes over
what comes until they are there.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Tuple, Union

import iceoryx2 as iox

from reconciler.contract import header as wire
from reconciler.contract.files import RELIABLE
from reconciler.stream import channel as channels
from reconciler.stream import codec, forks, memory, position
from reconciler.stream.errors import TransportError

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.contract.files import Channel
    from reconciler.stream.frame import Frame

VIEW_LIMIT = channels.MAX_BORROWED - 2
"""Samples held by views; further payloads are copied, so that receiving never stops for want of a sample."""


_NEW = tuple.__new__
_NEWEST = (1 << 64) - 1


def _by_incarnation(early: Tuple[wire.Header, Frame]) -> int:
    return early[0].incarnation


class Arrival(NamedTuple):
    """A frame, how it came, by which end, and which of an inbox's ends that is."""

    frame: Frame
    header: wire.Header
    source: Subscriber
    end: int


class Subscriber:
    """Receives frames from one channel. Not for use by several threads at once."""

    tells = True
    """Whether to say what is mapped here; not for one that leaves, since who comes needs it."""

    def __init__(self, domain: channels.Domain, channel: Channel, reader: str, *, waits: bool = False) -> None:
        """Open the channel and a receiving end for `reader` (a node id, or "" for the session's own program).

        Where another end still acknowledges what this reader gets, this one `waits`: what is sent from now on comes to
        it, too, and it must not take any of it before `begin`.

        Raises:
            TransportError: if iceoryx2 refuses.
        """
        self.channel = channel
        self._reader = reader
        self.end = 0
        self.received = 0
        self.dropped = 0
        self.doubled = 0
        self._reliable = channel.delivery == RELIABLE
        self._asking = False
        self._tally = memory.Tally()
        self._barrier = position.Barrier()
        self._windows = memory.Windows()
        self._publisher = self._tag = self._next = self._told = 0
        self._early: List[Tuple[wire.Header, Frame]] = []
        """What was set aside: iceoryx2 may give what newer senders sent before an older one's, who is gone."""
        self._former: Dict[int, int] = {}
        """Which frame of each older sender is due; what it had sent again may lie in the queue twice."""
        self._causes: Dict[int, Tuple[int, int, int]] = {}
        self._domain = domain
        self._born = time.monotonic_ns()
        self._begun = 0
        self._eldest = self._born if self._reliable else _NEWEST
        """Of senders before this incarnation nothing can come any more; those that send to this end now began later."""
        services = domain.open(channel)
        factory = services.frames.subscriber_builder().buffer_size(channels.depth(channel) if self._reliable else 1)
        try:
            self.listener = services.event.listener_builder().create()
            self._notifier = services.event.notifier_builder().create()
            self._subscriber = factory.create()
        except (iox.SubscriberCreateError, iox.ListenerCreateError, iox.NotifierCreateError) as error:
            msg = f"iceoryx2 refuses a reader on {channel.name}: {error}"
            raise TransportError(msg) from error
        self.position: Optional[position.Position] = None
        if reader in channel.readers:
            self.position = position.Position(self._where())
        self._is_kept = self.position is not None and channels.keeps(channel)
        if not waits:
            self._take_up()
        forks.guard(self)

    def begin(self) -> None:
        """Go on after the end that was waited for, where its position is."""
        self._begun = time.monotonic_ns()
        self.renew()
        self._take_up()

    def take(self) -> Optional[Arrival]:
        """Return the next frame, or None where none waits.

        Raises:
            TransportError: if iceoryx2 refuses.
            FormatError: if the sender speaks another format.
        """
        while True:
            if self._early and self._early[0][0].incarnation <= self._eldest:
                header, frame = self._early.pop(0)
                if self._is_new(header):
                    self.received += 1
                    return Arrival(frame, header, self, self.end)
                continue
            sample = self._receive()
            if sample is None:
                if not self._early:
                    return None
                self._eldest = self._early[0][0].incarnation
                continue
            window = self._windows.at(sample)
            header = wire.decode(window.header)
            if header.flags & wire.FRESH:
                self._tell_mapped(header)
            if header.incarnation > self._eldest:
                self._set_aside(header, sample, window)
            elif self._is_new(header):
                self.received += 1
                return _NEW(Arrival, (self._frame(header, sample, window.payload), header, self, self.end))

    def stand_by(self) -> None:
        """Be ready for `begin`, while this end waits; to be called again and again.

        iceoryx2 maps a sender's memory when the first frame of it is received. If the sender is killed before that and
        another one begins, its memory is gone, and so is all of it in the queue. So one frame is received early.
        """
        if not self._is_kept or self.position is None:
            return
        self.renew()
        while self._early and self._is_acknowledged(self._early[0][0]):
            self._early.pop(0)
        if self._early:
            self._subscriber.has_samples()  # which connects senders that came
            return
        sample = self._receive()
        if sample is not None:
            window = self._windows.at(sample)
            self._set_aside(wire.decode(window.header), sample, window)

    def pass_over(self) -> None:
        """Forget the frame that was taken last: it is another end's."""
        self.received -= 1

    def done(self, header: wire.Header) -> None:
        """Acknowledge a frame and all before it: they will not come again."""
        if self.position is not None and header.incarnation == self._publisher:
            self.position.acknowledge(self._tag, header.position + 1)

    def note_end(self, epoch: int) -> None:
        """Remember, for whoever reads here next, that a stream has ended by this connection and not yet by others."""
        if self.position is not None:
            self.position.ended = epoch
            return
        with contextlib.suppress(OSError):  # without room for a file it is known for as long as this program lives
            where = position.Position(self._where())
            where.ended = epoch
            where.close()

    def has_ended(self, epoch: int) -> bool:
        """Tell whether that was remembered of a stream."""
        if self.position is not None:
            return self.position.ended == epoch
        ended = 0
        if self._where().exists():
            with contextlib.suppress(OSError):
                where = position.Position(self._where())
                ended = where.ended
                where.close()
        return ended == epoch

    def sleeps(self) -> bool:
        """Say that the reader will sleep; False where a frame came before that was said."""
        if self.position is not None:
            self.position.awake = False
        self._barrier()
        return not self._subscriber.has_samples() and not self._early

    def awakes(self) -> None:
        """Say that the reader looks for frames before it sleeps again."""
        if self.position is not None:
            self.position.awake = not self._asking

    def wake(self) -> None:
        """Wake whoever waits on this channel; from any thread."""
        self._notifier.notify()

    def renew(self) -> None:
        """Follow the position's file where it was removed meanwhile."""
        before = self.position
        if before is not None and before.stale():
            self.position = position.Position(before.path)
            self.position.take_over(before)
            before.close()
            if self._asking:
                self.position.ask()

    def close(self) -> None:
        """Close this end. Arrays that were received stay valid."""
        if self.position is not None:
            self.position.awake = False
            self.position.close()
            self.position = None
        self._early.clear()
        del self._subscriber, self.listener, self._notifier
        self._domain.left(self.channel)

    def _where(self) -> Path:
        return position.path(self._domain.positions, self.channel.name, self._reader)

    def _receive(self) -> Optional[iox.Sample]:
        try:
            return self._subscriber.receive()
        except (iox.ReceiveError, iox.ConnectionFailure) as error:
            msg = f"iceoryx2 can't receive on {self.channel.name}: {error}"
            raise TransportError(msg) from error

    def _set_aside(self, header: wire.Header, sample: iox.Sample, window: memory.Window) -> None:
        """Keep a frame until all of older senders have come."""
        early = self._early
        early.append((header, self._frame(header, sample, window.payload)))
        if len(early) > 1 and early[-2][0].incarnation > header.incarnation:
            early.sort(key=_by_incarnation)

    def _tell_mapped(self, header: wire.Header) -> None:
        """Say that the memory of this frame is mapped."""
        if self.position is not None and self.tells and header.incarnation >= self._told:
            self._told = header.incarnation
            self.position.map(position.tag(header.incarnation), header.position + 1)

    def _is_acknowledged(self, header: wire.Header) -> bool:
        done = 0 if self.position is None else self.position.acknowledged(position.tag(header.incarnation))
        return header.position < done

    def _is_new(self, header: wire.Header) -> bool:
        """Tell whether a frame is due, and count what is missing before it."""
        if header.incarnation != self._publisher:
            if header.incarnation < self._publisher:
                return self._is_left_over(header)
            self._meet(header)
        if header.position != self._next:
            if header.position < self._next:
                self.doubled += header.monotonic_ns > self._begun
                return False
            if self._is_kept and not header.flags & wire.OLDEST:
                self._ask()
                return False
            self.dropped += header.position - self._next
        self._next = header.position + 1
        self._asking = False
        if header.cause_incarnation and self._is_repeated(header):
            self.doubled += 1
            self.done(header)
            return False
        return True

    def _is_left_over(self, header: wire.Header) -> bool:
        """Tell whether a frame of an older sender is due."""
        if header.position < self._former.get(header.incarnation, 0):
            self.doubled += 1
            return False
        self._former[header.incarnation] = header.position + 1
        return True

    def _take_up(self) -> None:
        """Have sent again what the one before this end left unfinished, whoever that was."""
        if self.position is not None:
            self.position.awake = False
        if self._reliable and self._reader:
            self._ask()

    def _ask(self) -> None:
        """Have sent again what is kept for this reader. It stands as asleep until that came: then its sender looks."""
        if not self._asking and self.position is not None:
            self._asking = True
            self.position.awake = False
            self.position.ask()

    def _is_repeated(self, header: wire.Header) -> bool:
        """Tell whether this was received before, from the same node before it was killed and did its work again."""
        place = (header.cause_incarnation, header.cause_position, header.cause_nth)
        last = self._causes.get(header.cause_input, (0, 0, 0))
        if last[0] == place[0] and place <= last:
            return True
        self._causes[header.cause_input] = place
        return False

    def _meet(self, header: wire.Header) -> None:
        """Begin with a new publisher, or with the one that was being read when this reader was killed."""
        self._former = {**dict(list(self._former.items())[-channels.MAX_PUBLISHERS :]), self._publisher: self._next}
        self._publisher = header.incarnation
        self._tag = position.tag(header.incarnation)
        if self._reader and self._reliable and self.position is not None:
            self._next = self.position.acknowledged(self._tag)
        else:  # what was sent before this reader came is not missing
            self._next = 0 if header.incarnation > max(self._born, self._begun) else header.position

    def _frame(self, header: wire.Header, sample: iox.Sample, window: memoryview) -> Frame:
        payload_bytes, metadata_bytes = header.payload_bytes, header.metadata_bytes
        size_bytes = payload_bytes + metadata_bytes
        metadata = b""
        if size_bytes <= memory.COPY_LIMIT_BYTES:
            payload: Union[bytes, memoryview] = window[:payload_bytes].tobytes()
            if metadata_bytes:
                metadata = window[payload_bytes:size_bytes].tobytes()
        else:
            address = sample.payload_ptr
            if not codec.is_array(header.kind) or len(self._tally) >= VIEW_LIMIT:
                payload = memory.copy_out(address, payload_bytes)
            else:
                payload = memory.view(sample, payload_bytes, self._tally)
            if metadata_bytes:
                metadata = memory.copy_out(address + payload_bytes, metadata_bytes)
        return codec.decode(header, payload, metadata, node=self.channel.node, port=self.channel.port)
