"""Shapes of pipelines: fan-out, fan-in, named ports, nodes of every kind, several sessions in one instance."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.contract.files import LATEST, Channel, Endpoints, InputStatus, Served
from reconciler.stream import Audio, Closed, Error, Json, NodeFailed, Session, Tensor, Text, TimedOut
from tests.support.instance import PATIENCE_S, chain, with_params

if TYPE_CHECKING:
    from reconciler.contract.files import Status
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"


def connect(instance: Instance, pipeline: str = "voice", **options: object) -> Session:
    return Session.open(pipeline, instance=instance.paths.instance, runtime_dir=str(instance.directory), **options)


def diamond(instance: Instance, source: str = "Fork") -> None:
    """Stand up `source`, which feeds `a` and `b` by two ports, whose outputs `sink` joins on two ports."""
    entry = Channel("voice_source_input", readers=("source",), subscribers=3)
    left = Channel("voice_source_output.left", "source", "left", subscribers=3, readers=("a",))
    right = Channel("voice_source_output.right", "source", "right", subscribers=3, readers=("b",))
    from_a = Channel("voice_a_output", "a", subscribers=3, readers=("sink",))
    from_b = Channel("voice_b_output", "b", subscribers=3, readers=("sink",))
    leave = Channel("voice_sink_output", "sink", subscribers=3, readers=("",))
    joined = (replace(from_a, port="first"), replace(from_b, port="second"))
    instance.assign("source", Served("voice", "voice", "source", "{}", (entry,), (left, right)))
    instance.assign("a", Served("voice", "voice", "a", "{}", (replace(left, port=""),), (from_a,)))
    instance.assign("b", Served("voice", "voice", "b", "{}", (replace(right, port=""),), (from_b,)))
    instance.assign("sink", Served("voice", "voice", "sink", "{}", joined, (leave,)))
    for node, kind in (("source", source), ("a", "Pass"), ("b", "Pass"), ("sink", "Ports")):
        instance.start_node(f"plain:{kind}", NODES, node=node)
    for node in ("source", "a", "b", "sink"):
        instance.await_ready(node, "voice")
    instance.publish(Endpoints("voice", "voice", ready=True, inputs=(entry,), outputs=(leave,)))


def test_what_forks_and_joins_arrives_whole_and_ends_once(instance: Instance) -> None:
    diamond(instance)
    for _ in range(2):
        with connect(instance) as session:
            for number in range(50):
                session.send(Text(str(number)))
            session.end()
            frames = [frame for frame in session if isinstance(frame, Json)]
        for port in ("first", "second"):
            assert [f.value["text"] for f in frames if f.value.get("port") == port] == [str(n) for n in range(50)]
        assert [frame.value for frame in frames if "ends" in frame.value] == [{"ends": 1}]
        assert frames[-1].value == {"ends": 1}
    for node, port in (("a", "left"), ("b", "right")):
        instance.await_status(node, lambda status, port=port: status.sessions[0].inputs[0].output == port)  # type: ignore[misc]


def test_a_session_that_feeds_two_nodes_and_is_fed_by_two(instance: Instance) -> None:
    one, one_ends = chain("voice", "one")
    two, two_ends = chain("voice", "two")
    for node, served in (("one", one), ("two", two)):
        instance.assign(node, *served)
        instance.start_node("plain:Add", NODES, node=node)
        instance.await_ready(node, "voice")
    ends = replace(one_ends, inputs=one_ends.inputs + two_ends.inputs, outputs=one_ends.outputs + two_ends.outputs)
    instance.publish(ends)
    with connect(instance) as session:
        frame = session.reserve(Audio, (20_000,), rate=8_000)
        frame.samples[:] = 1
        session.send(frame)
        session.send(Audio(np.zeros(3, np.float32), 8_000))
        session.end()
        frames = list(session)
    for node in ("one", "two"):
        audio = [frame for frame in frames if frame.node == node and isinstance(frame, Audio)]
        assert [frame.samples[0] for frame in audio] == [2, 1]
    del frame, frames, audio


def test_one_instance_serves_many_sessions_each_with_a_node_of_its_own(instance: Instance) -> None:
    sessions = [f"voice-{number}" for number in range(5)]
    chains = {session: chain(session, "one", pipeline="voice") for session in sessions}
    instance.assign("one", *(served for each, _ in chains.values() for served in each))
    instance.start_node("plain:Add", NODES, node="one")
    instance.await_ready("one", *sessions)
    for _, ends in chains.values():
        instance.publish(ends)
    opened = [connect(instance, session=session) for session in sessions]
    for round_ in range(10):
        for number, session in enumerate(opened):
            if round_ < number + 1:
                session.send(Audio(np.full(4, number, np.float32), 8_000))
    for number, session in enumerate(opened):
        session.end()
        *audio, last = session
        assert [frame.samples[0] for frame in audio if isinstance(frame, Audio)] == [number + 1] * (number + 1)
        assert isinstance(last, Json)
        assert last.value == {"count": number + 1}
        session.close()


def test_nodes_compute_in_the_memory_they_send_from(instance: Instance) -> None:
    served, ends = chain("voice", "one", "two")
    instance.assign("one", replace(served[0], params='{"gain": 2}'))
    instance.assign("two", replace(served[1], params='{"count": 3}'))
    instance.start_node("reserving:InPlace", NODES, node="one")
    instance.start_node("reserving:Hoard", NODES, node="two")
    for node in ("one", "two"):
        instance.await_ready(node, "voice")
    instance.publish(ends)
    with connect(instance) as session:
        for _ in range(10):
            session.send(Tensor(np.ones(5_000, np.float32)))
            frames = [session.receive(PATIENCE_S) for _ in range(4)]
            assert isinstance(frames[0], Json)
            assert frames[0].value == [True, True, True, False]
            assert [type(frame) for frame in frames[1:]] == [Tensor] * 3


def test_a_node_computes_in_place_what_it_would_compute_elsewhere(instance: Instance) -> None:
    served, ends = chain("voice", "one")
    instance.assign("one", replace(served[0], params='{"gain": 2}'))
    instance.start_node("reserving:InPlace", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)
    with connect(instance) as session:
        for number in range(100):
            session.send(Tensor(np.arange(number, number + 5_000), timestamp_ns=number))
            frame = session.receive(PATIENCE_S)
            assert isinstance(frame, Tensor)
            assert (frame.array == 2 * np.arange(number, number + 5_000)).all()
            assert frame.timestamp_ns == number


@pytest.mark.parametrize("params", ['{"count": 4}', '{"count": 1, "raises": true}', '{"count": 4, "raises": true}'])
def test_reserved_frames_keep_nothing_else_from_being_sent(instance: Instance, params: str) -> None:
    served, ends = chain("voice", "one")
    instance.assign("one", replace(served[0], params=params))
    instance.start_node("reserving:Holding", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)
    raises = "raises" in params
    with connect(instance, raise_errors=False) as session:
        for _ in range(5):
            session.send(Tensor(np.zeros(3)))
            kinds = [type(session.receive(PATIENCE_S)) for _ in range(1 if raises else 5)]
            assert kinds == ([Error] if raises else [Json] + [Tensor] * 4)


def test_a_node_that_reserves_too_much_or_too_early_is_told(instance: Instance) -> None:
    served, ends = chain("voice", "one")
    instance.assign("one", replace(served[0], params='{"count": 5}'))
    instance.start_node("reserving:Hoard", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)
    with connect(instance) as session:
        session.send(Tensor(np.zeros(3)))
        with pytest.raises(NodeFailed, match="too many reserved frames are unsent: send or drop them first"):
            session.receive(PATIENCE_S)
    served, _ = chain("early", "two")
    instance.assign("two", *served)
    instance.start_node("reserving:Early", NODES, node="two")
    status = instance.await_status("two", lambda status: any(each.state == "failed" for each in status.sessions))
    assert "a frame can be reserved in process() only" in status.sessions[0].message


def test_asynchronous_nodes_and_programs(instance: Instance) -> None:
    served, ends = chain("voice", "one")
    instance.assign("one", *served)
    instance.start_node("plain:Coroutines", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)

    async def converse() -> list[str]:
        async with connect(instance) as session:
            with pytest.raises(TimedOut):
                await session.receive_async(0.05)
            task = asyncio.create_task(session.receive_async())
            await asyncio.sleep(0)
            task.cancel()
            for number in range(5):
                await session.send_async(Text(str(number)))
            await session.end_async()
            return [frame.text async for frame in session if isinstance(frame, Text)]

    assert asyncio.run(converse()) == [f"{number}!" for number in range(5)]


def test_a_latest_connection_never_slows_its_sender(instance: Instance) -> None:
    served, ends = chain("voice", "one", "two")
    gate = instance.directory / "gate"
    between = replace(served[0].outputs[0], readers=())
    instance.assign("one", replace(served[0], outputs=(between,)))
    slow = replace(served[1], inputs=(replace(between, delivery=LATEST),), params=f'{{"gate": "{gate}"}}')
    instance.assign("two", slow)
    instance.start_node("plain:Slow", NODES, node="two")
    instance.await_ready("two", "voice")
    instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)
    with connect(instance) as session:
        for number in range(500):
            session.send(Text(str(number)))
        instance.await_status("one", lambda status: status.sessions[0].sent == 500)
        gate.touch()
        texts = []
        while not texts or texts[-1] != "499":
            frame = session.receive(PATIENCE_S)
            assert isinstance(frame, Text)
            texts.append(frame.text)
        assert len(texts) < 500

        def all_accounted_for(status: Status) -> bool:
            (counted,) = status.sessions
            sums = InputStatus("one", "", counted.received, counted.dropped)
            return counted.dropped > 0 and counted.received + counted.dropped == 500 and counted.inputs == (sums,)

        instance.await_status("two", all_accounted_for)


def test_what_changes_in_assignments_changes_what_is_served_and_nothing_else(instance: Instance) -> None:
    kept, kept_ends = chain("kept", "one", pipeline="voice")
    gone, _ = chain("gone", "one", pipeline="voice")
    instance.assign("one", *kept, *gone)
    program = instance.start_node("plain:Add", NODES, node="one")
    instance.await_ready("one", "kept", "gone")
    instance.publish(kept_ends)
    with connect(instance, session="kept") as session:
        session.send(Audio(np.zeros(2, np.float32), 8_000))
        session.receive(PATIENCE_S)
        instance.assign("one", *kept)
        instance.await_status("one", lambda status: [each.session for each in status.sessions] == ["kept"])
        assert {service.name for service in instance.shm.look()[1]} == {"kept_one_input", "kept_one_output"}
        session.send(Audio(np.zeros(2, np.float32), 8_000))
        session.end()
        assert [frame.value for frame in session if isinstance(frame, Json)] == [{"count": 2}]
    assert instance.end(program) == 0


def test_a_node_that_can_not_start_says_why_and_tries_again(instance: Instance) -> None:
    served, _ = chain("voice", "one")
    instance.assign("one", *served)
    program = instance.start_node("Broken", NODES, node="one")
    status = instance.await_status("one", lambda status: any(each.state == "failed" for each in status.sessions))
    assert status.sessions[0].message == "RuntimeError: no model"
    assert program.poll() is None
    assert "no model" in instance.log(program)


@pytest.mark.parametrize(
    ("node_type", "says"),
    [
        ("plain:Nobody", "has no class Nobody"),
        ("Nobody", "class Nobody is in no *.py directly in"),
        ("unimportable:Any", "raised ModuleNotFoundError"),
        ("plain:np", "has no class np"),
    ],
)
def test_code_that_can_not_be_had_is_told_in_the_status(instance: Instance, node_type: str, says: str) -> None:
    program = instance.start_node(node_type, NODES, node="one")
    assert program.wait(PATIENCE_S) == 1
    status = instance.status("one")
    assert status is not None
    assert says in status.error


@pytest.mark.parametrize("kind", ["Stamp", "Pass"], ids=["waits-to-send", "waits-to-acknowledge"])
def test_sigterm_ends_a_node_in_good_order_even_while_it_waits_for_a_reader(instance: Instance, kind: str) -> None:
    served, ends = chain("voice", "one", "two", buffer=1)
    instance.assign("one", with_params(served[0], '{"mark": "!"}'))
    program = instance.start_node(f"plain:{kind}", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)
    with connect(instance) as session:
        session.send(Text("nobody reads this"))
        instance.await_status("one", lambda status: status.sessions[0].sent == 1)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0


def test_a_session_that_the_controller_ends_closes(instance: Instance) -> None:
    served, ends = chain("voice", "one")
    instance.assign("one", *served)
    instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)
    with connect(instance) as session:
        (instance.paths.endpoints / "voice.json").unlink()
        with pytest.raises(Closed, match="ended by the controller"):
            session.receive(PATIENCE_S)


def test_errors_can_be_received_as_frames(instance: Instance) -> None:
    served, ends = chain("voice", "one", "two")
    for node, serves in zip(("one", "two"), served, strict=True):
        instance.assign(node, serves)
        instance.start_node("plain:Fragile", NODES, node=node)
        instance.await_ready(node, "voice")
    instance.publish(ends)
    with connect(instance, raise_errors=False) as session:
        session.send(Tensor(np.zeros(2)))
        session.send(Text("rubbish"))
        session.send(Text("after"))
        session.end()
        _, error, after = session
    assert isinstance(error, Error)
    assert isinstance(after, Text)
    assert "process gave back a int: return a frame" in error.message
    assert (error.failed, error.exception, error.frame_seq, error.node) == ("one", "FrameInvalid", 1, "two")


def test_backlog_is_what_was_sent_and_nobody_has_finished(instance: Instance) -> None:
    served, ends = chain("voice", "one")
    instance.start_node("plain:Pass", NODES, node="one")
    instance.assign("one", *served)
    instance.await_ready("one", "voice")
    instance.publish(ends)
    with connect(instance) as session:
        for number in range(5):
            session.send(Text(str(number)))
        instance.await_status("one", lambda status: status.sessions[0].backlog == 5)
        for _ in range(5):
            assert session.receive(PATIENCE_S)
        instance.await_status("one", lambda status: status.sessions[0].backlog <= 1)  # the last is in our hands yet
    instance.await_status("one", lambda status: status.sessions[0].backlog == 0)
