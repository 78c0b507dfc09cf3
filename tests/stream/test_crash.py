"""What a kill leaves whole: frames of a reliable stream, other programs' streams, shared memory."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.contract.files import Channel
from reconciler.stream import Backpressure, Session, Text
from tests.stream.ends import drain, ends
from tests.support.instance import PATIENCE_S, chain, with_params

if TYPE_CHECKING:
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"


def connect(instance: Instance, pipeline: str = "voice", **options: Any) -> Session:
    return Session.open(pipeline, instance=instance.paths.instance, runtime_dir=str(instance.directory), **options)


def fill(session: Session) -> list[str]:
    """Send until nothing fits any more; return what was sent."""
    sent = []
    for number in range(100):
        try:
            session.send(Text(f"stuck {number}"), timeout_s=0.2)
        except Backpressure:
            return sent
        sent.append(f"stuck {number}")
    pytest.fail("nothing holds this sender back")


def test_a_node_killed_within_a_frame_loses_nothing_and_doubles_nothing(instance: Instance) -> None:
    served, ends_ = chain("voice", "one", "two", "three", buffer=8)
    params = f'{{"marker": "{instance.directory}/killed", "at": "5"}}'
    served[1] = with_params(served[1], params)
    programs = []
    for node, serves, kind in zip(("one", "two", "three"), served, ("Pass", "Suicide", "Pass"), strict=True):
        instance.assign(node, serves)
        programs.append(instance.start_node(f"plain:{kind}", NODES, node=node))
    for node in ("one", "two", "three"):
        instance.await_ready(node, "voice")
    instance.publish(ends_)
    with connect(instance) as session:
        for number in range(8):
            session.send(Text(str(number)))
        assert programs[1].wait(PATIENCE_S) == -signal.SIGKILL
        instance.start_node("plain:Suicide", NODES, node="two")
        for number in range(8, 20):
            session.send(Text(str(number)))
        session.end()
        texts = [frame.text for frame in session if isinstance(frame, Text)]
    assert texts == [f"{number} {half}" for number in range(20) for half in ("first", "second")]


def test_a_program_killed_in_its_stream_leaves_the_session_usable(instance: Instance) -> None:
    served, ends_ = chain("voice", "one", buffer=4)
    instance.assign("one", *served)
    instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends_)
    program = instance.start_program(
        [
            sys.executable,
            "-c",
            (
                "from reconciler.stream import Session, Text, Backpressure\n"
                "session = Session.open('voice')\n"
                "try:\n"
                "    while True: session.send(Text('old'), timeout_s=1)\n"
                "except Backpressure: print('stuck', flush=True)\n"
                "input()\n"
            ),
        ],
        instance.environ,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "stuck\n", instance.log(program)
    program.kill()
    program.wait()
    with connect(instance) as session:
        for number in range(10):
            session.send(Text(f"new {number}"))
            frame = session.receive(PATIENCE_S)
            assert isinstance(frame, Text)
            assert frame.text == f"new {number}"
        session.end()
        assert session.receive(PATIENCE_S) is None


def test_a_program_that_does_not_receive_stops_its_own_stream_and_no_other(instance: Instance) -> None:
    slow, slow_ends = chain("slow", "one", buffer=4, pipeline="voice")
    quick, quick_ends = chain("quick", "one", buffer=4, pipeline="voice")
    instance.assign("one", *slow, *quick)
    instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "slow", "quick")
    instance.publish(slow_ends)
    instance.publish(quick_ends)
    options = {"instance": instance.paths.instance, "runtime_dir": str(instance.directory)}
    with Session.open("voice", session="slow", **options) as stuck:  # type: ignore[arg-type]
        fill(stuck)
        with Session.open("voice", session="quick", **options) as session:  # type: ignore[arg-type]
            for number in range(100):
                session.send(Text(str(number)))
                frame = session.receive(PATIENCE_S)
                assert isinstance(frame, Text)
                assert frame.text == str(number)


def test_a_node_whose_session_has_no_program_waits_for_nobody(instance: Instance) -> None:
    served, ends_ = chain("voice", "one", buffer=4)
    instance.assign("one", *served)
    instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "voice")
    with ends(instance, ends_.inputs[0]) as opened:
        for _ in range(100):
            opened.send(Text("x"))
        instance.await_status("one", lambda status: status.sessions[0].sent == 100)


def test_what_killed_programs_left_in_shared_memory_is_reclaimed(instance: Instance) -> None:
    channel = Channel("s_a_input", readers=("a",), buffer=8, subscribers=3)
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from reconciler.contract.files import Channel\n"
        "from reconciler.stream import Tensor\n"
        "from reconciler.stream.channel import Domain\n"
        "from reconciler.stream.publisher import Publisher\n"
        "from reconciler.stream.subscriber import Subscriber\n"
        "channel = Channel('s_a_input', readers=('a',), buffer=8, subscribers=3)\n"
        "domain = Domain(Path(sys.argv[1]), sys.argv[2], 'victim')\n"
        "end = Publisher(domain, channel)\n"
        "reader = Subscriber(domain, channel, 'a')\n"
        "end.send(Tensor(np.zeros(1 << 20)), epoch=1, seq=0)\n"
        "print('sent', flush=True); input()\n"
    )
    argv = [sys.executable, "-c", code, str(instance.paths.shm_root), instance.prefix]
    program = instance.start_program(argv, {})
    assert program.stdout is not None
    assert program.stdout.readline() == "sent\n", instance.log(program)
    assert instance.shm.files()[1] > 8 << 20
    program.kill()
    program.wait()
    nodes, services = instance.shm.look()
    assert [(node.name, node.dead) for node in nodes] == [("victim", True)]
    assert {service.name for service in services} == {"s_a_input"}
    assert (instance.paths.shm_root / "positions" / "s_a_input@a").exists()
    instance.shm.remove_dead_nodes(tuple(node.id for node in nodes))
    assert instance.shm.look() == ((), ())
    assert instance.shm.files() == (0, 0)
    assert not (instance.paths.shm_root / "positions" / "s_a_input@a").exists()
    with ends(instance, channel) as opened:
        reader = opened.read("a")
        opened.send(Text("after"))
        assert len(drain(reader)) == 1


def test_a_fork_of_a_client_says_what_it_is(instance: Instance) -> None:
    served, ends_ = chain("voice", "one")
    instance.assign("one", *served)
    instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends_)
    code = (
        "import os; from reconciler.stream import Session, Tensor, Text, Closed\n"
        "session = Session.open('voice')\n"
        "calls = (lambda: session.send(Text('x')), lambda: session.receive(10), lambda: session.end(),\n"
        "         lambda: session.reserve(Tensor, (2,)), lambda: list(session))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    for call in calls:\n"
        "        try: call()\n"
        "        except Closed as error: print(error, flush=True)\n"
        "    session.close()\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "session.send(Text('parent')); print(session.receive(10).text, flush=True); session.close()\n"
    )
    program = instance.start_program([sys.executable, "-c", code], instance.environ)
    out, _ = program.communicate(timeout=PATIENCE_S)
    *refused, last = out.splitlines()
    assert len(refused) == 5
    assert all("before a fork: open one in each process" in line for line in refused)
    assert last == "parent"
