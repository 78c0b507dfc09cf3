"""A stream ends by each input of a node; that some have ended must not be forgotten while others go on."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.contract.files import LATEST, RELIABLE, Channel, Served
from reconciler.stream import EndOfStream, Text, position
from tests.stream.ends import Ends, drain, ends
from tests.support.instance import PATIENCE_S
from tests.support.place import eventually

if TYPE_CHECKING:
    from reconciler.stream.frame import Frame
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"
LEFT = Channel("voice_left_output", "left", buffer=8, subscribers=3, readers=("join",))
RIGHT = Channel("voice_right_output", "right", buffer=8, subscribers=3, readers=("join",))
OUT = Channel("voice_join_output", "join", buffer=8, subscribers=3, readers=("sink",))


def what_comes(out: Ends, count: int, *senders: Ends) -> list[Frame]:
    """Wait for so many frames."""
    frames: list[Frame] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(frames) < count and time.monotonic() < deadline:
        frames += drain(out.readers[0])
        for sender in senders:
            sender.sender.refresh()
        time.sleep(0.01)
    return frames


def has_ended(sender: Ends) -> bool:
    """Whether the node has noted that the stream is over by a channel."""
    where = position.path(sender.domain.positions, sender.channel.name, "join")
    with contextlib.closing(position.Position(where)) as found:
        return found.ended == 1


@pytest.mark.parametrize("by", ["replacement", "kill"])
@pytest.mark.parametrize("delivery", [RELIABLE, LATEST])
def test_the_end_by_one_of_several_inputs_outlives_its_reader_and_its_sender(
    instance: Instance, delivery: str, by: str
) -> None:
    first = replace(LEFT, delivery=delivery, readers=("join",) if delivery == RELIABLE else ())
    served = Served("voice", "voice", "join", "{}", (first, RIGHT), (OUT,))
    instance.assign("join-0", served)
    old = instance.start_node("plain:Pass", NODES, node="join-0")
    instance.await_ready("join-0", "voice")
    with ends(instance, OUT) as out, ends(instance, first) as left, ends(instance, RIGHT) as right:
        out.read("sink")
        out.sender.close()
        left.send(EndOfStream())
        right.send(Text("a"))
        assert [frame.text for frame in what_comes(out, 1, left, right) if isinstance(frame, Text)] == ["a"]
        eventually(lambda: has_ended(left), within_s=PATIENCE_S)  # the inputs are taken in turn
        left.sender.close()
        instance.assign("join-1", served)
        if by == "kill":
            old.kill()
            old.wait()
        instance.start_node("plain:Pass", NODES, node="join-1")
        if by == "replacement":
            instance.await_status("join-1", lambda status: {s.state for s in status.sessions} == {"waiting"})
            instance.await_left("join-0", instance.assign("join-0", leaving=(served,)))
        instance.await_ready("join-1", "voice")
        right.send(Text("b"))
        right.send(EndOfStream())
        texts, end = what_comes(out, 2, right)
        assert isinstance(texts, Text)
        assert texts.text == "b"
        assert isinstance(end, EndOfStream)
