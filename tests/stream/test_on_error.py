"""What `onError` says about a frame on which a node raises, and about one on which it hangs."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.contract import exits
from reconciler.contract.files import FAIL, RESTART, SKIP, Channel, Endpoints
from reconciler.stream import Error, NodeFailed, Session, Text
from reconciler.stream.inbox import Inbox
from reconciler.stream.subscriber import Subscriber
from tests.stream.test_crash import connect, fill
from tests.support.instance import PATIENCE_S, chain

if TYPE_CHECKING:
    from reconciler.contract.files import Served
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"
STALL_S = 0.3
FIRST = "one: ValueError(try 1) on 1"


class Stand:
    """One node, with what its manifest says of errors, and one that passes on after it."""

    def __init__(self, instance: Instance, kind: str, on_error: str) -> None:
        self.instance, self.kind = instance, kind
        (first, second), ends = chain("voice", "one", "two", buffer=8)
        self.served: Served = replace(first, on_error=on_error, stall_timeout_s=STALL_S)
        instance.assign("one", self.served)
        instance.assign("two", second)
        self.program = self.start()
        instance.start_node("plain:Pass", NODES, node="two")
        instance.await_ready("one", "voice")
        instance.await_ready("two", "voice")
        instance.publish(ends)

    def start(self) -> subprocess.Popen[str]:
        """Start the node, as a controller would after it has ended."""
        self.program = self.instance.start_node(f"plain:{self.kind}", NODES, node="one")
        return self.program


def revive(stand: Stand, times: int) -> list[str]:
    """Start the node again each time it has stalled; return what it said of itself."""
    told = []
    for _ in range(times):
        assert stand.program.wait(PATIENCE_S) == exits.STALLED
        status = stand.instance.status("one")
        assert status is not None
        told.append(status.error)
        stand.start()
    return told


def open_quiet(instance: Instance) -> Session:
    return Session.open(
        "voice", instance=instance.paths.instance, runtime_dir=str(instance.directory), raise_errors=False
    )


def said(session: Session) -> list[str]:
    """Return all that comes until the stream ends, errors with what they say."""
    found = []
    while (frame := session.receive(PATIENCE_S)) is not None:
        if isinstance(frame, Error):
            found.append(f"{frame.failed}: {frame.exception}({frame.message}) on {frame.frame_seq}")
        else:
            assert isinstance(frame, Text)
            found.append(frame.text)
    return found


@pytest.mark.parametrize(
    ("on_error", "came"),
    [
        (
            RESTART,
            ["a 1", "a.", "bad1 2", "bad1.", FIRST, "b 2", "b.", "bad2 3", "one: ValueError(try 2) on 3", "c 1", "c."],
        ),
        (
            SKIP,
            ["a 1", "a.", "bad1 2", FIRST, "b 3", "b.", "bad2 4", "one: ValueError(try 1) on 3", "c 5", "c."],
        ),
        (FAIL, ["a 1", "a.", "bad1 2", FIRST]),
    ],
)
def test_on_error_says_what_becomes_of_the_frame(instance: Instance, on_error: str, came: list[str]) -> None:
    Stand(instance, "Moody", on_error)
    with open_quiet(instance) as session:
        for text in ("a", "bad1", "b", "bad2", "c"):
            session.send(Text(text))
        session.end()
        assert said(session) == came


def test_a_stream_that_failed_stays_so_and_the_next_one_does_not(instance: Instance) -> None:
    Stand(instance, "Moody", FAIL)
    with connect(instance) as session:
        session.send(Text("bad1"))
        assert session.receive(PATIENCE_S).text == "bad1 1"  # type: ignore[union-attr]
        for _ in range(2):
            with pytest.raises(
                NodeFailed, match=r"node one raised ValueError on frame 0: try 1; the stream has failed"
            ) as caught:
                session.receive(PATIENCE_S)
            assert caught.value.fatal
        with pytest.raises(NodeFailed, match="open a new session"):
            session.send(Text("a"))
        status = instance.await_status("one", lambda status: status.sessions[0].state == "erring")
        assert "the stream has failed (onError: Fail)" in status.sessions[0].message
    with open_quiet(instance) as session:
        session.send(Text("a"))
        session.end()
        assert said(session) == ["a 1", "a."]
    instance.await_ready("one", "voice")


def test_a_frame_that_hangs_is_told_and_passed_over(instance: Instance) -> None:
    stand = Stand(instance, "Hang", SKIP)
    with open_quiet(instance) as session:
        for text in ("a", "hang", "b"):
            session.send(Text(text))
        session.end()
        assert stand.program.wait(PATIENCE_S) == exits.STALLED
        status = instance.status("one")
        assert status is not None
        assert "node one hangs in session voice: process() has given nothing back for 0.3 s on frame 1" in status.error
        assert "in process" in instance.log(stand.program)
        stand.start()
        assert said(session) == ["a", "one: Stalled(process() has given nothing back for 0.3 s) on 1", "b"]


def test_a_frame_that_hangs_is_tried_once_more_and_not_for_ever(instance: Instance) -> None:
    stand = Stand(instance, "Hang", RESTART)
    with open_quiet(instance) as session:
        for text in ("a", "hang", "b"):
            session.send(Text(text))
        session.end()
        with ThreadPoolExecutor() as beside:
            fates = beside.submit(revive, stand, 2)
            found = said(session)
    assert [fate.rpartition(", which ")[2] for fate in fates.result()] == ["is tried once more", "is passed over"]
    assert found == ["a", *["one: Stalled(process() has given nothing back for 0.3 s) on 1"] * 2, "b"]


def test_a_frame_that_hangs_ends_the_stream_where_that_is_asked_for(instance: Instance) -> None:
    stand = Stand(instance, "Hang", FAIL)
    with connect(instance) as session:
        session.send(Text("hang"))
        with pytest.raises(NodeFailed, match="node one raised Stalled on frame 0") as caught:
            session.receive(PATIENCE_S)
    assert caught.value.fatal
    assert stand.program.wait(PATIENCE_S) == exits.STALLED


def test_that_a_frame_hangs_is_told_by_each_output_though_one_has_no_room(instance: Instance) -> None:
    (served, _), _ = chain("voice", "one", "two")
    full = Channel("voice_one_output", "one", buffer=1, subscribers=3, readers=("two",))
    free = Channel("voice_one_right", "one", "right", subscribers=3, readers=("",))
    served = replace(served, outputs=(full, free), on_error=SKIP, stall_timeout_s=STALL_S)
    instance.assign("one", served)
    program = instance.start_node("plain:Hang", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(Endpoints("voice", "voice", ready=True, inputs=served.inputs, outputs=(free,)))
    domain = instance.domain()
    slow = Subscriber(domain, full, "two")
    with connect(instance) as session:
        session.send(Text("kept in hand"))
        session.send(Text("hang"))
        taken = Inbox([slow])
        while taken.take() is None:
            taken.wait(1.0)
        with pytest.raises(NodeFailed, match="node one raised Stalled on frame 1"):
            session.receive(PATIENCE_S)
    taken.close()
    domain.close()
    assert program.wait(PATIENCE_S) == exits.STALLED


def test_waiting_for_a_slow_reader_is_no_hanging(instance: Instance) -> None:
    stand = Stand(instance, "Pass", SKIP)
    with open_quiet(instance) as session:
        sent = [*fill(session), *fill(session), *fill(session)]
        assert len(sent) > 8
        session.receive(PATIENCE_S)
        received = [session.receive(PATIENCE_S) for _ in sent[1:]]
    assert all(isinstance(frame, Text) for frame in received)
    assert stand.program.poll() is None


def test_what_holds_the_interpreter_s_lock_ends_the_process_too() -> None:
    code = (
        "import re, types\n"
        "from reconciler.node import stall\n"
        "stall.WATCHDOG_S = 0.2\n"
        "stall.guard([types.SimpleNamespace(stalls_in_s=lambda: 0.1)])\n"
        "re.match(r'(a+)+$', 'a' * 60 + 'b')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "re" in ended.stderr
