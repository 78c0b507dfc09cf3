"""Streams that go on while something happens: a few seconds of them in one test, minutes in another."""

from __future__ import annotations

import collections
import itertools
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from reconciler.stream import Frame, Session, Tensor
from tests.support.flow import PATIENCE_S, audio, key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from reconciler.stream import Audio
    from tests.support.flow import Plant

REPORT_S = 2.0
"""SC-004."""


def stream(session: Session, frames: Iterable[Frame]) -> list[Frame]:
    """Send frames from a thread of their own and return all that arrives until the end of the stream."""
    arrived: list[Frame] = []
    failed: list[BaseException] = []

    def send() -> None:
        try:
            for frame in frames:
                session.send(frame, timeout_s=PATIENCE_S)
            session.end(timeout_s=PATIENCE_S)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failed.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        while (frame := session.receive(PATIENCE_S)) is not None:
            arrived.append(frame)
    finally:
        if failed:
            raise failed[0]
    sender.join()
    assert session.dropped == 0
    return arrived


def disturbed(frames: Iterable[Frame], kill: Callable[[], object], *, every_s: float) -> Iterator[Frame]:
    """Hand out frames, and kill something between two of them every few seconds."""
    due = time.monotonic() + every_s
    for frame in frames:
        yield frame
        if time.monotonic() > due:
            kill()
            due = time.monotonic() + every_s


def ravage(plant: Plant, pipeline: str, victims: Sequence[str], *, every_s: float) -> int:
    """Stream as fast as it goes while containers are killed, one after the other; return how many frames it took.

    What arrives must equal an undisturbed run, and every kill must be told as the node's condition within 2 s.
    """
    kills: list[tuple[str, float]] = []

    def kill() -> None:
        if len(kills) < len(victims) and plant.ready():
            victim = victims[len(kills)]
            kills.append((victim, time.time()))
            plant.kill(pipeline, victim)

    def until_all_are_killed() -> Iterator[Audio]:
        for frame in audio(36_000):
            yield frame
            if len(kills) == len(victims) and plant.ready():
                return

    with plant.open(pipeline) as session:
        arrived = [key(frame) for frame in stream(session, disturbed(until_all_are_killed(), kill, every_s=every_s))]
    with plant.open(pipeline) as session:
        quiet = itertools.islice(audio(36_000), len(arrived))
        assert arrived == [key(frame) for frame in stream(session, quiet)]
    assert [victim for victim, _ in kills] == list(victims)
    told = plant.told(f"node/{pipeline}/")
    for victim, at in kills:
        soon = [text for node, when, text in told if node == victim and at <= when < at + REPORT_S]
        assert any(text.startswith("Ready=False") for text in soon), (victim, at, told)
    return len(arrived)


def crowd(sessions: list[Session], *, seconds: float) -> list[int]:
    """Stream through several sessions at once; every frame must come back, in order, in its own session.

    Returns how many frames each has carried.
    """
    until = time.monotonic() + seconds
    counts = [0] * len(sessions)
    wrong: list[BaseException] = []

    def run(mine: int, session: Session) -> None:
        try:
            counts[mine] = _alone(session, mine, until)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            wrong.append(error)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for session in sessions:
        session.close()
    if wrong:
        raise wrong[0]
    return counts


def _alone(session: Session, mine: int, until: float) -> int:
    """Keep a few frames on the way, and check each that comes back against what is due."""
    due: collections.deque[int] = collections.deque()
    count = 0
    while time.monotonic() < until:
        for _ in range(8):
            session.send(Tensor(np.full(1 + count % 3000, mine, np.int32), timestamp_ns=count))
            due.append(count)
            count += 1
        while len(due) > 16:
            _check(session.receive(PATIENCE_S), mine, due.popleft())
    session.end()
    for number in due:
        _check(session.receive(PATIENCE_S), mine, number)
    assert session.receive(PATIENCE_S) is None
    assert session.dropped == 0
    return count


def _check(frame: Frame | None, mine: int, number: int) -> None:
    assert isinstance(frame, Tensor), frame
    assert frame.timestamp_ns == number, f"session {mine}: frame {frame.timestamp_ns} where {number} is due"
    assert frame.array.shape == (1 + number % 3000,)
    assert (frame.array == mine).all(), f"session {mine}: got what is not its own"
