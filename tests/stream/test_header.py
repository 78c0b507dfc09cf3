"""The frame header is what `docs/wire-format.md` says it is."""

from __future__ import annotations

import ctypes
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.contract import header as wire
from tests.support.instance import REPOSITORY

U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
U32 = st.integers(0, 2**32 - 1)
U8 = st.integers(0, 255)

headers = st.builds(
    wire.Header,
    format=st.just(wire.FORMAT),
    kind=U8,
    dtype=st.integers(0, len(wire.DTYPES) - 1),
    flags=st.integers(0, 2**16 - 1),
    dimensions=st.integers(0, wire.MAX_DIMENSIONS),
    cause_input=U8,
    incarnation=U64,
    position=U64,
    epoch=U64,
    seq=U64,
    timestamp_ns=I64,
    monotonic_ns=I64,
    cause_incarnation=U64,
    cause_position=U64,
    cause_nth=U32,
    metadata_bytes=U32,
    payload_bytes=U64,
    rate=st.floats(allow_nan=False),
    **dict.fromkeys([f"size_{number}" for number in range(wire.MAX_DIMENSIONS)], U64),
    raw_port=st.binary(min_size=64, max_size=64),
    raw_layout=st.binary(min_size=16, max_size=16),
)


@given(headers)
def test_what_is_written_is_read(header: wire.Header) -> None:
    raw = wire.PACKING.pack(*header)
    assert len(raw) == wire.SIZE
    assert wire.decode(raw) == header


@given(st.lists(U64, max_size=8).map(tuple), st.from_regex(r"([A-Za-z0-9][-A-Za-z0-9_]{0,62})?", fullmatch=True))
def test_names_and_shapes_are_padded_and_come_out_whole(shape: tuple[int, ...], port: str) -> None:
    head = wire.encode_head(wire.FORMAT, 5, 0, 0, len(shape), 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 7, 8)
    header = wire.decode(head + wire.encode_tail(shape, 9.5, b"rgb24", port.encode()))
    assert (header.payload_bytes, header.rate) == (8, 9.5)
    assert (header.shape, header.port, header.layout) == (shape, port, "rgb24")


def test_the_documented_layout_is_the_one_iceoryx2_is_told_and_the_one_that_is_packed() -> None:
    text = (REPOSITORY / "docs" / "wire-format.md").read_text()
    table = text.split("## The header")[1].split("Element types")[0]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| [^|]*\| (\w+) \|", table, re.MULTILINE)
    documented = {name: (int(offset), int(size)) for offset, size, name in rows}
    told = {
        field[0]: (getattr(wire.FrameHeader, field[0]).offset, ctypes.sizeof(field[1]))
        for field in wire.FrameHeader._fields_
    }
    assert documented == told
    assert ctypes.sizeof(wire.FrameHeader) == wire.PACKING.size == wire.SIZE
    numbers = (2**40, 3, 4, 6, -7, 8, 0, 0, 0, 10, 9)
    raw = wire.encode_head(wire.FORMAT, 5, 11, 0, 2, 0, *numbers) + wire.encode_tail((12, 13), 0.5, b"rgb24", b"port")
    for name, code, value in (
        ("kind", "<B", 5),
        ("incarnation", "<Q", 2**40),
        ("position", "<Q", 3),
        ("seq", "<Q", 6),
        ("timestamp_ns", "<q", -7),
        ("payload_bytes", "<Q", 9),
        ("metadata_bytes", "<I", 10),
        ("rate", "<d", 0.5),
    ):
        assert struct.unpack_from(code, raw, documented[name][0])[0] == value
    assert raw[documented["layout"][0] :].startswith(b"rgb24\0")


@pytest.mark.parametrize("raw", [b"", b"\0" * wire.SIZE, b"\2\0" + b"\0" * 300])
def test_another_format_is_named(raw: bytes) -> None:
    with pytest.raises(wire.FormatError):
        wire.decode(raw)
