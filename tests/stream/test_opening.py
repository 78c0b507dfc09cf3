"""Opening a session: leases, what the controller answers, and what is said when there is none."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.contract import files, lock, names
from reconciler.node.graph import Graph
from reconciler.stream import PipelineNotFound, Session, SessionNotFound, SessionNotReady, Text
from reconciler.stream.channel import Domain
from reconciler.stream.ends import Ends
from tests.support.instance import PATIENCE_S, chain
from tests.support.place import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.stream.channel import Services
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"


class Controller:
    """Holds the controller's lock and answers leases by hand."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._file = instance.paths.controller.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def leases(self) -> list[files.Lease]:
        """Return the leases that are held."""
        found = [path for path in self.instance.paths.sessions.glob("*.json") if lock.held(path)]
        read = [files.parse_lease(path.read_text()) for path in found]
        return [lease for lease in read if lease is not None]

    def await_lease(self) -> files.Lease:
        """Wait for one."""
        deadline = time.monotonic() + PATIENCE_S
        while not (leases := self.leases()):
            assert time.monotonic() < deadline
        return leases[0]

    def close(self) -> None:
        """Let go."""
        self._file.close()


def test_a_program_of_another_user_is_told_why_it_would_hear_nothing(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(SessionNotReady, match=f"belongs to user {me}, and this program runs as user {me + 1}"):
        Session.open("echo", instance=instance.paths.instance, runtime_dir=str(instance.directory))


@pytest.fixture
def controller(instance: Instance) -> Iterator[Controller]:
    answering = Controller(instance)
    yield answering
    answering.close()


def connect(instance: Instance, pipeline: str = "voice", **options: object) -> Session:
    return Session.open(pipeline, instance=instance.paths.instance, runtime_dir=str(instance.directory), **options)


def test_a_controller_makes_a_session_for_the_program(instance: Instance, controller: Controller) -> None:
    def serve() -> None:
        lease = controller.await_lease()
        served, ends = chain(lease.session, "one", pipeline="voice")
        instance.publish(replace(ends, ready=False, reason="Starting"))
        instance.assign("one", *served)
        instance.start_node("plain:Pass", NODES, node="one")
        instance.await_ready("one", lease.session)
        instance.publish(ends)

    thread = threading.Thread(target=serve)
    thread.start()
    with connect(instance) as session:
        assert names.NAME.fullmatch(session.name)
        assert session.name.startswith("voice-")
        assert [(lease.session, lease.pipeline) for lease in controller.leases()] == [(session.name, "voice")]
        session.send(Text("x"))
        session.end()
        assert len(list(session)) == 1
    thread.join()
    assert list(instance.paths.sessions.iterdir()) == []


def _open_here(instance: Instance) -> set[str]:
    """Return the channels that somebody has open."""
    _, services = instance.shm.look()
    return {service.name for service in services if service.nodes}


def test_ends_are_opened_while_the_nodes_still_get_ready(instance: Instance, controller: Controller) -> None:
    opened: list[set[str]] = []

    def serve() -> None:
        lease = controller.await_lease()
        served, ends = chain(lease.session, "one", pipeline="voice")
        instance.publish(replace(ends, ready=False, reason="Starting"))
        channels = {channel.name for channel in (*ends.inputs, *ends.outputs)}
        eventually(lambda: _open_here(instance) >= channels, within_s=PATIENCE_S)
        opened.append(channels)
        instance.assign("one", *served)
        instance.start_node("plain:Pass", NODES, node="one")
        instance.await_ready("one", lease.session)
        instance.publish(ends)

    thread = threading.Thread(target=serve)
    thread.start()
    with connect(instance) as session:
        session.send(Text("x"))
        session.end()
        assert len(list(session)) == 1
    thread.join()
    assert opened


def test_program_and_node_begin_with_other_channels(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """They open at the same time, and iceoryx2 lets the second wait for long where both make the same one."""
    opened: list[str] = []

    def watched(domain: Domain, channel: files.Channel, real: Any = Domain.open) -> Services:
        opened.append(channel.node)
        return real(domain, channel)

    monkeypatch.setattr(Domain, "open", watched)
    served, ends = chain("s", "pass")
    program, node = instance.domain("program"), instance.domain("node")
    Ends(program, ends).close()
    Graph(node, served[0], running=lambda: True, log=logging.getLogger("node")).close()
    node.close()
    assert opened == ["", "pass", "pass", ""]


def test_ends_that_changed_until_the_session_was_ready_are_those_told_last(
    instance: Instance, controller: Controller
) -> None:
    """As when the manifest is edited meanwhile; nothing of the first ones stays."""

    def serve() -> None:
        lease = controller.await_lease()
        _, before = chain(lease.session, "zero", pipeline="voice")
        instance.publish(replace(before, ready=False, reason="Starting"))
        channels = {channel.name for channel in (*before.inputs, *before.outputs)}
        eventually(lambda: _open_here(instance) >= channels, within_s=PATIENCE_S)
        served, ends = chain(lease.session, "one", pipeline="voice")
        instance.assign("one", *served)
        instance.start_node("plain:Pass", NODES, node="one")
        instance.await_ready("one", lease.session)
        instance.publish(ends)

    thread = threading.Thread(target=serve)
    thread.start()
    with connect(instance) as session:
        session.send(Text("x"))
        session.end()
        assert len(list(session)) == 1
        assert not [name for name in _open_here(instance) if "_zero_" in name]
    thread.join()


def test_ends_that_were_opened_for_a_session_that_never_is_ready_are_closed(
    instance: Instance, controller: Controller
) -> None:
    def serve() -> None:
        lease = controller.await_lease()
        _, ends = chain(lease.session, "one", pipeline="voice")
        instance.publish(replace(ends, ready=False, reason="Starting"))

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(SessionNotReady):
        connect(instance, timeout_s=2.0)
    thread.join()
    assert _open_here(instance) == set()
    assert list(instance.paths.sessions.iterdir()) == []


def test_a_pipeline_that_is_not_wanted_is_not_found(instance: Instance, controller: Controller) -> None:
    def refuse() -> None:
        lease = controller.await_lease()
        instance.publish(files.Endpoints(lease.session, "voice", reason="PipelineNotFound", message="no voice here"))

    thread = threading.Thread(target=refuse)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(PipelineNotFound, match="no voice here"):
        connect(instance)
    assert time.monotonic() - begun < 5
    thread.join()
    assert list(instance.paths.sessions.iterdir()) == []


def test_what_keeps_a_session_from_being_ready_is_said(instance: Instance, controller: Controller) -> None:
    def hesitate() -> None:
        lease = controller.await_lease()
        instance.publish(
            files.Endpoints(lease.session, "voice", reason="BuildFailed", message="words: no such package")
        )

    thread = threading.Thread(target=hesitate)
    thread.start()
    with pytest.raises(SessionNotReady, match="not ready after 2 s: BuildFailed: words: no such package"):
        connect(instance, timeout_s=2.0)
    thread.join()
    assert list(instance.paths.sessions.iterdir()) == []


def test_a_session_of_a_name_that_nobody_declared_is_no_new_one(instance: Instance, controller: Controller) -> None:
    for name, pipeline in (("desk", "voice"), ("voice", "voice"), ("other", "echo"), ("voice-1-1", "voice")):
        instance.publish(files.Endpoints(name, pipeline, ready=True))
    (instance.paths.sessions / "voice-1-1.json").touch()  # a program's own
    with pytest.raises(SessionNotFound, match=r"no session desc of pipeline voice .* \(there are: desk, voice\)"):
        connect(instance, session="desc", timeout_s=0.2)
    assert controller.leases() == []


def test_without_a_controller_sessions_that_stand_are_named_too(instance: Instance) -> None:
    with pytest.raises(SessionNotFound, match="no controller runs there"):
        connect(instance, session="desc")
    instance.publish(files.Endpoints("desk", "voice", ready=True))
    with pytest.raises(SessionNotFound, match=r"\(there are: desk\)"):
        connect(instance, session="desc")


@pytest.mark.usefixtures("controller")
def test_a_session_that_was_declared_just_now_is_waited_for(instance: Instance) -> None:
    threading.Timer(0.2, lambda: instance.publish(files.Endpoints("desk", "voice", reason="Starting"))).start()
    with pytest.raises(SessionNotReady, match=r"not ready after 1 s: Starting"):
        connect(instance, session="desk", timeout_s=1.0)


def test_a_controller_that_does_not_answer_is_named(instance: Instance, controller: Controller) -> None:
    with pytest.raises(SessionNotReady, match="no answer from the controller"):
        connect(instance, timeout_s=0.2)
    assert controller.leases() == []


@pytest.mark.parametrize("name", ["", "../echo", "Echo", "a" * 64, "echo\n"])
def test_a_name_that_none_can_have_is_refused_at_once(instance: Instance, controller: Controller, name: str) -> None:
    """Nothing is written: a name becomes part of a path."""
    del controller
    with pytest.raises(ValueError, match=r"pipeline name .* must be lower-case letters"):
        connect(instance, name)
    with pytest.raises(ValueError, match=r"session name .* must be lower-case letters"):
        connect(instance, session=name)
    assert list(instance.paths.sessions.iterdir()) == []


def test_without_controller_and_session_the_message_says_what_to_run(instance: Instance) -> None:
    with pytest.raises(SessionNotReady, match="reconcile --once -f DIR"):
        connect(instance)


def test_a_lease_goes_with_its_program_however_that_ends(instance: Instance, controller: Controller) -> None:
    code = "from reconciler.stream import Session; Session.open('voice', timeout_s=60)"
    program = instance.start_program([sys.executable, "-c", code], instance.environ)
    lease = controller.await_lease()
    assert lease.pid == program.pid
    eventually(lambda: instance.shm.look()[0], within_s=PATIENCE_S)  # what is killed before leaves half a node
    program.send_signal(signal.SIGKILL)
    program.wait()
    assert controller.leases() == []


def test_many_sessions_of_one_program_have_names_of_their_own(instance: Instance, controller: Controller) -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            connect(instance, "a" * 63, timeout_s=PATIENCE_S)
        except PipelineNotFound as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while len(leases := controller.leases()) < 5:
        assert time.monotonic() < deadline
    assert len({lease.session for lease in leases}) == 5
    assert all(names.NAME.fullmatch(lease.session) for lease in leases)
    for lease in leases:  # all have asked by now, however long that took
        instance.publish(files.Endpoints(lease.session, lease.pipeline, reason="PipelineNotFound"))
    for thread in threads:
        thread.join()
    assert len(failures) == 5


def test_ctrl_c_ends_a_program_that_waits_and_its_lease_is_gone(instance: Instance) -> None:
    served, ends = chain("voice", "one")
    instance.assign("one", *served)
    instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)
    code = (
        "from reconciler.stream import Session\n"
        "with Session.open('voice') as session:\n"
        "    try:\n"
        "        print('waiting', flush=True)\n"
        "        session.receive()\n"
        "    except KeyboardInterrupt: print('interrupted', flush=True)\n"
    )
    program = instance.start_program([sys.executable, "-c", code], instance.environ)
    assert program.stdout is not None
    assert program.stdout.readline() == "waiting\n"
    program.send_signal(signal.SIGINT)
    assert program.stdout.readline() == "interrupted\n"
    assert program.wait(PATIENCE_S) == 0
    assert list(instance.paths.sessions.iterdir()) == []
