"""The sending end of a channel.

Rule: a frame is sent whole or not at all. Waiting for readers happens here, above iceoryx2, whose own `send` would
block the interpreter.
"""

from __future__ import annotations

import math
import operator
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, Tuple, Type, TypeVar

import iceoryx2 as iox
import numpy as np

from reconciler.contract import header as wire
from reconciler.stream import channel as channels
from reconciler.stream import codec, forks, memory
from reconciler.stream.credit import Credit
from reconciler.stream.errors import Backpressure, Closed, FrameInvalid, TransportError
from reconciler.stream.position import Barrier
from reconciler.stream.room import Room

if TYPE_CHECKING:
    from reconciler.contract.files import Channel
    from reconciler.stream.frame import Frame

F = TypeVar("F", bound="Frame")

FIRST_SLICE_BLOCKS = 16
LOAN_PAUSE_S = 0.001

_LOAN: Any = getattr(iox.Publisher, "__loan_slice_uninit", iox.Publisher.loan_slice_uninit)
_INITIALIZED: Any = getattr(iox.SampleMutUninit, "__assume_init", iox.SampleMutUninit.assume_init)
"""What iceoryx2's methods do once they have asked `typing` for the element type, which takes as long as the rest."""


@dataclass
class Loan:
    """Shared memory that a frame reserved and its publisher has not sent yet.

    The array keeps the loan; the loan must not keep the array, since numpy takes no part in finding cycles.
    """

    publisher: Publisher
    sample: Optional[iox.SampleMutUninit]
    size_bytes: int
    array: Optional[weakref.ref[np.ndarray[Any, Any]]] = None


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
        slots = channel.buffer + (channel.subscribers + channels.SPARE_SUBSCRIBERS) * channels.MAX_BORROWED
        services = domain.open(channel)
        factory = services.frames.publisher_builder().initial_max_slice_len(FIRST_SLICE_BLOCKS)
        factory = factory.allocation_strategy(iox.AllocationStrategy.PowerOfTwo)
        factory = factory.max_loaned_samples(channels.MAX_LOANS)
        factory = factory.override_sample_preallocation(slots + channels.MAX_LOANS)
        try:
            self._publisher = factory.create()
            self._notifier = services.event.notifier_builder().create()
            self._ends = services.event.dynamic_config
        except (iox.PublisherCreateError, iox.NotifierCreateError) as error:
            msg = f"iceoryx2 refuses a sender on {channel.name}: {error}"
            raise TransportError(msg) from error
        self._room = Room(slots + channels.MAX_LOANS)
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
    ) -> None:
        """Send one frame, waiting for room; `timeout_s` None waits for as long as `look` says so.

        Raises:
            FrameInvalid: if the frame can't be carried.
            Backpressure: if the readers made no room in time.
            SharedMemoryFull: if the payload does not fit.
            Closed: if this end is closed, or `look` gave up.
        """
        encoded = codec.encode(frame)
        metadata = codec.encode_metadata(frame.metadata) if frame.metadata else b""
        with self._lock:
            if not self._open:
                self._need_open()
            deadline = None if timeout_s is None else time.monotonic() + timeout_s
            if self._credit.free(self.sent) <= 0:
                self._await_credit(timeout_s, look)
            if encoded[4:] != self._alike[0]:
                # In one step: a signal's handler may raise between any two.
                self._alike = (encoded[4:], wire.encode_tail(*encoded[4:], self._port))
            cause_input, cause_incarnation, cause_position, cause_nth = cause
            try:
                head = wire.encode_head(
                    wire.FORMAT,
                    encoded[0],
                    encoded[3],
                    0,
                    len(encoded[4]),
                    cause_input,
                    self.incarnation,
                    self.sent,
                    epoch,
                    seq,
                    frame.timestamp_ns,
                    time.monotonic_ns(),
                    cause_incarnation,
                    cause_position,
                    cause_nth,
                    len(metadata),
                    encoded[2],
                )
            except wire.OUT_OF_RANGE as error:
                raise codec.untimely(frame) from error
            reserved = self._reserved(frame, encoded, metadata) if "_loan" in frame.__dict__ else None
            sample = reserved or self._loan(encoded[2] + len(metadata), deadline, look)
            window = self._windows.at(sample)
            if reserved is None:
                _fill(window, encoded, metadata)
            window.header[:] = head + self._alike[1]
            self._send(sample)

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
            Backpressure: if too many frames are reserved.
        """
        element = np.dtype(dtype)
        codec.dtype_code(element)
        field = codec.ARRAY_FIELDS.get(kind)
        if field is None:
            msg = (
                f"{kind.__name__} can't be filled in place: reserve one of {', '.join(map(_name, codec.ARRAY_FIELDS))}"
            )
            raise FrameInvalid(msg)
        shape = tuple(map(operator.index, shape))  # of numpy's small integers the product would wrap around
        array_bytes = math.prod(shape) * element.itemsize
        size_bytes = array_bytes + len(codec.encode_metadata(content.get("metadata", {})))
        with self._lock:
            self._need_open()
            self._room.ask(size_bytes, self.channel.name)
            sample = self._try_loan(size_bytes)
        if sample is None:
            msg = f"{self.channel.name}: too many reserved frames are unsent: send or drop them first"
            raise Backpressure(msg)
        loan = Loan(self, sample, size_bytes)
        block = memory.writable(sample.payload_ptr, array_bytes, loan) if array_bytes else bytearray()
        array: np.ndarray[Any, Any] = np.ndarray(shape, element, block)
        loan.array = weakref.ref(array)
        frame = kind(**{field: array}, **content)
        object.__setattr__(frame, "_loan", loan)
        return frame

    def refresh(self) -> None:
        """Connect readers that came since the last send; they get what the history holds.

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
                del self._publisher, self._notifier, self._ends
                self._domain.left(self.channel)

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
        try:
            self._publisher.update_connections()
        except iox.ConnectionFailure as error:
            msg = f"iceoryx2 can't connect the readers of {self.channel.name}: {error}"
            raise TransportError(msg) from error
        self._notifier.notify()

    def _reserved(self, frame: Frame, encoded: codec.Encoded, metadata: bytes) -> Optional[iox.SampleMutUninit]:
        """Return the memory a frame was filled in, if it was reserved here and can go as it is."""
        loan: Loan = frame.__dict__["_loan"]
        if loan.publisher is not self:
            return None
        if loan.sample is None:
            msg = f"{self.channel.name}: a reserved frame can be sent once: reserve another one"
            raise FrameInvalid(msg)
        array = loan.array() if loan.array is not None else None
        payload, payload_bytes = encoded[1], encoded[2]
        if array is None or payload is not array or payload_bytes + len(metadata) > loan.size_bytes:
            return None
        if metadata:
            memory.copy_in(loan.sample.payload_ptr + payload_bytes, metadata, len(metadata))
        sample, loan.sample = loan.sample, None
        array.flags.writeable = False
        return sample

    def _loan(
        self, size_bytes: int, deadline: Optional[float], look: Optional[Callable[[], bool]]
    ) -> iox.SampleMutUninit:
        """Loan memory; where readers hold all of it, wait until one lets go."""
        if size_bytes > self._room.small_bytes:
            self._room.ask(size_bytes, self.channel.name)
        while True:
            sample = self._try_loan(size_bytes)
            if sample is not None:
                return sample
            if deadline is not None and time.monotonic() > deadline:
                msg = f"{self.channel.name}: its readers hold all of its memory: drop received arrays sooner"
                raise Backpressure(msg)
            if look is not None and not look():
                msg = f"{self.channel.name}: closed while waiting for memory"
                raise Closed(msg)
            time.sleep(LOAN_PAUSE_S)

    def _try_loan(self, size_bytes: int) -> Optional[iox.SampleMutUninit]:
        try:
            sample: iox.SampleMutUninit = _LOAN(self._publisher, -(-size_bytes // wire.BLOCK_BYTES) or 1)
        except iox.LoanError as error:
            if "OutOfMemory" in str(error) or "ExceedsMaxLoans" in str(error):
                return None
            msg = f"iceoryx2 refuses {size_bytes:,} bytes on {self.channel.name}: {error}"
            raise TransportError(msg) from error
        return sample

    def _send(self, sample: iox.SampleMutUninit) -> None:
        try:
            _INITIALIZED(sample).send()
        except iox.SendError as error:
            msg = f"iceoryx2 can't send on {self.channel.name}: {error}"
            raise TransportError(msg) from error
        self.sent += 1
        self._barrier()
        if self._credit.asleep(self._ends.number_of_listeners):
            self._notifier.notify()


def _fill(window: memory.Window, encoded: codec.Encoded, metadata: bytes) -> None:
    """Copy a frame's payload and metadata into loaned memory."""
    payload, payload_bytes, is_array = encoded[1], encoded[2], encoded[3]
    if payload_bytes + len(metadata) <= memory.COPY_LIMIT_BYTES:
        plain = payload.tobytes() if is_array else payload
        window.payload[:payload_bytes] = plain
        if metadata:
            window.payload[payload_bytes : payload_bytes + len(metadata)] = metadata
        return
    if is_array:
        memory.copy_array_in(window.address, payload)
    else:
        memory.copy_in(window.address, payload, payload_bytes)
    if metadata:
        memory.copy_in(window.address + payload_bytes, metadata, len(metadata))


def _name(kind: type) -> str:
    return kind.__name__
