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
    kind=U8,
    incarnation=U64,
    position=U64,
    epoch=U64,
    seq=U64,
    timestamp_ns=I64,
    monotonic_ns=I64,
    payload_bytes=U64,
    metadata_bytes=U32,
    dtype=st.integers(0, len(wire.DTYPES) - 1),
    shape=st.lists(U64, max_size=8).map(tuple),
    rate=st.floats(allow_nan=False),
    port=st.from_regex(r"([A-Za-z0-9][-A-Za-z0-9_]{0,62})?", fullmatch=True),
    layout=st.sampled_from(["", "rgb24", "a" * 15]),
    cause=st.builds(wire.Cause, U8, U64, U64, U32),
    flags=st.integers(0, 2**16 - 1),
)


@given(headers)
def test_what_is_written_is_read(header: wire.Header) -> None:
    raw = wire.encode(header)
    assert len(raw) == wire.SIZE
    assert wire.decode(raw) == header


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
    raw = wire.encode(wire.Header(5, 2**40, 3, 4, 6, -7, 8, 9, 10, 11, (12, 13), 0.5, "port", "rgb24"))
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
