"""A session that feeds several nodes: a frame goes to all of them, or to none, and once."""

from __future__ import annotations

import contextlib
import linecache
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.contract.files import Channel, Endpoints
from reconciler.stream import Backpressure, FrameInvalid, Session, SharedMemoryFull, Tensor, Text, room
from reconciler.stream.loans import Loans
from reconciler.stream.subscriber import Subscriber
from tests.stream.ends import drain
from tests.stream.test_crash import connect
from tests.stream.test_keeper import Interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

    from tests.support.instance import Instance

ONE = Channel("voice_one_input", buffer=8, subscribers=3, readers=("one",))
TWO = Channel("voice_two_input", buffer=8, subscribers=3, readers=("two",))
OUT = Channel("voice_join_output", "join", buffer=8, subscribers=3, readers=("",))
LARGE = Tensor(np.zeros(50_000, np.uint8))


@dataclass
class Fed:
    """A session, and what reads in the place of the two nodes it feeds."""

    session: Session
    readers: tuple[Subscriber, Subscriber]

    def seqs(self) -> list[list[int]]:
        """Take what each node got, and return the numbers."""
        return [[frame.seq for frame in drain(reader)] for reader in self.readers]


@pytest.fixture
def fed(instance: Instance) -> Iterator[Fed]:
    instance.publish(Endpoints("voice", "voice", ready=True, inputs=(ONE, TWO), outputs=(OUT,)))
    domain = instance.domain()
    with connect(instance) as session:
        readers = Subscriber(domain, ONE, "one"), Subscriber(domain, TWO, "two")
        yield Fed(session, readers)
        for reader in readers:
            reader.close()
    domain.close()


@contextlib.contextmanager
def full(channel: Channel) -> Iterator[None]:
    """Leave no room in shared memory for one channel."""
    real = room._look

    def look(need_bytes: int, payload_bytes: int, name: str) -> None:
        if name == channel.name:
            raise SharedMemoryFull(name)
        real(need_bytes, payload_bytes, name)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(room, "_look", look)
        yield


@contextlib.contextmanager
def held(channel: Channel) -> Iterator[None]:
    """Have the readers of one channel hold all of its memory."""
    real = Loans.take

    def take(self: Loans, size_bytes: int) -> Any:
        return None if self._channel == channel.name else real(self, size_bytes)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Loans, "take", take)
        yield


@pytest.mark.parametrize("channel", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize(("refuse", "error"), [(full, SharedMemoryFull), (held, Backpressure)], ids=["full", "held"])
def test_what_one_node_can_not_get_no_node_gets_and_a_retry_doubles_nothing(
    fed: Fed, refuse: Any, error: type[Exception], channel: Channel
) -> None:
    kept = []  # errors that are kept must not keep memory
    for _ in range(8):
        with refuse(channel), pytest.raises(error) as caught:
            fed.session.send(LARGE, timeout_s=0.01)
        kept.append(caught)
    assert fed.seqs() == [[], []]
    fed.session.send(LARGE, timeout_s=1.0)
    fed.session.send(LARGE, timeout_s=1.0)
    assert fed.seqs() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("channel", [ONE, TWO], ids=["one", "two"])
def test_an_end_that_one_node_can_not_get_no_node_gets(fed: Fed, channel: Channel) -> None:
    with held(channel), pytest.raises(Backpressure):
        fed.session.end(timeout_s=0.01)
    fed.session.send(Text("it goes on"))
    assert fed.seqs() == [[0], [0]]
    fed.session.end()
    assert fed.seqs() == [[1], [1]]


def test_a_reserved_frame_that_is_refused_is_there_to_be_sent_once(fed: Fed) -> None:
    """Its memory is the first channel's, so it is the other one that has no room."""
    frame = fed.session.reserve(Tensor, (50_000,), np.uint8)
    frame.array[:] = 7
    with full(TWO), pytest.raises(SharedMemoryFull):
        fed.session.send(frame)
    fed.session.send(frame)
    with pytest.raises(FrameInvalid, match="can be sent once"):
        fed.session.send(frame)
    got = [drain(reader) for reader in fed.readers]
    assert [[int(frame.array.min()) for frame in frames if isinstance(frame, Tensor)] for frames in got] == [[7], [7]]


def interrupt_at(number: int) -> Any:
    """Return what raises when so many lines of this package have been run, as a signal's handler may.

    No handler is run at the edges of a block, where a lock that was taken for it would not be released.
    """
    left = [number]

    def each(frame: FrameType, event: str, _: object) -> Any:
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        left[0] -= event == "line" and not line.lstrip().startswith(("with ", "try:"))
        if left[0] < 0:
            raise Interrupt
        return each

    return lambda frame, *_: each if "/reconciler/stream/" in frame.f_code.co_filename else None


def test_a_send_that_is_interrupted_anywhere_reaches_all_nodes_or_none(fed: Fed) -> None:
    sent = 0
    for number in range(1_000):
        before = sys.gettrace()
        sys.settrace(interrupt_at(number))
        try:
            fed.session.send(LARGE)
        except Interrupt:
            sys.settrace(before)
        else:
            sys.settrace(before)
            break
        fed.session.send(LARGE)
        one, two = fed.seqs()
        assert one == two, number
        assert len(one) in {1, 2}
        assert len(set(one)) == len(one)
        sent += len(one) - 1
    assert 50 < number < 999
    assert 0 < sent < number
