"""The frame header: 256 bytes, fixed, little-endian, in front of every payload. Described in `docs/wire-format.md`.

Rule: a field never moves and never changes its meaning; a new layout is a new `FORMAT`, and a reader that meets a
format it does not know says so instead of guessing.
"""

from __future__ import annotations

import ctypes
import struct
from typing import NamedTuple, Tuple

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


PACKING = struct.Struct("<HBBHBBQQQQqqQQIIQd8Q64s16s16x")


class Cause(NamedTuple):
    """Which received frame made a node emit: `nth` counts what it emitted for that frame, from 0."""

    input: int = 0
    incarnation: int = 0
    position: int = 0
    nth: int = 0


NO_CAUSE = Cause()


class Header(NamedTuple):
    """A header's fields.

    `position` counts all frames of one publisher (`incarnation`) from 0; `seq` counts those of one stream
    (`epoch`). Both `incarnation` and `epoch` are monotonic-clock readings in ns: the larger one is the newer one.
    """

    kind: int
    incarnation: int
    position: int
    epoch: int
    seq: int
    timestamp_ns: int = 0
    monotonic_ns: int = 0
    payload_bytes: int = 0
    metadata_bytes: int = 0
    dtype: int = 0
    shape: Tuple[int, ...] = ()
    rate: float = 0.0
    port: str = ""
    layout: str = ""
    cause: Cause = NO_CAUSE
    flags: int = 0


_PADDING = tuple((0,) * (MAX_DIMENSIONS - n) for n in range(MAX_DIMENSIONS + 1))


class FormatError(ValueError):
    """A header of another format, or no header at all. A retry can't help."""


def encode(header: Header) -> bytes:
    """Return the header's 256 bytes."""
    cause = header.cause
    dimensions = len(header.shape)
    return PACKING.pack(
        FORMAT,
        header.kind,
        header.dtype,
        header.flags,
        dimensions,
        cause.input,
        header.incarnation,
        header.position,
        header.epoch,
        header.seq,
        header.timestamp_ns,
        header.monotonic_ns,
        cause.incarnation,
        cause.position,
        cause.nth,
        header.metadata_bytes,
        header.payload_bytes,
        header.rate,
        *header.shape,
        *_PADDING[dimensions],
        header.port.encode(),
        header.layout.encode(),
    )


def decode(raw: bytes) -> Header:
    """Read a header.

    Raises:
        FormatError: if the bytes are no header of this format.
    """
    if len(raw) < SIZE:
        msg = f"a frame header has {SIZE} bytes, got {len(raw)}"
        raise FormatError(msg)
    field = PACKING.unpack_from(raw)
    if field[0] != FORMAT or field[4] > MAX_DIMENSIONS or field[2] >= len(DTYPES):
        msg = f"frame header of format {field[0]}, this program reads {FORMAT}: update the older end"
        raise FormatError(msg)
    return Header(
        kind=field[1],
        dtype=field[2],
        flags=field[3],
        incarnation=field[6],
        position=field[7],
        epoch=field[8],
        seq=field[9],
        timestamp_ns=field[10],
        monotonic_ns=field[11],
        cause=Cause(field[5], field[12], field[13], field[14]),
        metadata_bytes=field[15],
        payload_bytes=field[16],
        rate=field[17],
        shape=field[18 : 18 + field[4]],
        port=_text(field[26]),
        layout=_text(field[27]),
    )


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode() if raw[0] else ""
