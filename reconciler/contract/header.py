"""The frame header: 256 bytes, fixed, little-endian, in front of every payload. Described in `docs/wire-format.md`.

Rule: a field never moves and never changes its meaning; a new layout is a new `FORMAT`, and a reader that meets a
format it does not know says so instead of guessing.
"""

from __future__ import annotations

import ctypes
import struct
from typing import NamedTuple, Tuple, Union

FORMAT = 1
SIZE = 256
MAX_DIMENSIONS = 8
MAX_PORT_BYTES = 63
MAX_LAYOUT_BYTES = 15

AUDIO, VIDEO, TEXT, JSON, TENSOR, BYTES, END, ERROR = range(1, 9)
"""Kinds of frames."""

DTYPES = (
    "",
    "|b1",
    "|u1",
    "|i1",
    "<u2",
    "<i2",
    "<u4",
    "<i4",
    "<u8",
    "<i8",
    "<f2",
    "<f4",
    "<f8",
    "<c8",
    "<c16",
)
"""Element types as numpy spells them; the code in the header is the index. Code 0: the payload is no array."""

BLOCK_BYTES = 64
"""Payloads begin at multiples of this many bytes, so that arrays of every element type can be used in place."""


class Block(ctypes.Structure):
    """What a payload is counted in.

    iceoryx2 reserves for each element of a slice as much as its alignment, so a slice of single bytes that is aligned
    to 64 would take 64 times its size.
    """

    _fields_ = (("bytes", ctypes.c_uint8 * BLOCK_BYTES),)

    @staticmethod
    def type_name() -> str:
        """Name under which iceoryx2 compares both ends."""
        return "reconciler.Block"


class FrameHeader(ctypes.LittleEndianStructure):
    """The layout as iceoryx2 is told it; code here packs and unpacks with `struct`, which is twice as fast."""

    _fields_ = (
        ("format", ctypes.c_uint16),
        ("kind", ctypes.c_uint8),
        ("dtype", ctypes.c_uint8),
        ("flags", ctypes.c_uint16),
        ("dimensions", ctypes.c_uint8),
        ("cause_input", ctypes.c_uint8),
        ("incarnation", ctypes.c_uint64),
        ("position", ctypes.c_uint64),
        ("epoch", ctypes.c_uint64),
        ("seq", ctypes.c_uint64),
        ("timestamp_ns", ctypes.c_int64),
        ("monotonic_ns", ctypes.c_int64),
        ("cause_incarnation", ctypes.c_uint64),
        ("cause_position", ctypes.c_uint64),
        ("cause_nth", ctypes.c_uint32),
        ("metadata_bytes", ctypes.c_uint32),
        ("payload_bytes", ctypes.c_uint64),
        ("rate", ctypes.c_double),
        ("shape", ctypes.c_uint64 * MAX_DIMENSIONS),
        ("port", ctypes.c_char * (MAX_PORT_BYTES + 1)),
        ("layout", ctypes.c_char * (MAX_LAYOUT_BYTES + 1)),
        ("reserved", ctypes.c_uint8 * 16),
    )

    @staticmethod
    def type_name() -> str:
        """Name under which iceoryx2 compares both ends: ends of different formats refuse each other."""
        return f"reconciler.FrameHeader.{FORMAT}"


_HEAD = struct.Struct("<HBBHBBQQQQqqQQIIQ")
_TAIL = struct.Struct("<d8Q64s16s16x")
"""A header in two parts: what differs from frame to frame, and what does not while their arrays are alike."""

PACKING = struct.Struct(_HEAD.format + _TAIL.format[1:])


class Cause(NamedTuple):
    """Which received frame made a node emit: `nth` counts what it emitted for that frame, from 0."""

    input: int = 0
    incarnation: int = 0
    position: int = 0
    nth: int = 0


NO_CAUSE = Cause()


class Header(NamedTuple):
    """A header's fields in the order in which they lie in memory, so that packing and unpacking is one call.

    `position` counts all frames of one publisher (`incarnation`) from 0; `seq` counts those of one stream
    (`epoch`). Both `incarnation` and `epoch` are monotonic-clock readings in ns: the larger one is the newer one.
    """

    format: int
    kind: int
    dtype: int
    flags: int
    dimensions: int
    cause_input: int
    incarnation: int
    position: int
    epoch: int
    seq: int
    timestamp_ns: int
    monotonic_ns: int
    cause_incarnation: int
    cause_position: int
    cause_nth: int
    metadata_bytes: int
    payload_bytes: int
    rate: float
    size_0: int
    size_1: int
    size_2: int
    size_3: int
    size_4: int
    size_5: int
    size_6: int
    size_7: int
    raw_port: bytes
    raw_layout: bytes

    @property
    def shape(self) -> Tuple[int, ...]:
        """Sizes of the array."""
        return self[_SHAPES[self.dimensions]]  # type: ignore[return-value] # all of them are sizes

    @property
    def port(self) -> str:
        """Emitting port."""
        return _text(self.raw_port)

    @property
    def layout(self) -> str:
        """Names of a picture's channels."""
        return _text(self.raw_layout)


_SHAPE = Header._fields.index("size_0")
_SHAPES = tuple(slice(_SHAPE, _SHAPE + n) for n in range(MAX_DIMENSIONS + 1))
_PADDING = tuple((0,) * (MAX_DIMENSIONS - n) for n in range(MAX_DIMENSIONS + 1))
_UNPACK = PACKING.unpack_from
_NEW = tuple.__new__
_NO_DTYPE = len(DTYPES)


class FormatError(ValueError):
    """A header of another format, or no header at all. A retry can't help."""


OUT_OF_RANGE = struct.error
"""What `encode_head` raises for a field that is no number, or too large a one."""

_FLAGS = struct.Struct("<H")
_FLAGS_AT = FrameHeader.flags.offset

OLDEST = 1
"""A flag of a frame: its sender keeps none of those before it that are not acknowledged. Bits 8 to 15 are its own."""

FRESH = 2
"""A flag of a frame: it may be the first in its piece of memory, and its sender wants to know that it is mapped."""

encode_head = _HEAD.pack
"""Return the bytes of a header's fields up to `payload_bytes`, given in the order of `Header`; a tail follows."""


def encode_tail(shape: Tuple[int, ...], rate: float, layout: bytes, port: bytes) -> bytes:
    """Return the bytes of a header's fields from `rate` on: an array's sizes are eight, the rest 0."""
    return _TAIL.pack(rate, *shape, *_PADDING[len(shape)], port, layout)


def set_flags(raw: memoryview, flags: int) -> None:
    """Change the flags of a header."""
    _FLAGS.pack_into(raw, _FLAGS_AT, flags)


def decode(raw: Union[bytes, memoryview]) -> Header:
    """Read a header.

    Raises:
        FormatError: if the bytes are no header of this format.
    """
    if len(raw) < SIZE:
        msg = f"a frame header has {SIZE} bytes, got {len(raw)}"
        raise FormatError(msg)
    header: Header = _NEW(Header, _UNPACK(raw))
    if header[0] != FORMAT or header[4] > MAX_DIMENSIONS or header[2] >= _NO_DTYPE:
        msg = f"frame header of format {header.format}, this program reads {FORMAT}: update the older end"
        raise FormatError(msg)
    return header


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode() if raw[0] else ""
