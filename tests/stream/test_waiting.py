"""A reading end that waits for another one's place, and what lies about when somebody is killed meanwhile."""

from __future__ import annotations

import errno
import gc
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reconciler.contract.files import LATEST, Channel
from reconciler.node import Node
from reconciler.node.doing import Place
from reconciler.node.graph import Graph
from reconciler.node.worker import Worker
from reconciler.stream import Tensor, Text, TransportError, memory
from reconciler.stream.publisher import Publisher
from reconciler.stream.subscriber import Subscriber
from tests.stream.ends import Ends, drain, ends
from tests.support.instance import PATIENCE_S, chain

if TYPE_CHECKING:
    import pytest

    from reconciler.stream.frame import Frame
    from tests.support.instance import Instance

CHANNEL = Channel("s_a_input", readers=("a",), buffer=32, subscribers=3)


def texts(frames: list[Frame]) -> list[str]:
    return [frame.text for frame in frames if isinstance(frame, Text)]


def wait_on(opened: Ends, channel: Channel = CHANNEL) -> Subscriber:
    """Open an end that waits."""
    opened.readers.append(Subscriber(opened.domain, channel, "a", waits=True))
    return opened.readers[-1]


def follow(opened: Ends) -> None:
    """Put another sender into the place of the one there is."""
    opened.sender.close()
    opened.sender = Publisher(opened.domain, opened.channel)


def test_what_a_killed_sender_sent_to_an_end_that_waits_is_there_when_it_begins(instance: Instance) -> None:
    """The memory of a sender that is gone can't be mapped any more, so it is mapped before."""
    with ends(instance, CHANNEL) as opened:
        old = opened.read("a")
        opened.send(Text("first"))
        assert texts(drain(old)) == ["first"]
        heir = wait_on(opened)
        for number in range(6):
            opened.send(Text(str(number)))
            heir.stand_by()
            if number < 3:
                drain(old)
        follow(opened)
        opened.send(Text("other"))
        heir.stand_by()
        heir.begin()
        assert texts(drain(heir)) == ["3", "4", "5", "other"]
        assert (heir.received, heir.dropped, heir.doubled) == (4, 0, 0)


def test_a_reader_that_comes_takes_one_frame_at_a_time(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large ones stay in shared memory until it is their turn: more views than an end can hold would be copies."""
    copies: list[int] = []
    monkeypatch.setattr(memory, "copy_out", lambda _, size_bytes: copies.append(size_bytes) or bytes(size_bytes))
    with ends(instance, CHANNEL) as opened:
        for number in range(CHANNEL.buffer):
            opened.send(Tensor(np.full(1 << 14, number, np.float32)))
        reader = opened.read("a")
        opened.sender.refresh()
        seen = []
        while (arrival := reader.take()) is not None:
            seen.append(int(arrival.frame.array[0]))  # type: ignore[attr-defined]
            reader.done(arrival.header)
            del arrival
        assert seen == list(range(CHANNEL.buffer))
        assert copies == []


def test_what_the_one_before_had_is_not_missed(instance: Instance) -> None:
    latest = replace(CHANNEL, readers=(), delivery=LATEST)
    with ends(instance, latest) as opened:
        old = opened.read("a", latest)
        heir = wait_on(opened, latest)
        follow(opened)
        for number in range(6):
            opened.send(Text(str(number)))
            drain(old)
        heir.begin()
        assert texts(drain(heir)) == ["5"]
        assert (heir.received, heir.dropped) == (1, 0)


def test_an_end_that_can_not_be_written_down_is_no_failure(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    latest = replace(CHANNEL, readers=(), delivery=LATEST)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with ends(instance, latest) as opened:
        reader = opened.read("a", latest)
        with monkeypatch.context() as patched:
            patched.setattr(os, "posix_fallocate", full)
            before = len(list(Path("/proc/self/fd").iterdir()))
            reader.note_end(7)
            assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert not reader.has_ended(7)
        reader.note_end(7)
        assert reader.has_ended(7)
        assert not reader.has_ended(8)


def refused(opened: Ends) -> bool:
    """Open one reader more, if there is room."""
    try:
        opened.read("a")
    except TransportError:
        return True
    return False


def test_a_reader_that_is_refused_leaves_no_position_open(instance: Instance) -> None:
    with ends(instance, CHANNEL) as opened:
        while not refused(opened):
            pass
        files = Path("/proc/self/fd")
        gc.collect()
        before = [file.name for file in files.iterdir()]
        assert all(refused(opened) for _ in range(3))
        gc.collect()
        assert [file.name for file in files.iterdir()] == before


def test_one_who_serves_until_somebody_is_ready_looks_about_no_more_than_others(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That may take for ever, with parameters that no node can be made with."""
    looks: list[float] = []
    monkeypatch.setattr(Graph, "look", lambda _: looks.append(time.monotonic()))
    served, _ = chain("voice", "one")
    domain = instance.domain()
    worker = Worker(domain, served[0], Node, changed=lambda: None, place=Place())
    worker.start()
    deadline = time.monotonic() + PATIENCE_S
    while worker.status().state != "ready" and time.monotonic() < deadline:
        time.sleep(0.01)
    worker.leave(heir_comes=True)
    time.sleep(1.0)
    assert worker.alive
    worker.stop()
    worker.join(PATIENCE_S)
    domain.close()
    assert len(looks) < 5
