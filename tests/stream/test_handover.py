"""BY-04, the data plane's side: while a stream flows, instances of its nodes are replaced, and not a frame is felt."""

from __future__ import annotations

import functools
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.stream import Session, Text
from tests.stream.test_crash import connect, fill
from tests.support.instance import PATIENCE_S, chain, with_params

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.contract.files import Served, Status
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"
NAMES = ("one", "two", "three")


class Chain:
    """Three nodes in a row, each in an instance of its own, which is replaced by another one with another mark."""

    def __init__(self, instance: Instance, *, buffer: int = 4) -> None:
        self.instance = instance
        self._served, ends = chain("voice", *NAMES, buffer=buffer)
        self.versions = dict.fromkeys(NAMES, 0)
        self.programs = {name: self._start(name) for name in NAMES}
        for name in NAMES:
            instance.await_ready(self.name(name), "voice")
        instance.publish(ends)

    def name(self, node: str) -> str:
        """Name the instance that serves a node now."""
        return f"{node}-{self.versions[node]}"

    def served(self, node: str) -> Served:
        """Return what an instance of a node serves; nodes but the second pass on."""
        return with_params(self._served[NAMES.index(node)], f'{{"mark": "{self.versions[node] % 10}"}}')

    def replace(self, *nodes: str) -> None:
        """Replace instances as a controller does: all new ones get ready, then all old ones leave."""
        old = {node: (self.name(node), self.served(node), self.programs[node]) for node in nodes}
        for node in nodes:
            self.versions[node] += 1
            self.programs[node] = self._start(node)
        for node in nodes:
            self.instance.await_status(
                self.name(node), lambda status: {"waiting"} == {s.state for s in status.sessions}
            )
        told = {name: self.instance.assign(name, leaving=(served,)) for name, served, _ in old.values()}
        for name, _, program in old.values():
            self.instance.await_left(name, told[name])
            assert self.instance.end(program) == 0
        for node in nodes:
            self.instance.await_ready(self.name(node), "voice")

    def second(self, node: str):  # noqa: ANN201 - a program
        """Start the second instance of a node, and wait until it waits for the first to leave."""
        self.versions[node] = 1
        program = self._start(node)
        self.instance.await_status(self.name(node), is_waiting)
        return program

    def _start(self, node: str):  # noqa: ANN202 - a program
        self.instance.assign(self.name(node), self.served(node))
        kind = "Stamp" if node == "two" else "Pass"
        return self.instance.start_node(f"plain:{kind}", NODES, node=self.name(node))


@pytest.fixture
def standing(instance: Instance) -> Chain:
    return Chain(instance)


def run(session: Session, standing: Chain, turns: Iterator[tuple[str, ...]]) -> list[str]:
    """Stream as fast as it goes until nothing is left to replace, and a frame longer; return the texts that came."""
    done = threading.Event()
    failed: list[BaseException] = []

    def send() -> None:
        try:
            number, over = 0, False
            while not over:
                over = done.is_set()  # asked before it is sent, so that the last one is for the last version
                session.send(Text(f"{number}"), timeout_s=PATIENCE_S)
                number += 1
            session.end()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failed.append(error)

    def replace() -> None:
        try:
            for turn in turns:
                standing.replace(*turn)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failed.append(error)
        done.set()

    threads = [threading.Thread(target=send), threading.Thread(target=replace)]
    for thread in threads:
        thread.start()
    texts = []
    while (frame := session.receive(PATIENCE_S)) is not None:
        assert isinstance(frame, Text)
        texts.append(frame.text)
    for thread in threads:
        thread.join()
    assert failed == []
    return texts


def texts_of(session: Session, count: int) -> list[str]:
    """Receive so many texts."""
    return [frame.text for _ in range(count) if isinstance(frame := session.receive(PATIENCE_S), Text)]


def is_ready(status: Status, *, generation: str) -> bool:
    """Whether an instance serves its one session as it was told."""
    return status.generation == generation and [each.state for each in status.sessions] == ["ready"]


def is_waiting(status: Status) -> bool:
    """Whether an instance has got ready for its session, but for its seat."""
    return [each.state for each in status.sessions] == ["waiting"]


def assert_whole(texts: list[str]) -> None:
    """Each frame gave two, in order; the marks tell which version gave the first of them."""
    assert len(texts) > 10
    assert [text.rstrip(".") for text in texts[1::2]] == [str(number) for number in range(len(texts) // 2)]
    assert [text[:-1] for text in texts[::2]] == [str(number) for number in range(len(texts) // 2)]


@pytest.mark.parametrize("turns", [[("two",), ("one",), ("three",)], [NAMES, NAMES]])
def test_new_versions_take_over_while_frames_flow_and_nothing_is_lost_or_doubled(
    standing: Chain, turns: list[tuple[str, ...]]
) -> None:
    with connect(standing.instance) as session:
        texts = run(session, standing, iter(turns))
    assert_whole(texts)
    assert {text[-1] for text in texts[::2]} == {str(mark) for mark in range(1 + standing.versions["two"])}


def test_what_a_full_pipeline_holds_outlives_all_of_its_nodes(standing: Chain) -> None:
    """Nobody receives when the handover begins, so every queue is full; it ends when somebody does."""
    with connect(standing.instance) as session:
        session.send(Text("first"))
        sent = ["first", *fill(session)]
        replacing = threading.Thread(target=standing.replace, args=NAMES)
        replacing.start()
        texts = [frame.text for _ in range(2 * len(sent)) if isinstance(frame := session.receive(PATIENCE_S), Text)]
        replacing.join()
        session.send(Text("last"))
        session.end()
        texts += [frame.text for frame in session if isinstance(frame, Text)]
    assert [text[:-1] for text in texts[::2]] == [*sent, "last"]
    assert texts[1::2] == [f"{text}." for text in [*sent, "last"]]
    assert texts[-2] == "last1"


def test_two_instances_never_serve_one_session(standing: Chain) -> None:
    """The second waits, ready to go on; when the first is killed, it goes on at once."""
    first = standing.programs["two"]
    with connect(standing.instance) as session:
        session.send(Text("a"))
        assert [session.receive(PATIENCE_S).text for _ in range(2)] == ["a0", "a."]  # type: ignore[union-attr]
        standing.versions["two"] = 1
        standing._start("two")
        status = standing.instance.await_status(
            "two-1", lambda status: any(s.state == "waiting" for s in status.sessions)
        )
        assert "another instance still serves" in status.sessions[0].message
        session.send(Text("b"))
        assert [session.receive(PATIENCE_S).text for _ in range(2)] == ["b0", "b."]  # type: ignore[union-attr]
        first.kill()
        session.send(Text("c"))
        assert [session.receive(PATIENCE_S).text for _ in range(2)] == ["c1", "c."]  # type: ignore[union-attr]


def test_an_instance_killed_while_it_leaves_loses_nothing(standing: Chain) -> None:
    """Its reader lives, so what it had sent is there; what it had not acknowledged comes to the new one."""
    first, served = standing.programs["two"], standing.served("two")
    with connect(standing.instance) as session:
        session.send(Text("first"))
        sent = ["first", *fill(session)]
        standing.second("two")
        generation = standing.instance.assign("two-0", leaving=(served,))
        standing.instance.await_status("two-0", lambda status: status.generation == generation)
        first.kill()
        standing.instance.await_ready("two-1", "voice")
        texts = [frame.text for _ in range(2 * len(sent)) if isinstance(frame := session.receive(PATIENCE_S), Text)]
    assert [text[:-1] for text in texts[::2]] == sent
    assert texts[1::2] == [f"{text}." for text in sent]


def test_the_old_one_serves_until_the_new_one_reads(standing: Chain) -> None:
    """What only the old one has read would be lost with its sender, so it goes on until the new one is there, too."""
    first, served, sender = standing.programs["two"], standing.served("two"), standing.programs["one"]
    with connect(standing.instance) as session:
        session.send(Text("a"))
        assert texts_of(session, 2) == ["a0", "a."]
        new = standing.second("two")
        new.send_signal(signal.SIGSTOP)
        try:
            told = standing.instance.assign("two-0", leaving=(served,))
            standing.instance.await_status("two-0", lambda status: status.generation == told)
            session.send(Text("b"))
            assert texts_of(session, 2) == ["b0", "b."]
            assert first.poll() is None
            sent = fill(session)
            sender.kill()
            sender.wait()
        finally:
            new.send_signal(signal.SIGCONT)
        standing._start("one")
        assert [text[:-1] for text in texts_of(session, 2 * len(sent))[::2]] == sent
        standing.instance.await_left("two-0", told)
        standing.instance.await_ready("two-1", "voice")
        session.send(Text("c"))
        assert texts_of(session, 2) == ["c1", "c."]


def test_a_third_version_gets_ready_while_the_second_one_waits(standing: Chain) -> None:
    """Nobody is told to leave before the last of them says so."""
    served = standing.served("two")
    with connect(standing.instance) as session:
        session.send(Text("a"))
        assert texts_of(session, 2) == ["a0", "a."]
        for version in (1, 2):
            standing.versions["two"] = version
            standing._start("two")
            standing.instance.await_status(f"two-{version}", is_waiting)
        sent = fill(session)
        told = [standing.instance.assign(f"two-{version}", leaving=(served,)) for version in (0, 1)]
        assert [text[:-1] for text in texts_of(session, 2 * len(sent))[::2]] == sent
        for version in (0, 1):
            standing.instance.await_left(f"two-{version}", told[version])
        standing.instance.await_ready("two-2", "voice")
        session.send(Text("b"))
        assert texts_of(session, 2) == ["b2", "b."]


@pytest.mark.parametrize("after_s", [0.0, 0.03, 0.06, 0.1, 0.15, 0.2])
def test_a_sender_killed_while_its_reader_is_replaced_loses_nothing(standing: Chain, after_s: float) -> None:
    served = standing.served("two")
    with connect(standing.instance) as session:
        session.send(Text("first"))
        sent = ["first", *fill(session)]
        standing.second("two")
        arrived: list[str] = []
        standing.instance.assign("two-0", leaving=(served,))
        receiving = threading.Thread(target=lambda: arrived.extend(texts_of(session, 2 * len(sent))))
        receiving.start()
        time.sleep(after_s)
        standing.programs["one"].kill()
        standing.programs["one"].wait()
        standing._start("one")
        receiving.join()
    assert [text[:-1] for text in arrived[::2]] == sent
    assert arrived[1::2] == [f"{text}." for text in sent]


def test_a_session_that_is_gone_is_left_at_once_whatever_it_holds(standing: Chain) -> None:
    served = standing.served("three")
    with connect(standing.instance) as session:
        fill(session)
        leaving = standing.instance.assign("three-0", leaving=(served,))
        status = standing.instance.await_status("three-0", lambda status: status.generation == leaving)
        assert [each.session for each in status.sessions] == ["voice"]
        standing.instance.await_left("three-0", standing.instance.assign("three-0"))


def test_new_parameters_lose_and_double_nothing(standing: Chain) -> None:
    """The instance stays; its session gets a new node object in the middle of the stream."""

    def marks() -> Iterator[tuple[str, ...]]:
        for _ in range(3):
            standing.versions["two"] += 1
            told = standing.instance.assign("two-0", standing.served("two"))
            standing.instance.await_status("two-0", functools.partial(is_ready, generation=told))
            yield ()

    with connect(standing.instance) as session:
        texts = run(session, standing, marks())
    assert_whole(texts)
    assert texts[-2][-1] == "3"


def test_new_parameters_that_no_node_can_be_made_with_leave_the_old_one_serving(standing: Chain) -> None:
    bad = with_params(standing.served("two"), "{}")
    with connect(standing.instance) as session:
        standing.instance.assign("two-0", bad)
        status = standing.instance.await_status("two-0", lambda s: [each.state for each in s.sessions] == ["failed"])
        assert "KeyError: 'mark'" in status.sessions[0].message
        session.send(Text("a"))
        assert texts_of(session, 2) == ["a0", "a."]
        standing.versions["two"] += 1
        told = standing.instance.assign("two-0", standing.served("two"))
        standing.instance.await_status("two-0", functools.partial(is_ready, generation=told))
        session.send(Text("b"))
        assert texts_of(session, 2) == ["b1", "b."]
