"""Signals, cancelling and threads in the middle of a call: it ends, the session is given back, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.stream import Closed, Session, Tensor, Text, TimedOut, publisher
from tests.stream.test_crash import connect
from tests.stream.test_keeper import Interrupt, one_interrupted
from tests.support.instance import PATIENCE_S, chain

if TYPE_CHECKING:
    from reconciler.stream import Frame
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"

SYNC = """\
import signal, sys
from reconciler.stream import Session, Text
signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
try:
    with Session.open('voice') as session:
        print('open', flush=True)
        {call}
except (KeyboardInterrupt, SystemExit) as error:
    print(type(error).__name__, flush=True)
"""
ASYNC = """\
import asyncio, signal, sys
from reconciler.stream import Session, Text
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with Session.open('voice') as session:
        print('open', flush=True)
        {call}
try:
    asyncio.run(main())
except (KeyboardInterrupt, asyncio.CancelledError) as error:
    print(type(error).__name__, flush=True)
"""
CALLS = (
    (SYNC, "session.receive()", {signal.SIGINT: "KeyboardInterrupt", signal.SIGTERM: "SystemExit"}),
    (SYNC, "list(session)", {signal.SIGINT: "KeyboardInterrupt"}),
    (
        SYNC,
        "while True: session.send(Text('x'), timeout_s=60)",
        {signal.SIGINT: "KeyboardInterrupt", signal.SIGTERM: "SystemExit"},
    ),
    (ASYNC, "await session.receive_async()", {signal.SIGINT: "KeyboardInterrupt", signal.SIGTERM: "CancelledError"}),
    (ASYNC, "print([frame async for frame in session])", {signal.SIGINT: "KeyboardInterrupt"}),
    (ASYNC, "while True: await session.send_async(Text('x'), timeout_s=60)", {signal.SIGTERM: "CancelledError"}),
)


def stand(instance: Instance) -> None:
    """Stand up a node that passes on."""
    served, ends = chain("voice", "one", buffer=4)
    instance.assign("one", *served)
    instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)


def test_a_signal_ends_any_call_and_gives_the_session_back(instance: Instance) -> None:
    """Each program is in the middle of its call when the signal comes; the next one finds the session free."""
    stand(instance)
    for frame, call, outcomes in CALLS:
        for number, outcome in outcomes.items():
            program = instance.start_program([sys.executable, "-c", frame.format(call=call)], instance.environ)
            assert program.stdout is not None
            assert program.stdout.readline() == "open\n", instance.log(program)
            program.send_signal(number)
            said, _ = program.communicate(timeout=PATIENCE_S)
            assert said == f"{outcome}\n", (call, number, instance.log(program))
            assert instance.log(program) == ""
    with connect(instance) as session:
        session.send(Text("after"))
        assert session.receive(PATIENCE_S).text == "after"  # type: ignore[union-attr]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_end_that_was_interrupted_is_sent_once(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    stand(instance)
    with connect(instance) as session:
        session.send(Text("x"))
        link = session._need()
        with monkeypatch.context() as handler:
            handler.setattr(publisher, "_INITIALIZED", one_interrupted(after=after))
            with pytest.raises(Interrupt):
                session.end()
        session.end()
        session.end()
        assert [end.sent for end in link._publishers] == [2]
        assert [frame.text for frame in session if isinstance(frame, Text)] == ["x"]


def test_iteration_gives_up_when_nothing_comes_in_time_and_goes_on_after_that(instance: Instance) -> None:
    stand(instance)
    seen: list[str] = []

    def note(frame: Frame) -> None:
        assert isinstance(frame, Text)
        seen.append(frame.text)

    def iterate(session: Session) -> None:
        for frame in session:
            note(frame)

    async def iterate_async(session: Session) -> None:
        async for frame in session:
            note(frame)

    with connect(instance, receive_timeout_s=0.3) as session:
        session.send(Text("a"))
        with pytest.raises(TimedOut, match=r"nothing came within 0\.3 s"):
            iterate(session)
        session.send(Text("b"))
        with pytest.raises(TimedOut, match=r"nothing came within 0\.3 s"):
            asyncio.run(iterate_async(session))
        begun = time.monotonic()
        with pytest.raises(TimedOut, match=r"within 0\.6 s"):
            session.receive(0.6)
        assert time.monotonic() - begun > 0.5, "receive has its own limit"
        session.send(Text("c"))
        session.end()
        iterate(session)
    assert seen == ["a", "b", "c"]


def test_cancelling_a_receive_loses_nothing(instance: Instance) -> None:
    stand(instance)

    async def run() -> list[str]:
        texts: list[str] = []
        async with connect(instance) as session:
            for number in range(20):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(session.receive_async(), 0.001)
                await session.send_async(Text(str(number)))
                frame = await session.receive_async(PATIENCE_S)
                assert isinstance(frame, Text)
                texts.append(frame.text)
        return texts

    assert asyncio.run(run()) == [str(number) for number in range(20)]


def test_threads_take_turns_and_each_frame_goes_to_one(instance: Instance) -> None:
    """Two send, three receive; what was sent arrives once, and each sender's frames in their order."""
    stand(instance)
    got: list[list[str]] = [[], [], []]
    with connect(instance) as session:
        senders = [threading.Thread(target=_send, args=(session, name)) for name in "ab"]
        receivers = [threading.Thread(target=_receive, args=(session, mine)) for mine in got]
        for thread in (*senders, *receivers):
            thread.start()
        for thread in senders:
            thread.join()
        session.end()
        for thread in receivers:
            thread.join()
    sent = [f"{name}{number:03}" for name in "ab" for number in range(200)]
    assert sorted(text for mine in got for text in mine) == sent
    for mine in got:
        for name in "ab":
            own = [text for text in mine if text.startswith(name)]
            assert own == sorted(own)


def _send(session: Session, name: str) -> None:
    for number in range(200):
        session.send(Text(f"{name}{number:03}"), timeout_s=PATIENCE_S)


def _receive(session: Session, into: list[str]) -> None:
    while (frame := session.receive(PATIENCE_S)) is not None:
        assert isinstance(frame, Text)
        into.append(frame.text)


def test_closing_ends_a_call_in_another_thread(instance: Instance) -> None:
    stand(instance)
    session = connect(instance)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            session.receive()
        except Closed as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    with pytest.raises(TimedOut):
        session.receive(0.2)
    session.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert "open a new one" in str(raised[0])


def test_a_closed_session_says_so_whatever_is_called(instance: Instance) -> None:
    stand(instance)
    session = connect(instance)
    session.end()
    session.end()
    with pytest.raises(Closed, match=r"nothing can be sent after end\(\): open a new session"):
        session.send(Text("late"))
    assert session.receive(PATIENCE_S) is None
    assert session.receive(PATIENCE_S) is None, "the end stays the end"
    session.close()
    session.close()
    calls = (
        lambda: session.send(Text("late")),
        lambda: session.reserve(Tensor, (2,)),
        lambda: session.receive(PATIENCE_S),
        lambda: next(iter(session)),
        lambda: asyncio.run(session.receive_async(PATIENCE_S)),
        session.connect,
    )
    for call in calls:
        with pytest.raises(Closed, match="open a new"):
            call()
    with connect(instance) as again:
        again.send(Text("next"))
        assert again.receive(PATIENCE_S).text == "next"  # type: ignore[union-attr]


FORKED = """\
import multiprocessing, os, sys
import numpy as np
from reconciler.stream import Session, Tensor
session = Session.open('voice')
session.send(Tensor(np.full(5000, 7))); kept = session.receive(10).array
def child(): pass
process = multiprocessing.get_context('fork').Process(target=child)
process.start(); process.join()
if os.fork() == 0:
    sys.exit(0)
os.wait()
for number in range(100):
    session.send(Tensor(np.full(5000, number)))
    assert (session.receive(10).array == number).all()
assert (kept == 7).all()
session.close()
print('whole', flush=True)
"""


def test_a_fork_that_ends_in_good_order_takes_nothing_from_its_parent(instance: Instance) -> None:
    stand(instance)
    program = instance.start_program([sys.executable, "-c", FORKED], instance.environ)
    said, _ = program.communicate(timeout=PATIENCE_S)
    assert said == "whole\n", instance.log(program)
