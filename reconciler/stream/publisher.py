"""The sending end of a channel.

Rule: a frame is sent whole or not at all. Waiting for readers happens here, above iceoryx2, whose own `send` would
block the interpreter.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, Tuple, Type, TypeVar

import iceoryx2 as iox

from reconciler.contract import header as wire
from reconciler.stream import channel as channels
from reconciler.stream import codec, forks, memory, reserved
from reconciler.stream.credit import LOOK_S, Credit
from reconciler.stream.errors import Backpressure, Closed, TransportError
from reconciler.stream.keeper import Keeper
from reconciler.stream.loans import Loans, fill
from reconciler.stream.position import Barrier

if TYPE_CHECKING:
    from reconciler.contract.files import Channel
    from reconciler.stream.frame import Frame
    from reconciler.stream.together import Together

F = TypeVar("F", bound="Frame")

FIRST_SLICE_BLOCKS = 16
KEPT_BYTES = 1 << 18
"""So much is sent before what was acknowledged of it is let go of: a part of what a core's own cache holds."""

SHORT_S, LONG_S = 0.0002, 0.02
"""How often is looked whether readers have mapped what was sent: they look within a moment, or have a frame in hand."""

AWAKE, ASLEEP, DOUBT = range(3)
"""Whether to look before a send what readers ask for: all were awake after the last one, one slept, or an exception
ended it, so that it may have taken place or not."""

_INITIALIZED: Any = getattr(iox.SampleMutUninit, "__assume_init", iox.SampleMutUninit.assume_init)
"""What iceoryx2's method does once it has asked `typing` for the element type, which takes as long as the rest."""


class Publisher:
    """Sends frames on one channel. One thread at a time sends; others wait their turn."""

    def __init__(self, domain: channels.Domain, channel: Channel) -> None:
        """Open the channel and its sending end.

        Raises:
            TransportError: if iceoryx2 refuses.
        """
        self.channel = channel
        self.incarnation = time.monotonic_ns()
        self.sent = 0
        self._domain = domain
        self._lock = threading.Lock()
        self._barrier = Barrier()
        self._windows = memory.Windows()
        self._port = channel.port.encode()
        self._alike: Tuple[Tuple[Any, ...], bytes] = ((), b"")
        self._open = True
        self._weight = 0
        self._answered: Tuple[int, ...] = ()
        self._attend = ASLEEP
        self._afresh = False
        """Whether a reader asks and nothing is kept, so that the next frame is the first it gets."""
        self._told_bytes = -1
        """From which piece of memory readers were told a frame last; -1: none, or a reader has come since."""
        self._piece_bytes = 0
        """In which piece of memory the frame lies that is being sent."""
        self.unmapped = 0
        """How many frames have to be in memory that is mapped, as long as that was not found to be so; else 0."""
        self._reserved: weakref.WeakSet[reserved.Loan] = weakref.WeakSet()
        slots = channels.slots(channel)
        services = domain.open(channel)
        self._keeper = Keeper(services, channel, self.incarnation) if channels.keeps(channel) else None
        factory = services.frames.publisher_builder().initial_max_slice_len(FIRST_SLICE_BLOCKS)
        factory = factory.allocation_strategy(iox.AllocationStrategy.PowerOfTwo)
        factory = factory.max_loaned_samples(channels.MAX_LOANS + 1).override_sample_preallocation(slots)
        try:
            self._publisher = factory.create()
            self._notifier = services.event.notifier_builder().create()
            self._ends = services.event.dynamic_config
        except (iox.PublisherCreateError, iox.NotifierCreateError) as error:
            msg = f"iceoryx2 refuses a sender on {channel.name}: {error}"
            raise TransportError(msg) from error
        self._loans = Loans(self._publisher, slots, FIRST_SLICE_BLOCKS * wire.BLOCK_BYTES, channel.name)
        self._credit = Credit(domain.positions, channel, self.incarnation)
        forks.guard(self)

    def send(
        self,
        frame: Frame,
        *,
        epoch: int,
        seq: int,
        cause: wire.Cause = wire.NO_CAUSE,
        timeout_s: Optional[float] = None,
        look: Optional[Callable[[], bool]] = None,
        together: Optional[Together] = None,
    ) -> None:
        """Send one frame, waiting for room; `timeout_s` None waits for as long as `look` says so.

        Where the frame goes into other channels, too, `together` sends it when all of them have memory for it.

        Raises:
            FrameInvalid: if the frame can't be carried.
            Backpressure: if the readers made no room in time.
            SharedMemoryFull: if the payload does not fit.
            Closed: if this end is closed, or `look` gave up.
        """
        encoded, metadata = codec.encode(frame), codec.encode_metadata(frame.metadata) if frame.metadata else b""
        with self._lock:
            if not self._open:
                self._need_open()
            deadline = None if timeout_s is None else time.monotonic() + timeout_s
            if self._attend:
                self._repeat(deadline, look)
            if self._credit.free(self.sent) <= 0:
                self._await_credit(timeout_s, look)
                self._repeat(deadline, look)
            loan = frame.__dict__.get("_loan")
            flags = self._flags(encoded[2] + len(metadata), loan)
            if encoded[4:] != self._alike[0]:  # in one step, as a signal's handler may raise
                self._alike = (encoded[4:], wire.encode_tail(*encoded[4:], self._port))
            try:
                head = wire.encode_head(
                    wire.FORMAT,
                    encoded[0],
                    encoded[3],
                    flags,
                    len(encoded[4]),
                    cause[0],
                    self.incarnation,
                    self.sent,
                    epoch,
                    seq,
                    frame.timestamp_ns,
                    time.monotonic_ns(),
                    cause[1],
                    cause[2],
                    cause[3],
                    len(metadata),
                    encoded[2],
                )
            except wire.OUT_OF_RANGE as error:
                raise codec.untimely(frame) from error
            filled = None if loan is None else loan.take(self, encoded, metadata)
            sample = filled or self._loan(encoded[2] + len(metadata), deadline, look)
            self._piece_bytes = self._loans.piece_bytes if filled is None or loan is None else loan.piece_bytes
            window = self._windows.at(sample)
            if filled is None:
                fill(window, encoded, metadata)
            window.header[:] = head + self._alike[1]
            if together is None:
                self._send(sample, flags)
            else:
                together.add(self, sample, flags)
                del sample, filled  # an error would keep it
                together.go_on()

    def begin(self, sample: iox.SampleMutUninit) -> iox.SampleMut:
        """Return what sends a complete frame. From now on that may have been sent, until `finish` says so."""
        self._attend = DOUBT
        ready: iox.SampleMut = _INITIALIZED(sample)
        return ready

    def finish(self, flags: int) -> None:
        """Count a frame that was sent, and wake readers that sleep."""
        self._send(None, flags)

    def ready(self, *, timeout_s: Optional[float] = None, look: Optional[Callable[[], bool]] = None) -> None:
        """Wait until a frame may be sent.

        Raises:
            Backpressure: if the readers made no room in time.
            Closed: if this end is closed, or `look` gave up.
        """
        with self._lock:
            self._need_open()
            if self._credit.free(self.sent) <= 0:
                self._await_credit(timeout_s, look)

    def count(self, *, timeout_s: float, look: Callable[[], bool]) -> int:
        """Return how many frames were sent, also after a `send` that an exception ended.

        Raises:
            Backpressure: if there is no memory to make sure of it.
            Closed: if this end is closed, or `look` gave up.
        """
        with self._lock:
            self._need_open()
            self._repeat(time.monotonic() + timeout_s, look)
            return self.sent

    @property
    def backlog(self) -> int:
        """How many sent frames the slowest reliable reader has not finished. Any thread may ask."""
        return self._credit.backlog(self.sent)

    def free(self) -> int:
        """Return how many frames may be sent without waiting."""
        return self._credit.free(self.sent)

    def settled(self) -> bool:
        """Tell whether every reliable reader has acknowledged all that was sent, so that this end may go."""
        return self._credit.settled(self.sent)

    def reserve(self, kind: Type[F], shape: Sequence[int], dtype: Any = "float32", **content: Any) -> F:
        """Return a frame whose array lies in shared memory, to be filled in place and sent once.

        The array is writable until the frame is sent and must not be touched afterwards. At most 4 frames can be
        reserved at a time; one that is dropped unsent gives its memory back.

        Raises:
            FrameInvalid: if frames of that kind hold no array.
            SharedMemoryFull: if it does not fit.
            Backpressure: if too many frames are reserved, or readers hold all memory.
        """
        what = reserved.layout(kind, shape, dtype, content.get("metadata", {}))
        with self._lock:
            self._need_open()
            if sum(loan.sample is not None for loan in self._reserved) >= channels.MAX_LOANS:
                msg = f"{self.channel.name}: too many reserved frames are unsent: send or drop them first"
                raise Backpressure(msg)
            sample = self._loan(what.size_bytes, time.monotonic(), None)
            piece = self._loans.piece_bytes
            loan = reserved.Loan(self, self.channel.name, sample, what.size_bytes, piece)
            self._reserved.add(loan)
            del sample  # an error would keep it
        return reserved.frame(kind, what, loan, content)

    def await_mapped(self, *, running: Callable[[], bool], look: Callable[[], None]) -> None:
        """Wait until no node needs this sender any more to get at what was sent. GIL released.

        iceoryx2 maps a piece of memory for a reader with the first frame that it takes from there. Where the sender is
        killed before that, whoever cleans up takes all that lies in there away.

        `look` is called about every 0.1 s, to look after all that needs it meanwhile.

        Raises:
            Closed: if it is not to run any more.
        """
        pause_s, looked = SHORT_S, time.monotonic()
        while not self._credit.mapped(self.unmapped):
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, LONG_S)
            if time.monotonic() - looked > LOOK_S:
                looked = time.monotonic()
                look()
            if not running():
                msg = f"{self.channel.name}: closed while waiting for the nodes that read it to map what was sent"
                raise Closed(msg)
        self.unmapped = 0

    def refresh(self) -> None:
        """Connect readers that came since the last send, and send again what they ask for.

        Who sends does so too, and may hold the lock until its readers make room: nobody waits for that here.
        """
        if self._lock.acquire(blocking=False):
            try:
                if self._open:
                    self._reconnect()
            finally:
                self._lock.release()

    def wake(self) -> None:
        """Make a thread that waits for room look up."""
        self._credit.wake()

    def close(self) -> None:
        """Close this end."""
        with self._lock:
            if self._open:
                self._open = False
                self._credit.close()
                self._loans.close()
                del self._publisher, self._notifier, self._ends
                if self._keeper is not None:
                    self._keeper.close()
                self._domain.left(self.channel)

    def _flags(self, size_bytes: int, loan: Optional[reserved.Loan]) -> int:
        """Return the flags of the next frame: whether it may come to lie in memory that readers were not told of."""
        told_bytes, flags = self._told_bytes, wire.OLDEST if self._afresh else 0
        if size_bytes > told_bytes or self._loans.piece_bytes != told_bytes:
            return flags | wire.FRESH
        return flags if loan is None or loan.piece_bytes == told_bytes else flags | wire.FRESH

    def _need_open(self) -> None:
        if not self._open:
            msg = f"{self.channel.name}: this end is closed: open a new session"
            raise Closed(msg)

    def _await_credit(self, timeout_s: Optional[float], look: Optional[Callable[[], bool]]) -> None:
        self._credit.wait(self.sent, timeout_s=timeout_s, look=lambda: self._look(look))

    def _look(self, look: Optional[Callable[[], bool]]) -> bool:
        self._reconnect()
        return look is None or look()

    def _reconnect(self) -> None:
        self._credit.look()
        try:
            self._publisher.update_connections()
        except iox.ConnectionFailure as error:
            msg = f"iceoryx2 can't connect the readers of {self.channel.name}: {error}"
            raise TransportError(msg) from error
        self._answer()
        self._let_go()
        self._notifier.notify()

    def _answer(self) -> None:
        """Send again what readers ask for; where there is no memory for it now, with a later call."""
        with contextlib.suppress(Backpressure):
            self._repeat(time.monotonic(), None)

    def _repeat(self, deadline: Optional[float], look: Optional[Callable[[], bool]]) -> None:
        """Make sure of what was sent, where that is in doubt, and send again what readers ask for.

        Raises:
            Backpressure: if there was no memory for it in time; a later call begins anew.
            Closed: if `look` gave up.
        """
        keeper, asks = self._keeper, self._credit.asks()
        if keeper is None or (asks == self._answered and self._attend != DOUBT and not keeper.unsure):
            return
        keeper.unsure = keeper.unsure or self._attend == DOUBT

        def again(sample: iox.Sample, header: wire.Header, flags: int) -> None:
            size_bytes = header.payload_bytes + header.metadata_bytes
            copy = self._loans.take_for_copy(size_bytes, deadline, look)
            memory.duplicate(sample, copy, size_bytes)
            wire.set_flags(self._windows.at(copy).header, flags)
            _INITIALIZED(copy).send()

        try:
            any_kept = keeper.repeat(self._credit.acknowledged(self.sent), self.sent, again)
        except (iox.SendError, iox.ReceiveError, iox.ConnectionFailure) as error:
            msg = f"iceoryx2 can't send again on {self.channel.name}: {error}"
            raise TransportError(msg) from error
        self.sent = keeper.sent
        self._attend = ASLEEP
        if asks != self._answered:
            self._afresh = not any_kept
            self._told_bytes = -1  # who has come has mapped nothing
            self._answered = asks

    def _let_go(self) -> None:
        """Let go of what was acknowledged: the next frame goes where it lay."""
        self._weight = 0
        if self._keeper is not None:
            try:
                self._keeper.let_go(self._credit.acknowledged(self.sent), self.sent)
            except (iox.ReceiveError, iox.ConnectionFailure) as error:
                msg = f"iceoryx2 can't let go of what was sent on {self.channel.name}: {error}"
                raise TransportError(msg) from error

    def _loan(
        self, size_bytes: int, deadline: Optional[float], look: Optional[Callable[[], bool]]
    ) -> iox.SampleMutUninit:
        """Loan memory; where readers hold all of it, wait until one lets go."""
        self._weight += size_bytes
        if self._weight >= KEPT_BYTES:
            self._let_go()
        while True:
            sample = self._loans.take(size_bytes)
            if sample is not None:
                return sample
            self._loans.pause("its readers hold all of its memory: drop received arrays sooner", deadline, look)

    def _send(self, sample: Optional[iox.SampleMutUninit], flags: int) -> None:
        """Send a complete frame, unless it was (None); then count it, and wake readers that sleep."""
        if sample is not None:
            self._attend = DOUBT
            try:
                _INITIALIZED(sample).send()
            except iox.SendError as error:
                msg = f"iceoryx2 can't send on {self.channel.name}: {error}"
                raise TransportError(msg) from error
        self.sent += 1
        if flags:
            self._afresh = False
            if flags & wire.FRESH:
                self._told_bytes, self.unmapped = self._piece_bytes, self.sent
        self._barrier()
        self._attend = self._credit.asleep(self._ends.number_of_listeners)
        if self._attend:
            self._answer()
            self._notifier.notify()
