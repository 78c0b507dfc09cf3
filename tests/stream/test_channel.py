"""One channel: what is sent comes out, in shared memory, within the limits that `docs/delivery.md` names."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.contract.files import LATEST, Channel
from reconciler.stream import (
    Audio,
    Backpressure,
    Bytes,
    EndOfStream,
    Error,
    FrameInvalid,
    Json,
    SharedMemoryFull,
    Tensor,
    Text,
    TransportError,
    Video,
)
from reconciler.stream.channel import MAX_BORROWED, MAX_LOANS
from reconciler.stream.publisher import Publisher
from tests.stream.ends import drain, ends

if TYPE_CHECKING:
    from reconciler.stream import Frame
    from tests.support.instance import Instance

CHANNEL = Channel("s_a_input", readers=("a",), buffer=8, subscribers=3)


def texts(frames: list[Frame]) -> list[str]:
    return [frame.text for frame in frames if isinstance(frame, Text)]


def test_every_kind_of_frame_comes_out_as_it_went_in(instance: Instance) -> None:
    everything: list[Frame] = [
        Audio(np.linspace(-1, 1, 320, dtype=np.float32).reshape(160, 2), 48_000, timestamp_ns=-5),
        Video(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), "bgr24", 29.97, metadata={"camera": 1}),
        Text("grüße"),
        Json({"a": [1, None, "x"]}),
        Tensor(np.arange(6, dtype=np.complex128).reshape(1, 2, 3), metadata={"k": "v"}),
        Bytes(b"\x00\xff"),
        EndOfStream(timestamp_ns=7),
        Error("words", "ValueError", "bad", 3),
    ]
    with ends(instance, replace(CHANNEL, buffer=16)) as channel:
        reader = channel.read("a")
        for frame in everything:
            channel.send(frame)
        received = drain(reader)
    for seq, (got, sent) in enumerate(zip(received, everything, strict=True)):
        assert type(got) is type(sent)
        assert got.seq == seq
        for name, value in vars(sent).items():
            if name not in {"seq", "node", "port"}:
                np.testing.assert_equal(getattr(got, name), value)


@pytest.mark.parametrize(
    "dtype", ["b1", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "f2", "f4", "f8", "c8", "c16"]
)
def test_arrays_of_every_element_type_and_shape(instance: Instance, dtype: str) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        for shape in ((), (0,), (3, 0), (2, 3), (2,) * 8, (100, 100)):
            array = np.arange(int(np.prod(shape))).astype(dtype).reshape(shape)
            channel.send(Tensor(array))
            channel.send(Tensor(array.T))
            first, turned = drain(reader)
            assert isinstance(first, Tensor)
            assert isinstance(turned, Tensor)
            assert first.array.dtype == array.dtype
            np.testing.assert_array_equal(first.array, array)
            np.testing.assert_array_equal(turned.array, array.T)
        del first, turned


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ("text", "str is no frame"),
        (Text(b"x"), "Text holds a str, got bytes"),  # type: ignore[arg-type]
        (Text("\ud800"), "can't be encoded as UTF-8"),
        (Json(float("nan")), "can't be written as JSON"),
        (Json({1, 2}), "can't be written as JSON"),
        (Text("x", metadata={"a": object()}), "metadata can't be written as JSON"),
        (Audio(np.zeros(4, np.int16), 8_000), "divide int16 by 32768"),
        (Audio(np.zeros((1, 1, 1), np.float32), 8_000), "must be float32 of shape"),
        (Video(np.zeros((2, 2)), "gray8"), "must be uint8"),
        (Tensor(np.array(["a"])), "convert to one of"),
        (Tensor(np.zeros((1,) * 9)), "9 dimensions"),
        (Bytes("x"), "Bytes holds bytes"),  # type: ignore[arg-type]
        (Tensor([[1], [2, 3]]), "Tensor holds an array, got list that is none"),  # type: ignore[arg-type]
        (Text("x", metadata=[1]), "metadata is a dict, got list"),  # type: ignore[arg-type]
        (Text("x", timestamp_ns=1.5), r"timestamp_ns is an int of 64 bits, got 1\.5"),  # type: ignore[arg-type]
        (Text("x", timestamp_ns=2**63), "timestamp_ns is an int of 64 bits, got 9223372036854775808"),
        (Audio(np.zeros(4, np.float32), float("nan")), "Audio's rate is a number of 0 or more, got nan"),  # type: ignore[arg-type]
        (Audio(np.zeros(4, np.float32), None), "Audio's rate is a number of 0 or more, got None"),  # type: ignore[arg-type]
        (Video(np.zeros((2, 2), np.uint8), rate=float("inf")), "Video's rate is a number of 0 or more, got inf"),
        (Video(np.zeros((2, 2), np.uint8), None), "layout at most 15 ASCII characters, got None"),  # type: ignore[arg-type]
    ],
)
def test_what_can_not_be_carried_is_refused_and_nothing_is_sent(instance: Instance, frame: Frame, says: str) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        with pytest.raises(FrameInvalid, match=says):
            channel.send(frame)
        channel.send(Text("next"))
        (received,) = drain(reader)
        assert received.seq == 0


def test_what_is_larger_than_shared_memory_is_refused_and_the_next_frame_goes(instance: Instance) -> None:
    """The array has a size only, and no memory."""
    endless = np.broadcast_to(np.zeros(1, np.float32), (1 << 44,))
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        for frame in (Tensor(endless), Audio(endless, rate=8_000)):
            with pytest.raises(
                SharedMemoryFull, match=r"s_a_input: a payload of 70,368,744,177,664 bytes needs .* free"
            ):
                channel.send(frame)
        with pytest.raises(SharedMemoryFull, match="send smaller frames"):
            channel.sender.reserve(Tensor, (1 << 44,))
        channel.send(Text("next"))
        (received,) = drain(reader)
        assert (received.seq, reader.dropped) == (0, 0)


def test_a_large_array_is_a_read_only_view_that_keeps_its_memory(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        channel.send(Tensor(np.full(10_000, 7)))
        (kept,) = drain(reader)
        assert isinstance(kept, Tensor)
        part = kept.array[5_000:]
        del kept
        gc.collect()
        for _ in range(50):
            channel.send(Tensor(np.zeros(10_000)))
            drain(reader)
        assert (part == 7).all()
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            part.flags.writeable = True
    assert (part == 7).all(), "it outlives even its reader"
    del part


def test_more_views_than_iceoryx2_lends_are_copies(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        kept = []
        for number in range(3 * MAX_BORROWED):
            channel.send(Tensor(np.full(5_000, number)))
            kept += drain(reader)
        assert [frame.array[0] for frame in kept if isinstance(frame, Tensor)] == list(range(3 * MAX_BORROWED))
        del kept


def test_a_reserved_frame_is_filled_in_place_and_sent_once(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        frame = channel.sender.reserve(Audio, (100_000,), rate=16_000, metadata={"a": 1})
        frame.samples[:] = 0.5
        channel.send(frame)
        assert not frame.samples.flags.writeable
        with pytest.raises(FrameInvalid, match="can be sent once"):
            channel.send(frame)
        (received,) = drain(reader)
        assert isinstance(received, Audio)
        assert received.metadata == {"a": 1}
        assert received.samples.ctypes.data % 64 == 0
        assert (received.samples == 0.5).all()
        reserved = [channel.sender.reserve(Tensor, (4,)) for _ in range(MAX_LOANS)]
        with pytest.raises(Backpressure, match="send or drop"):
            channel.sender.reserve(Tensor, (4,))
        del reserved
        gc.collect()
        channel.sender.reserve(Tensor, (4,))
        with pytest.raises(FrameInvalid, match="can't be filled in place"):
            channel.sender.reserve(Text, (4,))
        del received, frame


def test_a_send_that_was_interrupted_leaves_the_next_frame_whole(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler raises just as the part of the header is made that alike frames share."""

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        channel.send(Tensor(np.zeros((2, 3))))
        with monkeypatch.context() as handler:
            handler.setattr("reconciler.contract.header.encode_tail", interrupted)
            with pytest.raises(KeyboardInterrupt):
                channel.send(Tensor(np.zeros((3, 2))))
        channel.send(Tensor(np.zeros((3, 2))))
        assert [frame.array.shape for frame in drain(reader) if isinstance(frame, Tensor)] == [(2, 3), (3, 2)]


def test_a_reserved_frame_that_is_refused_is_still_there_to_be_sent(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        frame = channel.sender.reserve(Tensor, (np.int16(640), np.int16(480)), timestamp_ns=1 << 70)
        frame.array[:] = 3
        with pytest.raises(FrameInvalid, match="timestamp_ns"):
            channel.send(frame)
        assert frame.array.flags.writeable
        object.__setattr__(frame, "timestamp_ns", 5)
        channel.send(frame)
        (received,) = drain(reader)
        assert isinstance(received, Tensor)
        assert (received.array == 3).all()


def test_a_reliable_sender_stops_a_buffer_ahead_and_says_who_is_slow(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        for number in range(8):
            channel.send(Text(str(number)))
        begun = time.monotonic()
        with pytest.raises(Backpressure, match=r"node a is 8 frames behind \(buffer 8\)"):
            channel.send(Text("too much"), timeout_s=0.2)
        assert 0.2 <= time.monotonic() - begun < 2
        assert texts(drain(reader)) == [str(number) for number in range(8)]
        channel.send(Text("now"))
        assert texts(drain(reader)) == ["now"]
        assert (reader.received, reader.dropped, reader.doubled) == (9, 0, 0)


def test_a_waiting_sender_is_woken_and_lets_other_threads_run(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        seen: list[Frame] = []

        def read_slowly() -> None:
            while len(seen) < 1_000:
                seen.extend(drain(reader))

        thread = threading.Thread(target=read_slowly)
        thread.start()
        for number in range(1_000):
            channel.send(Text(str(number)))
        thread.join()
        assert texts(seen) == [str(number) for number in range(1_000)]


def test_a_signal_interrupts_a_waiting_sender(instance: Instance) -> None:
    def interrupt(_: int, __: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        with ends(instance, CHANNEL) as channel:
            for _ in range(8):
                channel.send(Text("x"))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                channel.send(Text("x"), timeout_s=20)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_latest_reader_slows_nobody_gets_the_newest_and_counts_what_it_missed(instance: Instance) -> None:
    channel = replace(CHANNEL, readers=())
    with ends(instance, channel) as opened:
        reader = opened.read("b", replace(channel, delivery=LATEST))
        opened.send(Text("0"))
        assert texts(drain(reader)) == ["0"]
        for number in range(1, 100):
            opened.send(Text(str(number)))
        assert texts(drain(reader)) == ["99"]
        assert (reader.received, reader.dropped) == (2, 98)


def test_a_latest_reader_beside_a_reliable_one_takes_nothing_from_it(instance: Instance) -> None:
    with ends(instance, CHANNEL) as opened:
        reliable = opened.read("a")
        latest = opened.read("b", replace(CHANNEL, delivery=LATEST))
        seen = []
        for number in range(50):
            opened.send(Text(str(number)))
            seen += texts(drain(reliable))
        assert seen == [str(number) for number in range(50)]
        assert texts(drain(latest)) == ["49"]


def test_a_reader_that_comes_back_gets_what_it_had_not_acknowledged(instance: Instance) -> None:
    with ends(instance, CHANNEL) as opened:
        first = opened.read("a")
        for number in range(6):
            opened.send(Text(str(number)))
        for _ in range(3):
            received = first.take()
            assert received is not None
            first.done(received.header)
        first.take()
        first.close()
        opened.readers.remove(first)
        again = opened.read("a")
        opened.sender.refresh()
        assert texts(drain(again)) == ["3", "4", "5"]
        assert (again.received, again.dropped) == (3, 0)
        for number in range(6, 14):
            opened.send(Text(str(number)))
        assert texts(drain(again)) == [str(number) for number in range(6, 14)]


@pytest.mark.parametrize("reader", ["a", ""])
def test_what_an_older_sender_sent_comes_before_what_a_newer_one_sends(instance: Instance, reader: str) -> None:
    """A third sender gets the place of the first in iceoryx2's list, which readers go through from its beginning."""
    with ends(instance, replace(CHANNEL, readers=(reader,))) as opened:
        end = opened.read(reader)
        if end.position is not None and not reader:
            end.position.hold()
            end.position.attached = 1
        opened.send(Text("first"))
        seen = texts(drain(end))
        second = Publisher(opened.domain, opened.channel)
        opened.sender.close()
        for number in range(6):
            second.send(Text(f"second {number}"), epoch=1, seq=number)
        opened.sender = Publisher(opened.domain, opened.channel)
        for number in range(6):
            opened.send(Text(f"third {number}"))
        received = end.take()
        assert received is not None
        opened.send(Text("third 6"))
        second.close()
        end.done(received.header)
        seen += texts([received.frame, *drain(end)])
        assert seen == ["first", *(f"second {n}" for n in range(6)), *(f"third {n}" for n in range(7))]
        assert (end.received, end.dropped, end.doubled) == (14, 0, 0)


def test_frames_sent_before_the_reader_came_are_not_lost(instance: Instance) -> None:
    with ends(instance, CHANNEL) as opened:
        for number in range(8):
            opened.send(Text(str(number)))
        reader = opened.read("a")
        opened.sender.refresh()
        assert texts(drain(reader)) == [str(number) for number in range(8)]


def test_ends_that_disagree_about_limits_are_told_apart(instance: Instance) -> None:
    with ends(instance, CHANNEL), pytest.raises(TransportError, match="channel s_a_input"):
        ends(instance, replace(CHANNEL, buffer=64)).__enter__()
