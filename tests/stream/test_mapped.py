"""A sender that is killed before its reader has looked at any of its frames (docs/adr/0029).

iceoryx2 maps a piece of a sender's memory for a reader with the first frame that the reader takes out of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.stream import Frame, Session, Tensor, Text
from tests.support.instance import PATIENCE_S, chain, with_params

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"


class Stuck:
    """A chain of two nodes, the second of which has a frame in hand until the gate is opened."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._gate = instance.directory / "gate"
        served, endpoints = chain("voice", "one", "two", buffer=8)
        instance.assign("one", served[0])
        instance.assign("two", with_params(served[1], f'{{"gate": "{self._gate}"}}'))
        self.first = self._start_first()
        instance.start_node("plain:Slow", NODES, node="two")
        instance.await_ready("two", "voice")
        instance.publish(endpoints)
        where = {"instance": instance.paths.instance, "runtime_dir": str(instance.directory)}
        self.session = Session.open("voice", session="voice", **where)

    def kill_the_first(self) -> None:
        """Kill it, and start it again, which sweeps its memory away."""
        self.first.kill()
        self.first.wait()
        (self._instance.paths.node(f"rc-{self._instance.paths.instance}-one") / "status.json").unlink()
        self.first = self._start_first()

    def sends(self, *frames: Frame) -> None:
        """Send frames, and wait until the first node has sent the first of them on."""
        before = self._sent()
        for frame in frames:
            self.session.send(frame)
        self._instance.await_status("one", lambda _: self._sent() > before)

    def open_the_gate(self) -> list[Frame]:
        """Let the second node go on, end the stream, and return all that comes."""
        self._gate.touch()
        self.session.end()
        frames = []
        while (frame := self.session.receive(PATIENCE_S)) is not None:
            frames.append(frame)
        return frames

    def _sent(self) -> int:
        status = self._instance.status("one")
        return sum(session.sent for session in status.sessions) if status is not None else 0

    def _start_first(self) -> subprocess.Popen[str]:
        started = self._instance.start_node("plain:Pass", NODES, node="one")
        self._instance.await_ready("one", "voice")
        return started


@pytest.fixture
def stuck(instance: Instance) -> Iterator[Stuck]:
    made = Stuck(instance)
    yield made
    made.session.close()


def _texts(frames: list[Frame]) -> list[str]:
    return [frame.text if isinstance(frame, Text) else type(frame).__name__ for frame in frames]


def test_what_a_new_sender_sent_outlives_it_though_its_reader_had_not_looked(stuck: Stuck) -> None:
    stuck.sends(Text("0"))
    stuck.kill_the_first()
    stuck.sends(Text("1"), Text("2"))
    stuck.kill_the_first()
    stuck.sends(Text("3"))
    assert _texts(stuck.open_the_gate()) == ["0", "1", "2", "3"]


def test_a_frame_larger_than_all_before_outlives_its_sender_though_its_reader_had_not_looked(stuck: Stuck) -> None:
    stuck.sends(Text("0"))
    stuck.sends(Tensor(np.arange(1 << 18)), Text("2"))
    stuck.kill_the_first()
    stuck.sends(Text("3"))
    frames = stuck.open_the_gate()
    assert _texts(frames) == ["0", "Tensor", "2", "3"]
    assert isinstance(frames[1], Tensor)
    assert np.array_equal(frames[1].array, np.arange(1 << 18))


def test_a_frame_that_is_a_little_larger_outlives_its_sender_too(stuck: Stuck) -> None:
    """Both texts are below 2 KiB; with its header the second one needs a larger place."""
    texts = ["0" * 1_100, "1" * 1_790, "2", "3"]
    stuck.sends(Text(texts[0]))
    stuck.sends(Text(texts[1]), Text(texts[2]))
    stuck.kill_the_first()
    stuck.sends(Text(texts[3]))
    assert _texts(stuck.open_the_gate()) == texts


def test_a_program_that_sends_and_does_not_receive_holds_nobody_up_with_what_little_comes_back(
    instance: Instance,
) -> None:
    served, endpoints = chain("voice", "one", "two", buffer=4)
    for node, serves, kind in zip(("one", "two"), served, ("Pass", "Few"), strict=True):
        instance.assign(node, serves)
        instance.start_node(f"plain:{kind}", NODES, node=node)
        instance.await_ready(node, "voice")
    instance.publish(endpoints)
    where = {"instance": instance.paths.instance, "runtime_dir": str(instance.directory)}
    wanted = ["!0", "!20", "!40"]
    with Session.open("voice", session="voice", **where) as session:
        for number in range(60):
            session.send(Text(f"!{number}" if number % 20 == 0 else str(number)))
        session.end()
        assert _texts(list(session)) == wanted
