"""A reader that sleeps is woken, one that does not is left alone, and no frame is missed between the two."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.contract.files import LATEST, Channel
from reconciler.stream import Text, inbox, position
from reconciler.stream import spin as spins
from reconciler.stream.inbox import Inbox
from reconciler.stream.spin import LONG_YIELD_S, REST_S, SPIN_ENV, SenderWaits, Spin
from reconciler.stream.subscriber import Subscriber
from tests.stream.ends import drain, ends

if TYPE_CHECKING:
    from tests.support.instance import Instance

CHANNEL = Channel("s_a_input", readers=("a",), buffer=8, subscribers=3)
ROUNDS = 20_000
SENDER = f"""
import sys, random
from pathlib import Path
from reconciler.contract.files import Channel
from reconciler.stream import position, Text
from reconciler.stream.channel import Domain
from reconciler.stream.publisher import Publisher

channel = Channel("s_a_input", readers=("a",), buffer=1, subscribers=3)
end = Publisher(Domain(Path(sys.argv[1]), sys.argv[2], "sender"), channel)
pauses = random.Random(1)
for number in range({ROUNDS}):
    end.send(Text(str(number)), epoch=1, seq=number)
    while not end.free():
        pass
    for _ in range(pauses.randrange(300)):
        pass
sys.stdin.read()
"""


def test_no_frame_is_missed_between_the_last_look_and_sleep(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender sends as soon as a frame is acknowledged, or a random moment later: just when the reader lies down."""
    monkeypatch.setattr(inbox, "IDLE_LOOK_S", 60.0)
    domain = instance.domain()
    reader = Subscriber(domain, replace(CHANNEL, buffer=1), "a")
    argv = [sys.executable, "-c", SENDER, str(instance.paths.shm_root), instance.prefix]
    program = instance.start_program(argv, {})
    taken = Inbox([reader])
    texts: list[str] = []
    overslept = 0
    while len(texts) < ROUNDS:
        arrival = taken.take()
        if arrival is not None:
            assert isinstance(arrival.frame, Text)
            texts.append(arrival.frame.text)
            reader.done(arrival.header)
            continue
        begun = time.monotonic()
        taken.wait(60.0)
        overslept += time.monotonic() - begun >= 60.0
        assert program.poll() is None, instance.log(program)
    assert texts == [str(number) for number in range(ROUNDS)]
    assert not overslept
    program.communicate("")
    taken.close()
    domain.close()


def notified(reader: Subscriber) -> bool:
    return bool(reader.listener.try_wait())


def test_only_readers_that_may_sleep_are_notified(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        reader = channel.read("a")
        channel.send(Text("it has not said that it looks for itself"))
        assert notified(reader)
        drain(reader)
        reader.awakes()
        channel.send(Text("it looks for itself"))
        assert not notified(reader)
        tap = channel.read("b", replace(CHANNEL, delivery=LATEST))
        channel.send(Text("another listens, of whom the sender knows nothing"))
        assert notified(tap)
        assert not reader.sleeps(), "there are frames to be taken"
        channel.send(Text("it sleeps"))
        assert notified(reader)
        drain(reader)
        assert reader.sleeps()


def test_a_reader_that_was_killed_awake_leaves_nobody_asleep(instance: Instance) -> None:
    with ends(instance, CHANNEL) as channel:
        channel.read("a").awakes()
        again = channel.read("a")
        channel.readers.pop(0).close()
        channel.send(Text("x"))
        assert notified(again)


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self, now: float) -> None:
        self.now = now

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def rest_ms(spin: Spin, clock: Clock) -> int:
    """Return after how long a reader spins again, while frames come all the time, or a step of the clock more."""
    begun = clock.now
    spin.blocked(clock.now)
    while not spin.begin():
        clock.sleep(0.001)
        spin.blocked(clock.now)
    return round((clock.now - begun) * 1e3)


def test_a_reader_spins_only_while_frames_come_soon_and_no_other_thread_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(time.perf_counter())
    monkeypatch.setattr(spins, "time", clock)
    monkeypatch.setattr(spins, "_YIELD", lambda: clock.sleep(LONG_YIELD_S / 10))
    monkeypatch.setattr(spins, "_WOKEN", {})
    spin = Spin()
    assert not spin.begin()
    spin.blocked(clock.now - 1)
    assert not spin.begin(), "a second passed before something came"
    spin.blocked(clock.now)
    assert spin.begin()
    with SenderWaits():
        assert not spin.begin()
    assert spin.begin()
    other = threading.Thread(target=Spin().blocked, args=(clock.now,))
    other.start()
    other.join()
    assert not spin.begin(), "a frame has just woken another thread"
    clock.sleep(2 * REST_S)
    assert spin.begin()
    while spin.again():
        pass
    assert not spin.begin(), "nothing came for the whole time"


def test_a_reader_rests_longer_each_time_that_somebody_else_wants_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(time.perf_counter() + 60)
    monkeypatch.setattr(spins, "time", clock)
    monkeypatch.setattr(spins, "_YIELD", lambda: clock.sleep(2 * LONG_YIELD_S))
    spin = Spin()
    rests = []
    for _ in range(7):
        rests.append(rest_ms(spin, clock))
        assert not spin.again(), "giving the core away took long"
    assert rests == pytest.approx([0, 10, 20, 40, 80, 160, 200], abs=1)
    clock.sleep(2 * REST_S)
    assert rest_ms(spin, clock) == 0
    assert not spin.again()
    assert rest_ms(spin, clock) == pytest.approx(10, abs=1), "the last time was long ago"


def test_a_reader_told_not_to_spin_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SPIN_ENV, "0")
    spin = Spin()
    spin.blocked(time.perf_counter())
    assert not spin.begin()


def test_a_barrier_that_was_interrupted_is_passed_again() -> None:
    barrier = position.Barrier()
    barrier._release()  # a signal's handler raises before the next step
    barrier()
    barrier()


def test_a_barrier_lets_a_handler_raise_whatever_it_raises() -> None:
    barrier = position.Barrier()
    release = barrier._release

    def interrupted() -> None:
        release()
        msg = "time is up"
        raise RuntimeError(msg)

    barrier._release = interrupted
    with pytest.raises(RuntimeError, match="time is up"):
        barrier()
    barrier._release = release
    barrier()
