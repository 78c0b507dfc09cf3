"""Where the time of a hop goes: each step of a small frame alone, in one process; a large one by the backlog.

The best of many rounds, because what is asked for is what the step costs, not what else the machine did; of large
frames the median, because what is asked for is where their memory lies.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import iceoryx2 as iox
import numpy as np

from reconciler.contract import header as wire
from reconciler.contract.files import Channel
from reconciler.stream import Tensor, codec
from reconciler.stream.channel import Domain, Services
from reconciler.stream.publisher import Publisher
from reconciler.stream.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS, REPEATS = 30, 1_000
LARGE_BYTES, LARGE_ROUNDS = 1 << 20, 600
BEHIND = (0, 1, 2, 4, 8, 16, 31)


def best(call: Callable[[], object], after: Callable[[], object] = lambda: None) -> float:
    """Return the microseconds of a call; `after` tidies up after every 30 of them, unmeasured."""
    least = float("inf")
    for _ in range(REPEATS):
        begun = time.perf_counter()
        for _ in range(ROUNDS):
            call()
        least = min(least, (time.perf_counter() - begun) / ROUNDS)
        after()
    return least * 1e6


def steps() -> Iterator[tuple[str, float]]:
    """Yield each step and its microseconds."""
    with tempfile.TemporaryDirectory(prefix="rc-steps-") as directory:
        domain = Domain(Path(directory), "rc_steps_", "steps")
        channel = Channel("steps", readers=("a",), buffer=32, subscribers=1)
        yield from _plain(domain.open(channel))
        sender, end = Publisher(domain, channel), Subscriber(domain, channel, "a")
        frame = Tensor(np.zeros(64, np.uint8))

        def drain() -> None:
            while (arrival := end.take()) is not None:
                end.done(arrival.header)

        sender.send(frame, epoch=1, seq=0)
        drain()
        end.awakes()  # from then on nobody is notified
        yield "send, whole", best(lambda: sender.send(frame, epoch=1, seq=0), drain)
        yield "take and acknowledge, whole", _taking(sender, end, frame)
        yield from _within(frame)
        end.close()
        sender.close()
        domain.close()


def behind() -> Iterator[tuple[int, float]]:
    """Yield how many frames a reader is behind, and the microseconds of a hop of 1 MiB, median."""
    with tempfile.TemporaryDirectory(prefix="rc-steps-") as directory:
        domain = Domain(Path(directory), "rc_steps_", "steps")
        frame, taken = Tensor(np.zeros(LARGE_BYTES, np.uint8)), {}
        for lag in BEHIND:
            channel = Channel(f"behind_{lag}", readers=("a",), buffer=32, subscribers=1)
            sender, end = Publisher(domain, channel), Subscriber(domain, channel, "a")
            for _ in range(lag):
                sender.send(frame, epoch=1, seq=0)
            taken[lag] = statistics.median(_hop(sender, end, frame) for _ in range(LARGE_ROUNDS))
            end.close()
            sender.close()
        domain.close()
    yield from taken.items()


def _hop(sender: Publisher, end: Subscriber, frame: Tensor) -> float:
    begun = time.perf_counter()
    sender.send(frame, epoch=1, seq=0)
    arrival = end.take()
    assert arrival is not None
    end.done(arrival.header)
    took_s = time.perf_counter() - begun
    end.awakes()
    return took_s * 1e6


def _plain(services: Services) -> Iterator[tuple[str, float]]:
    """Yield what iceoryx2 takes by itself; its ends are closed before others are measured."""
    sender, reader = services.frames.publisher_builder().create(), services.frames.subscriber_builder().create()
    notifier, listener = services.event.notifier_builder().create(), services.event.listener_builder().create()
    second = iox.Duration.from_secs(1)

    def through() -> None:
        sender.loan_slice_uninit(1).assume_init().send()
        reader.receive()

    yield "iceoryx2 alone: loan, send, receive", best(through)
    yield "iceoryx2 alone: notify, and collect it", best(lambda: (notifier.notify(), listener.timed_wait(second)))


def _taking(sender: Publisher, end: Subscriber, frame: Tensor) -> float:
    def fill() -> None:
        for _ in range(ROUNDS):
            sender.send(frame, epoch=1, seq=0)

    def take() -> None:
        arrival = end.take()
        assert arrival is not None
        end.done(arrival.header)

    fill()
    took_us = best(take, fill)
    while end.take() is not None:
        pass
    return took_us


def _within(frame: Tensor) -> Iterator[tuple[str, float]]:
    numbers = (2**60, 3, 2**60, 4, 0, 2**60, 0, 0, 0, 0, 64)
    tail = wire.encode_tail((64,), 0.0, b"", b"")
    raw = wire.encode_head(wire.FORMAT, wire.TENSOR, 2, 0, 1, 0, *numbers) + tail
    header, content = wire.decode(raw), bytes(64)
    yield (
        "of it: header packed",
        best(lambda: wire.encode_head(wire.FORMAT, 5, 2, 0, 1, 0, *numbers) + tail),
    )
    yield "of it: content looked at", best(lambda: codec.encode(frame))
    yield "of it: header unpacked", best(lambda: wire.decode(raw))
    yield "of it: frame made", best(lambda: codec.decode(header, content, b"", node="", port=""))
