"""Which frames are marked as those that may be the first in their piece of memory: all that are, and few others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.contract import header as wire
from reconciler.contract.files import Channel
from reconciler.stream import Bytes, Tensor
from tests.stream.ends import ends

if TYPE_CHECKING:
    from reconciler.stream.frame import Frame
    from tests.stream.ends import Ends
    from tests.support.instance import Instance

CHANNEL = Channel("s_a_input", readers=("a",), buffer=8, subscribers=3)
EDGES = tuple(size for power in range(11, 21) for size in ((1 << power) - 321, (1 << power) - 320, (1 << power) - 319))
SMALL, LARGE = 1_000, 1 << 20


def _sent(opened: Ends, frame: Frame) -> bool:
    """Send a frame and take it; tell whether it was marked."""
    reader = opened.readers[0] if opened.readers else opened.read("a")
    opened.send(frame)
    arrival = reader.take()
    assert arrival is not None
    reader.done(arrival.header)
    return bool(arrival.header.flags & wire.FRESH)


def _pieces(instance: Instance) -> set[str]:
    return {file.name for file in Path("/dev/shm").glob(f"{instance.prefix}*data*")}


@pytest.mark.parametrize("sizes", [(1, 64, 600, 1_024, 1_025, 1_728, 1_729, 2_100), EDGES], ids=["small", "edges"])
def test_a_frame_is_marked_where_a_piece_begins_and_nowhere_else(instance: Instance, sizes: tuple[int, ...]) -> None:
    with ends(instance, CHANNEL) as opened:
        before: set[str] = set()
        for number, size in enumerate(sizes):
            marked = _sent(opened, Bytes(bytes(size)))
            now = _pieces(instance)
            assert marked == bool(now - before or not number), size
            before = now
            assert not _sent(opened, Bytes(bytes(size))), size


def test_reserved_frames_are_marked_for_the_piece_in_which_they_lie(instance: Instance) -> None:
    with ends(instance, CHANNEL) as opened:
        small, large = (opened.sender.reserve(Tensor, (size,), "uint8") for size in (SMALL, LARGE))
        assert _sent(opened, small)
        assert _sent(opened, large)
        assert not _sent(opened, opened.sender.reserve(Tensor, (LARGE,), "uint8"))


def test_what_is_reserved_and_dropped_has_made_a_piece_all_the_same(instance: Instance) -> None:
    with ends(instance, CHANNEL) as opened:
        small, large = (opened.sender.reserve(Tensor, (size,), "uint8") for size in (SMALL, LARGE))
        del large
        assert _sent(opened, small)
        assert _sent(opened, Bytes(bytes(SMALL)))
        assert not _sent(opened, Bytes(bytes(SMALL)))


def test_a_reader_that_comes_is_told_anew(instance: Instance) -> None:
    with ends(instance, CHANNEL) as opened:
        assert [_sent(opened, Bytes(b"x")) for _ in range(2)] == [True, False]
        opened.readers.pop().close()
        opened.read("a")
        assert [_sent(opened, Bytes(b"x")) for _ in range(2)] == [True, False]
