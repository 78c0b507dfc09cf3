"""Sentences of docs/delivery.md about the life of a node object, ends, errors and fan-out, in real processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.contract import exits
from reconciler.contract.files import SKIP, Channel, Endpoints, Served
from reconciler.stream import Error, Json, NodeFailed, Tensor, Text
from tests.stream.test_crash import connect
from tests.stream.test_graph import diamond
from tests.support.instance import PATIENCE_S, chain, fresh_instance
from tests.support.place import eventually

if TYPE_CHECKING:
    import subprocess

    from reconciler.stream import Session
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"
STALL_S = 0.3
MIB = 1 << 20
DEPTH = 8


def start(instance: Instance, served: Served, kind: str, **params: object) -> subprocess.Popen[str]:
    """Start a node that serves one session."""
    instance.assign(served.node, replace(served, params=json.dumps(params)))
    return instance.start_node(kind, NODES, node=served.node)


def texts(session: Session) -> list[str]:
    """Return all that comes until the stream ends."""
    return [frame.text if isinstance(frame, Text) else type(frame).__name__ for frame in session]


def test_cleanup_is_called_after_the_end_of_a_stream_and_when_a_newer_one_begins(instance: Instance) -> None:
    (served,), ends = chain("voice", "one")
    diary = instance.directory / "diary"
    start(instance, served, "telling:Diary", diary=str(diary))
    instance.await_ready("one", "voice")
    instance.publish(ends)
    written: list[str] = []

    def follows(*lines: str) -> None:
        written.extend(lines)
        eventually(lambda: diary.read_text().split() == written, within_s=PATIENCE_S)

    with connect(instance) as session:
        session.send(Text("a"))
        session.end()
        assert texts(session) == ["a"]
    follows("initialize", "a", "end", "cleanup", "initialize")
    with connect(instance) as session:
        session.send(Text("b"))
        assert session.receive(PATIENCE_S) is not None
    follows("b")
    with connect(instance) as session:
        session.send(Text("c"))
        follows("cleanup", "initialize", "c")


def test_a_node_that_can_not_start_is_tried_again_a_second_later_and_its_frames_wait(instance: Instance) -> None:
    (served,), ends = chain("voice", "one")
    diary = instance.directory / "diary"
    start(instance, served, "telling:Late", diary=str(diary))
    instance.await_status("one", lambda status: any(each.state == "failed" for each in status.sessions))
    instance.publish(ends)
    with connect(instance, receive_timeout_s=PATIENCE_S) as session:
        for text in "abc":
            session.send(Text(text))
        session.end()
        assert texts(session) == ["a", "b", "c"]
    first, second = map(float, diary.read_text().split()[:2])
    assert 1.0 <= second - first < 1.9


def test_an_end_that_a_node_emits_itself_is_ignored(instance: Instance) -> None:
    (first, second), ends = chain("voice", "one", "two")
    start(instance, first, "telling:Ends")
    start(instance, second, "plain:Ports")
    instance.await_ready("one", "voice")
    instance.await_ready("two", "voice")
    instance.publish(ends)
    with connect(instance, receive_timeout_s=PATIENCE_S) as session:
        session.send(Text("a"))
        session.send(Text("b"))
        session.end()
        came = [frame.value for frame in session if isinstance(frame, Json)]
    assert came == [{"port": "", "text": "a"}, {"port": "", "text": "b"}, {"ends": 1}]


def test_where_one_session_hangs_others_in_the_process_finish_their_frames(instance: Instance) -> None:
    (hanging,), ends = chain("voice", "one")
    (other,), other_ends = chain("other", "one", pipeline="voice")
    begun = instance.directory / "begun"
    hanging = replace(hanging, stall_timeout_s=STALL_S, on_error=SKIP, params='{"begun": "/dev/null"}')
    instance.assign("one", hanging, replace(other, params=json.dumps({"begun": str(begun)})))
    program = instance.start_node("telling:Pause", NODES, node="one")
    instance.await_ready("one", "voice", "other")
    instance.publish(ends)
    instance.publish(other_ends)
    with connect(instance) as session, connect(instance, session="other") as beside:
        beside.send(Text("first"))  # whoever has received from a sender has mapped its memory, and keeps it
        assert beside.receive(PATIENCE_S) is not None
        beside.send(Text("slow"))
        eventually(begun.exists, within_s=PATIENCE_S)
        session.send(Text("slow"))
        assert program.wait(PATIENCE_S) == exits.STALLED
        assert beside.receive(PATIENCE_S).text == "slow"  # type: ignore[union-attr]
        with pytest.raises(NodeFailed, match="node one raised Stalled"):
            session.receive(PATIENCE_S)


def test_what_process_raised_is_in_the_log_with_its_place(instance: Instance) -> None:
    (served,), ends = chain("voice", "one")
    program = start(instance, replace(served, on_error=SKIP), "plain:Fragile")
    instance.await_ready("one", "voice")
    instance.publish(ends)
    with connect(instance, raise_errors=False) as session:
        session.send(Text("raise"))
        assert isinstance(session.receive(PATIENCE_S), Error)
    log = instance.log(program)
    assert "process() raised on frame 0\nTraceback (most recent call last)" in log
    assert f'File "{NODES}/plain.py", line ' in log
    assert log.count("ValueError: told to") == 1


def test_where_a_graph_forks_and_joins_an_error_arrives_by_each_way(instance: Instance) -> None:
    diamond(instance, source="Fragile")
    with connect(instance, raise_errors=False, receive_timeout_s=PATIENCE_S) as session:
        session.send(Text("raise"))
        session.end()
        *errors, last = session
    told = [(each.failed, each.exception, each.frame_seq) for each in errors if isinstance(each, Error)]
    assert told == [("source", "ValueError", 0)] * 2
    assert isinstance(last, Json)
    assert last.value == {"ends": 1}


def fan_out(instance: Instance, *readers: str) -> tuple[list[list[object]], int]:
    """Stand up nodes that read one channel; return what each made of a stream, and the memory while none was done."""
    entry = Channel("voice_source_input", buffer=DEPTH, subscribers=3, readers=("source",))
    shared = Channel("voice_source_output", "source", buffer=DEPTH, subscribers=5, readers=readers)
    leave = {name: Channel(f"voice_{name}_output", name, subscribers=3, readers=("",)) for name in readers}
    gate = instance.directory / "gate"
    start(instance, Served("voice", "voice", "source", "{}", (entry,), (shared,)), "plain:Pass")
    for name in readers:
        served = Served("voice", "voice", name, "{}", (shared,), (leave[name],))
        start(instance, served, "telling:Weigh", gate=str(gate))
    for name in ("source", *readers):
        instance.await_ready(name, "voice")
    instance.publish(Endpoints("voice", "voice", ready=True, inputs=(entry,), outputs=tuple(leave.values())))
    with connect(instance, receive_timeout_s=PATIENCE_S) as session:
        for number in range(DEPTH):
            session.send(Tensor(np.full(MIB, number, np.uint8)))
        instance.await_status("source", lambda status: status.sessions[0].sent == DEPTH)
        files = Path("/dev/shm").glob(f"{instance.prefix}*")
        size_bytes = sum(file.stat().st_blocks * 512 for file in files)
        gate.touch()
        session.end()
        came = [(frame.node, frame.value) for frame in session if isinstance(frame, Json)]
    return [[value for node, value in came if node == name] for name in readers], size_bytes


def test_two_nodes_that_read_one_channel_get_all_of_it_and_share_its_memory(instance: Instance) -> None:
    whole = [*range(DEPTH), {"ends": 1}]
    with fresh_instance() as other:
        came, alone_bytes = fan_out(other, "a")
        assert came == [whole]
    came, size_bytes = fan_out(instance, "a", "b")
    assert came == [whole, whole]
    assert alone_bytes >= DEPTH * MIB
    assert size_bytes < alone_bytes + DEPTH * MIB // 2
