"""Two node processes and a client, end to end over shared memory, without Docker and without a controller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.stream import Audio, Closed, Json, NodeFailed, Session, SessionNotReady, Text
from tests.support.instance import chain

if TYPE_CHECKING:
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"


def stand(instance: Instance, node_type: str, *nodes: str, session: str = "voice", buffer: int = 32) -> None:
    served, ends = chain(session, *nodes, buffer=buffer)
    for node, serves in zip(nodes, served, strict=True):
        instance.assign(node, serves)
        instance.start_node(node_type, NODES, node=node)
    for node in nodes:
        instance.await_ready(node, session)
    instance.publish(ends)


def open_session(instance: Instance, pipeline: str = "voice", **options: object) -> Session:
    return Session.open(pipeline, instance=instance.paths.instance, runtime_dir=str(instance.directory), **options)


def test_frames_pass_two_processes_in_order_and_the_stream_ends(instance: Instance) -> None:
    stand(instance, "plain:Add", "one", "two")
    with open_session(instance) as session:
        for number in range(20):
            session.send(Audio(np.full(320, number, np.float32), 16_000, timestamp_ns=number * 20_000_000))
        session.end()
        frames = list(session)
    audio = [frame for frame in frames if isinstance(frame, Audio)]
    assert [frame.samples[0] for frame in audio] == [number + 2 for number in range(20)]
    assert [frame.timestamp_ns for frame in audio] == [number * 20_000_000 for number in range(20)]
    assert [frame.seq for frame in frames] == list(range(22))
    assert {frame.node for frame in frames} == {"two"}
    assert len({tuple(frame.metadata["by"]) for frame in audio}) == 1
    assert [frame.value for frame in frames if isinstance(frame, Json)] == [{"count": 20}, {"count": 20}]


def test_one_program_after_another_uses_a_standing_session(instance: Instance) -> None:
    stand(instance, "plain:Add", "one")
    for _ in range(3):
        with open_session(instance) as session:
            session.send(Audio(np.zeros(3, np.float32), 8_000))
            session.end()
            first, last = session
            assert isinstance(first, Audio)
            assert first.seq == 0
            assert isinstance(last, Json)
            assert last.value == {"count": 1}


def test_what_a_program_left_behind_does_not_reach_the_next_one(instance: Instance) -> None:
    stand(instance, "plain:Pass", "one", buffer=4)
    with open_session(instance) as session:
        for number in range(4):
            session.send(Text(f"old {number}"))
    with open_session(instance) as session:
        session.send(Text("new"))
        session.end()
        assert [frame.text for frame in session if isinstance(frame, Text)] == ["new"]


def test_two_programs_can_not_have_one_standing_session(instance: Instance) -> None:
    stand(instance, "plain:Pass", "one")
    with open_session(instance), pytest.raises(SessionNotReady, match="in use by PID"):
        open_session(instance)
    with open_session(instance):
        pass


def test_a_node_that_raises_is_reported_and_the_stream_goes_on(instance: Instance) -> None:
    stand(instance, "plain:Fragile", "one", "two")
    with open_session(instance) as session:
        session.send(Text("raise"))
        session.send(Text("fine"))
        session.end()
        with pytest.raises(NodeFailed, match="node one raised ValueError on frame 0: told to") as caught:
            session.receive(10)
        assert caught.value.node == "one"
        frame = session.receive(10)
        assert isinstance(frame, Text)
        assert frame.text == "fine"
        assert session.receive(10) is None
    status = instance.status("one")
    assert status is not None


def test_a_closed_session_says_so(instance: Instance) -> None:
    stand(instance, "plain:Pass", "one")
    session = open_session(instance)
    session.close()
    session.close()
    with pytest.raises(Closed, match="open a new one"):
        session.send(Text("x"))
    with pytest.raises(Closed, match="open a new one"):
        session.receive(1)
