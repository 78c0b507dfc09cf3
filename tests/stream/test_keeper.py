"""What a sender keeps for readers that come back: all they may want, no more, whatever interrupts it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from reconciler.contract.files import LATEST, Channel
from reconciler.stream import Backpressure, SharedMemoryFull, Tensor, Text, memory, position, publisher, room
from tests.stream.ends import Ends, drain, ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.stream.subscriber import Subscriber
    from tests.support.instance import Instance

CHANNEL = Channel("s_a_input", readers=("a",), buffer=8, subscribers=3)
TWO = replace(CHANNEL, readers=("a", "b"))
MIB = 1 << 20


class Interrupt(BaseException):
    """What a signal's handler raises."""


def numbers(reader: Subscriber, *, acknowledge: bool = True) -> list[int]:
    return [int(frame.text) for frame in drain(reader, acknowledge=acknowledge) if isinstance(frame, Text)]


def send(channel: Ends, which: Iterable[int]) -> None:
    for number in which:
        channel.send(Text(str(number)))


def restart(channel: Ends, reader: Subscriber, name: str) -> Subscriber:
    """Read with a new end what an end that is gone had not acknowledged."""
    channel.readers.remove(reader)
    reader.close()
    again = channel.read(name)
    channel.sender.refresh()
    return again


def interrupting(call: Callable[..., Any], *, at: int, after: bool) -> Callable[..., Any]:
    """Return the same call that is interrupted once: before or after it did its work the `at`-th time."""
    left = [at]

    def interrupted(*args: object, **kwargs: object) -> object:
        left[0] -= 1
        result = call(*args, **kwargs) if after or left[0] != -1 else None
        if left[0] == -1:
            raise Interrupt
        return result

    return interrupted


def one_interrupted(*, after: bool) -> Callable[[object], object]:
    """Return what makes a sample ready to be sent, of which the first one's `send` is interrupted."""
    real, waiting = publisher._INITIALIZED, [None]

    def initialized(sample: object) -> object:
        ready = real(sample)
        if not waiting:
            return ready
        waiting.clear()
        return SimpleNamespace(send=interrupting(ready.send, at=0, after=after))

    return initialized


def no_room(*_: object) -> None:
    """Find `/dev/shm` full."""
    msg = "full"
    raise SharedMemoryFull(msg)


def test_large_frames_go_where_acknowledged_ones_lay(instance: Instance) -> None:
    with ends(instance, replace(CHANNEL, buffer=32)) as channel:
        reader = channel.read("a")
        for number in range(100):
            channel.send(Tensor(np.full(MIB, number % 256, np.uint8)))
            (frame,) = drain(reader)
            assert isinstance(frame, Tensor)
            assert frame.array[-1] == number
            del frame
        files = Path("/dev/shm").glob(f"{instance.prefix}*")
        assert sum(file.stat().st_blocks * 512 for file in files) < 8 * MIB


def test_a_reader_that_comes_back_again_and_again_takes_nothing_from_another(instance: Instance) -> None:
    with ends(instance, TWO) as channel:
        one, other = channel.read("a"), channel.read("b")
        send(channel, range(8))
        for _ in range(5):
            assert numbers(one, acknowledge=False) == list(range(8))
            one = restart(channel, one, "a")
        assert numbers(one) == list(range(8))
        first = other.take()
        assert first is not None
        other.done(first.header)
        one = restart(channel, one, "a")
        send(channel, [8])
        assert numbers(other) == list(range(1, 9))
        assert numbers(one) == [8]
        assert (other.dropped, one.dropped) == (0, 0)


def test_a_latest_reader_beside_one_that_comes_back_sees_nothing_twice(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        one, latest = channel.read("a"), channel.read("c", replace(CHANNEL, delivery=LATEST))
        send(channel, range(5))
        assert numbers(latest) == [4]
        one = restart(channel, one, "a")
        assert numbers(latest) == []
        send(channel, [5, 6])
        one = restart(channel, one, "a")
        assert numbers(latest) == [6]
        assert (latest.received, latest.dropped) == (2, 1)
        assert numbers(one) == list(range(7))


def test_a_reader_that_comes_while_frames_come_gets_them_from_the_first(instance: Instance) -> None:
    """The sender connects it with the next frame, and hears only then what it asks for."""
    with ends(instance, CHANNEL) as channel:
        one = channel.read("a")
        one.awakes()
        send(channel, range(4))
        channel.readers.remove(one)
        one.close()
        again = channel.read("a")
        send(channel, [4])
        assert numbers(again) == list(range(5))
        assert again.dropped == 0


@pytest.mark.parametrize("sent_before", [[], [0], [0, 1]], ids=["none", "one", "two"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_send_that_was_interrupted_is_there_once_or_not_at_all(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, sent_before: list[int], *, after: bool
) -> None:
    with ends(instance, TWO) as channel:
        one, other = channel.read("a"), channel.read("b")
        send(channel, sent_before)
        assert numbers(other) == sent_before
        with monkeypatch.context() as handler:
            handler.setattr(publisher, "_INITIALIZED", one_interrupted(after=after))
            with pytest.raises(Interrupt):
                channel.send(Text("2"))
        send(channel, [3, 4])
        there = [2] if after else []
        assert numbers(one) == [*sent_before, *there, 3, 4]
        assert numbers(other) == [*there, 3, 4]
        assert (one.dropped, other.dropped) == (0, 0)
        assert channel.sender.settled()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize("what", ["duplicate", "send"])
def test_what_is_interrupted_while_it_is_sent_again_comes_whole_and_in_order(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, what: str, at: int, *, after: bool
) -> None:
    """Five are sent again; interrupted at the sixth, it is interrupted at the frame that follows."""
    real = publisher._INITIALIZED
    once = interrupting(lambda call: call(), at=at, after=after)

    def initialized(sample: object) -> object:
        ready = real(sample)
        return SimpleNamespace(send=lambda: once(ready.send))

    with ends(instance, TWO) as channel:
        one, other = channel.read("a"), channel.read("b")
        send(channel, range(8))
        assert numbers(other) == list(range(8))
        for _ in range(3):
            arrival = one.take()
            assert arrival is not None
            one.done(arrival.header)
        channel.readers.remove(one)
        one.close()
        again = channel.read("a")
        with monkeypatch.context() as handler:
            if what == "duplicate":
                copy = interrupting(memory.duplicate, at=at, after=after)
                handler.setattr(memory, "duplicate", copy)
            else:
                handler.setattr(publisher, "_INITIALIZED", initialized)
            try:
                send(channel, [8])
                came = [8]
            except Interrupt:
                came = [8] if at == 5 and after and what == "send" else []
        send(channel, [9])
        assert numbers(again) == [3, 4, 5, 6, 7, *came, 9]
        assert numbers(other) == [*came, 9]
        assert (again.dropped, other.dropped) == (0, 0)
        send(channel, range(10, 16))
        assert numbers(restart(channel, again, "a")) == list(range(10, 16))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_letting_go_that_was_interrupted_loses_nothing(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        channel.send(Tensor(np.zeros(MIB, np.uint8)))
        drain(reader)
        with monkeypatch.context() as handler:
            queue = channel.sender._keeper._queue
            interrupted = SimpleNamespace(receive=interrupting(queue.receive, at=0, after=after))
            handler.setattr(channel.sender._keeper, "_queue", interrupted)
            with pytest.raises(Interrupt):
                channel.send(Tensor(np.zeros(MIB, np.uint8)))
        send(channel, range(8))
        assert numbers(restart(channel, reader, "a")) == list(range(8))


def test_what_nobody_has_any_more_is_counted_and_not_waited_for(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        for number in range(8):
            channel.send(Tensor(np.full(MIB, number, np.uint8)))
        assert len(drain(reader)) == 8
        channel.send(Tensor(np.zeros(MIB, np.uint8)))
        send(channel, range(9, 12))
        position.path(channel.domain.positions, CHANNEL.name, "a").unlink()
        assert not channel.sender.settled(), "it has seen that the reader's position is gone"
        again = restart(channel, reader, "a")
        assert numbers(again) == list(range(9, 12))
        assert (again.received, again.dropped) == (4, 8)


def test_two_interruptions_one_after_the_other_lose_nothing(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        send(channel, [0, 1])
        for at, text in enumerate(("2", "3")):
            with monkeypatch.context() as handler:
                if text == "2":
                    handler.setattr(publisher, "_INITIALIZED", one_interrupted(after=True))
                else:
                    handler.setattr(memory, "duplicate", interrupting(memory.duplicate, at=at, after=True))
                with pytest.raises(Interrupt):
                    channel.send(Text(text))
        send(channel, [4, 5])
        assert numbers(reader) == [0, 1, 2, 4, 5]
        assert reader.dropped == 0


def test_what_was_interrupted_at_its_last_frame_comes_whole_each_time(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last frame then lies in the queue twice."""
    real = publisher._INITIALIZED
    once = interrupting(lambda call: call(), at=4, after=True)

    def initialized(sample: object) -> object:
        ready = real(sample)
        return SimpleNamespace(send=lambda: once(ready.send))

    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        send(channel, range(8))
        for _ in range(3):
            arrival = reader.take()
            assert arrival is not None
            reader.done(arrival.header)
        channel.readers.remove(reader)
        reader.close()
        reader = channel.read("a")
        with monkeypatch.context() as handler:
            handler.setattr(publisher, "_INITIALIZED", initialized)
            with pytest.raises(Interrupt):
                channel.sender.refresh()
        channel.sender.refresh()
        for _ in range(3):
            reader = restart(channel, reader, "a")
            assert numbers(reader, acknowledge=False) == [3, 4, 5, 6, 7]
            assert reader.dropped == 0


def test_without_memory_for_copies_a_sender_waits_and_then_goes_on(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        channel.send(Tensor(np.zeros(MIB, np.uint8)))
        with monkeypatch.context() as full:
            full.setattr(room, "_look", no_room)
            reader = restart(channel, reader, "a")
            with pytest.raises(Backpressure, match="1,048,576 bytes are missing to send again what a reader"):
                channel.send(Text("1"), timeout_s=0.1)
        send(channel, [1])
        assert [type(frame) for frame in drain(reader)] == [Tensor, Text]


def test_reserved_frames_leave_room_for_what_is_sent_meanwhile(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        send(channel, [0, 1])
        held = [channel.sender.reserve(Tensor, (5_000,)) for _ in range(4)]
        with pytest.raises(Backpressure, match="too many reserved frames are unsent"):
            channel.sender.reserve(Tensor, (5_000,))
        reader = restart(channel, reader, "a")
        send(channel, [2])
        for frame in held:
            channel.send(frame)
        assert [type(frame) for frame in drain(reader)] == [Text] * 3 + [Tensor] * 4
        assert reader.dropped == 0


def test_who_asks_where_nothing_is_kept_gets_what_comes_next(instance: Instance) -> None:
    """A program misses frames that came before it was attached."""
    both = replace(CHANNEL, readers=("a", ""), buffer=1)
    with ends(instance, both) as channel:
        channel.sender.close()
        program, node = channel.read(""), channel.read("a")
        channel.sender = publisher.Publisher(channel.domain, both)
        for number in range(3):
            send(channel, [number])
            assert numbers(node) == [number]
        assert program.position is not None
        assert program.position.hold()
        program.position.attached = 7
        drain(program)
        for number in range(3, 6):
            send(channel, [number])
            assert numbers(node) == [number]
            assert numbers(program) == [number]


def test_what_an_older_sender_sent_again_is_taken_once(instance: Instance) -> None:
    with ends(instance, TWO) as channel:
        slow, other = channel.read("b"), channel.read("a")
        older = publisher.Publisher(instance.domain("older"), TWO)
        assert slow.take() is None
        for number in range(3):
            older.send(Text(str(number)), epoch=1, seq=number)
        channel.readers.remove(other)
        other.close()
        channel.read("a")
        older.refresh()
        channel.sender.close()
        channel.sender = publisher.Publisher(channel.domain, TWO)
        send(channel, [10, 11])
        assert sorted(numbers(slow)) == [0, 1, 2, 10, 11]
        older.close()


def test_a_position_that_was_replaced_is_followed(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        send(channel, range(3))
        position.path(channel.domain.positions, CHANNEL.name, "a").unlink()
        reader = channel.read("a")
        channel.sender.refresh()
        assert numbers(reader) == [0, 1, 2]


def test_a_send_in_doubt_counts_for_the_buffer(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        send(channel, range(7))
        with monkeypatch.context() as handler:
            handler.setattr(publisher, "_INITIALIZED", one_interrupted(after=True))
            with pytest.raises(Interrupt):
                channel.send(Text("7"))
        with pytest.raises(Backpressure, match="8 frames behind"):
            channel.send(Text("8"), timeout_s=0.1)
        assert numbers(reader) == list(range(8))


def test_a_child_of_a_fork_does_not_give_back_what_its_parent_reserved(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        frame = channel.sender.reserve(Tensor, (5_000,))
        child = os.fork()
        if child == 0:
            del frame
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        frame.array[:] = 1
        channel.send(frame)
        channel.send(channel.sender.reserve(Tensor, (5_000,)))
        assert len(drain(reader)) == 2
