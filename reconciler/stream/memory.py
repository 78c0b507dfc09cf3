"""Shared memory as Python objects: views that own their sample, and copies between arrays and loans.

Rule: nobody outside sees an address. A view keeps its sample, so its content stays for as long as the view does; a
received view is read-only all the way down, since writing to it would be SIGSEGV.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Union

import numpy as np

from reconciler.contract.header import SIZE
from reconciler.stream.forks import Forks, leak

if TYPE_CHECKING:
    import iceoryx2 as iox

COPY_LIMIT_BYTES = 4096
"""Received payloads up to this size are copied: that takes less time than making a view, and holds no sample."""

_REACH = ctypes.c_uint8 * (1 << 40)
"""One array type for views of any length: ctypes keeps each type that was ever made."""

_WINDOWS = 4096
"""Places that are remembered for one end; an end has some hundred, but memory that grows moves them."""


class Window(NamedTuple):
    """A place of one sample: its header, its payload as far as small payloads go, and where that is."""

    header: memoryview
    payload: memoryview
    address: int
    endless: Any
    """The payload as a ctypes array without an end, to be made an array of: who sends none need not import numpy."""


class Windows:
    """The places in which one end's samples lie, by the address of their payload.

    Making a view takes longer than using it, and an end's samples lie in the same places again and again. A window
    has no part in the life of what lies there: use it only while a sample at that address is held.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._windows: Dict[int, Window] = {}

    def at(self, sample: Union[iox.Sample, iox.SampleMutUninit]) -> Window:
        """Return the window of a sample that is held."""
        address = sample.payload_ptr
        window = self._windows.get(address)
        if window is None:
            if len(self._windows) >= _WINDOWS:
                self._windows.clear()
            header = writable(sample.user_header_ptr, SIZE, None)
            block = writable(address, COPY_LIMIT_BYTES, None)
            window = Window(header, block, address, _REACH.from_address(address))
            self._windows[address] = window
        return window


class Tally:
    """How many samples the views of one subscriber hold.

    Views end in whatever thread collects them, so the count is a list's length: `append` and `pop` are atomic.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._held: List[None] = []

    def __len__(self) -> int:
        """Return how many samples are held."""
        return len(self._held)

    def take(self) -> None:
        """Count one more."""
        self._held.append(None)

    def give(self) -> None:
        """Count one less."""
        self._held.pop()


class Hold:
    """Keeps a sample until the last view of it is gone."""

    __slots__ = ("_forks", "_sample", "_tally")

    def __init__(self, sample: object, tally: Tally) -> None:
        """Take the sample over."""
        tally.take()
        self._forks = Forks.count
        self._sample = sample
        self._tally = tally

    def __del__(self) -> None:
        """Give the sample back, unless it is the parent's."""
        if self._forks == Forks.count:
            self._tally.give()
        else:
            leak(self._sample)


def view(sample: iox.Sample, size_bytes: int, tally: Tally) -> memoryview:
    """Return a sample's payload as a read-only view that keeps the sample."""
    block: Any = _REACH.from_address(sample.payload_ptr)
    block.hold = Hold(sample, tally)
    return memoryview(block).toreadonly().cast("B")[:size_bytes]


def writable(address: int, size_bytes: int, owner: object) -> memoryview:
    """Return loaned memory as a writable view that keeps `owner`."""
    block: Any = _REACH.from_address(address)
    block.hold = owner
    return memoryview(block).cast("B")[:size_bytes]


def copy_out(address: int, size_bytes: int) -> bytes:
    """Return a copy of shared memory."""
    return ctypes.string_at(address, size_bytes)


def copy_in(address: int, data: Union[bytes, bytearray, memoryview], size_bytes: int) -> None:
    """Copy bytes into shared memory."""
    if isinstance(data, bytes):
        ctypes.memmove(address, data, size_bytes)
    elif size_bytes:
        writable(address, size_bytes, None)[:] = data


def duplicate(sample: iox.Sample, loan: iox.SampleMutUninit, size_bytes: int) -> None:
    """Copy a whole frame, header and all, into loaned memory."""
    ctypes.memmove(loan.user_header_ptr, sample.user_header_ptr, SIZE)
    ctypes.memmove(loan.payload_ptr, sample.payload_ptr, size_bytes)


def copy_array_in(window: Window, array: np.ndarray[Any, Any]) -> None:
    """Copy an array into loaned memory in C order, whatever its own order is. Large copies release the GIL."""
    target = np.frombuffer(window.endless, np.uint8, array.nbytes)
    if array.flags.c_contiguous:
        np.copyto(target, array.reshape(-1).view(np.uint8))
    else:
        np.copyto(target.view(array.dtype).reshape(array.shape), array)
