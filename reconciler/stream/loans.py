"""Memory for what a sender sends: loans of iceoryx2's, and what is copied into them.

Rule: what can't be had is an error, or waited for, before anything is written. Waiting happens here, so that the
interpreter goes on.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Callable, Optional

import iceoryx2 as iox

from reconciler.contract import header as wire
from reconciler.stream import memory
from reconciler.stream.errors import Backpressure, Closed, SharedMemoryFull, TransportError
from reconciler.stream.room import DIRECTORY, SMALL_BYTES, Room

if TYPE_CHECKING:
    from reconciler.stream import codec

PAUSE_S = 0.001

_LOAN: Any = getattr(iox.Publisher, "__loan_slice_uninit", iox.Publisher.loan_slice_uninit)
"""What iceoryx2's method does once it has asked `typing` for the element type, which takes as long as the rest."""


class Loans:
    """The memory of one sending end. For one thread at a time."""

    def __init__(self, publisher: iox.Publisher, slots: int, first_bytes: int, channel: str) -> None:
        """Begin with nothing loaned; `slots` is how many frames the memory holds, the first `first_bytes` large."""
        self._publisher = publisher
        self._room = Room(slots, first_bytes)
        self._channel = channel

    @property
    def piece_bytes(self) -> int:
        """The largest payload that fits into the newest piece of memory, from which all is loaned."""
        return self._room.segment_bytes

    def take(self, size_bytes: int) -> Optional[iox.SampleMutUninit]:
        """Loan memory; None where readers hold all of it.

        Raises:
            SharedMemoryFull: if it does not fit.
            TransportError: if iceoryx2 refuses.
        """
        grown_bytes = 0
        if size_bytes > self._room.segment_bytes:
            grown_bytes = self._room.look_for(size_bytes, self._channel)
        try:
            sample: iox.SampleMutUninit = _LOAN(self._publisher, -(-size_bytes // wire.BLOCK_BYTES) or 1)
        except iox.LoanError as error:
            if "OutOfMemory" in str(error) or "ExceedsMaxLoans" in str(error):
                return None
            msg = f"iceoryx2 refuses {size_bytes:,} bytes on {self._channel}: {error}"
            raise TransportError(msg) from error
        if grown_bytes:
            self._room.grew(grown_bytes)
        if size_bytes > SMALL_BYTES:
            try:
                self._room.touch(sample.payload_ptr, size_bytes, self._channel)
            except SharedMemoryFull:
                del sample  # the error would keep it
                raise
        return sample

    def pause(self, missing: str, deadline: Optional[float], look: Optional[Callable[[], bool]]) -> None:
        """Wait a moment for memory.

        Raises:
            Backpressure: if the deadline has passed; `missing` is what the message says.
            Closed: if `look` gave up.
        """
        if deadline is not None and time.monotonic() > deadline:
            msg = f"{self._channel}: {missing}"
            raise Backpressure(msg)
        if look is not None and not look():
            msg = f"{self._channel}: closed while waiting for memory"
            raise Closed(msg)
        time.sleep(PAUSE_S)

    def take_for_copy(
        self, size_bytes: int, deadline: Optional[float], look: Optional[Callable[[], bool]]
    ) -> iox.SampleMutUninit:
        """Loan memory for a copy. That there is none is no error of the frame that is about to be sent: wait.

        Raises:
            Backpressure: if there was none until the deadline.
            Closed: if `look` gave up.
        """
        said = (
            f"{size_bytes:,} bytes are missing to send again what a reader that came back asks for: free or enlarge "
            f"{DIRECTORY}, or drop received arrays sooner"
        )
        while True:
            with contextlib.suppress(SharedMemoryFull):
                sample = self.take(size_bytes)
                if sample is not None:
                    return sample
            self.pause(said, deadline, look)

    def close(self) -> None:
        """Let go of the sending end."""
        del self._publisher


def fill(window: memory.Window, encoded: codec.Encoded, metadata: bytes) -> None:
    """Copy a frame's payload and metadata into loaned memory."""
    payload, payload_bytes, is_array = encoded[1], encoded[2], encoded[3]
    if payload_bytes + len(metadata) <= memory.COPY_LIMIT_BYTES:
        plain = payload.tobytes() if is_array else payload
        window.payload[:payload_bytes] = plain
        if metadata:
            window.payload[payload_bytes : payload_bytes + len(metadata)] = metadata
        return
    if is_array:
        memory.copy_array_in(window, payload)
    else:
        memory.copy_in(window.address, payload, payload_bytes)
    if metadata:
        memory.copy_in(window.address + payload_bytes, metadata, len(metadata))
