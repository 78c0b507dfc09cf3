"""What happens in the runtime directory wakes the loop at once, on a real file system; what only counts does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from reconciler.contract import files, lock
from reconciler.contract.paths import Paths
from reconciler.contract.watch import Change, Watch
from reconciler.controller import wake
from reconciler.controller.signs import Sign, Signs
from reconciler.stream import lease
from tests.support.place import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


CLIENT = """
import sys
from pathlib import Path
from reconciler.stream import lease
held = lease.ask(Path(sys.argv[1]), "voice")
print(held.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path) -> Paths:
    found = Paths("i", tmp_path / "state", tmp_path / "run")
    found.sessions.mkdir(parents=True)
    found.nodes.mkdir(parents=True)
    found.endpoints.mkdir(parents=True)
    return found


@pytest.fixture
def rings(place: Paths) -> Iterator[list[float]]:
    """Return the wake-ups so far, each with the wait until another."""
    found: list[float] = []
    stop = threading.Event()
    signs = Signs(place)

    def ring(*, again_s: float = 0.0, brief: bool = False) -> None:  # noqa: ARG001 - as the loop is asked
        found.append(again_s)

    watch = partial(wake.watch_runtime, signs.directories, ring, stop, read=signs.read)
    threads = wake.start(watch)
    eventually(lambda: found, within_s=10)  # its directories were new to it
    found.clear()
    yield found
    stop.set()
    threads[0].join(10)
    assert not threads[0].is_alive()


def _status(generation: str, sent: int = 0) -> str:
    return files.dump(files.Status("rc-i-1", generation, (files.SessionStatus("voice", "n", "ready", sent=sent),)))


def test_a_lease_wakes_when_it_comes_and_when_its_program_is_killed(place: Paths, rings: list[float]) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(place.sessions)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdout
    lease = place.sessions / client.stdout.readline().strip().rsplit("/", 1)[1]
    eventually(lambda: rings, within_s=10)
    assert lock.held(lease)
    rings.clear()
    os.kill(client.pid, signal.SIGKILL)
    client.communicate()
    eventually(lambda: wake.LOCK_LAG_S in rings, within_s=10)
    assert not lock.held(lease)


def test_a_node_that_appears_reports_and_ends_wakes(place: Paths, rings: list[float]) -> None:
    node = place.nodes / "rc-i-1"
    node.mkdir()
    eventually(lambda: rings, within_s=10)
    rings.clear()
    alive = os.open(node / "alive", os.O_RDWR | os.O_CREAT)
    eventually(lambda: rings, within_s=10)
    rings.clear()
    files.replace_text(node / "status.json", _status("one"))
    eventually(lambda: rings, within_s=10)
    rings.clear()
    os.close(alive)
    eventually(lambda: wake.LOCK_LAG_S in rings, within_s=10)


@pytest.mark.parametrize("name", ["assignments.json", "status.json"])
def test_what_is_damaged_in_place_is_a_reason_to_look(place: Paths, name: str) -> None:
    """Ours are renamed into place; a hand, or a disk, changes them where they lie."""
    path = place.nodes / "rc-i-1" / name
    path.parent.mkdir()
    files.replace_text(path, _status("one"))
    signs = Signs(place)
    with closing(Watch(*signs.directories())) as watch:
        path.write_bytes(b"dam\xff")
        assert any(signs.read(change) for change in watch.wait(1))


def test_endpoints_that_go_or_are_damaged_in_place_are_a_reason_to_look_and_ours_that_come_are_none(
    place: Paths,
) -> None:
    path = place.endpoints / "voice.json"
    signs = Signs(place)

    def told() -> Sign:
        changes: list[Change] = []
        while found := watch.wait(0.1):
            changes += found
        return max(map(signs.read, changes))

    with closing(Watch(*signs.directories())) as watch:
        for text in ("whole", "whole again"):
            files.replace_text(path, text)
            assert told() == Sign.NOTHING
        path.write_text("damaged")
        assert told() == Sign.ANYTHING
        path.unlink()
        assert told() == Sign.ANYTHING


def test_counters_and_half_written_files_are_no_news(place: Paths) -> None:
    node = place.nodes / "rc-i-1"
    node.mkdir()
    signs = Signs(place)
    with closing(Watch(*signs.directories())) as watch:
        for sent in range(3):
            files.replace_text(node / "status.json", _status("one", sent))
            assert any(signs.read(change) for change in watch.wait(1)) == (not sent)
        files.replace_text(node / "status.json", _status("two"))
        assert any(signs.read(change) for change in watch.wait(1))


def test_what_a_status_said_before_is_no_news(place: Paths) -> None:
    """A controller that starts beside a hundred nodes must not make a pass for the first counters of each."""
    node = place.nodes / "rc-i-1"
    node.mkdir()
    files.replace_text(node / "status.json", _status("one"))
    signs = Signs(place)
    with closing(Watch(*signs.directories())) as watch:
        files.replace_text(node / "status.json", _status("one", 1))
        assert not any(signs.read(change) for change in watch.wait(1))
        files.replace_text(node / "status.json", _status("two", 1))
        assert any(signs.read(change) for change in watch.wait(1))


def test_a_lease_and_what_a_node_says_of_it_tell_of_sessions_alone(place: Paths) -> None:
    """They are what a brief pass is for. The end of either is not, nor is what a node says of itself."""
    node = place.nodes / "rc-i-1"
    node.mkdir()
    files.replace_text(node / "status.json", _status("one"))
    signs = Signs(place)

    def told(watch: Watch) -> Sign:
        return max(signs.read(change) for change in watch.wait(1))

    with closing(Watch(*signs.directories())) as watch:
        held = lease.ask(place.sessions, "voice")
        assert told(watch) == Sign.SESSIONS
        files.replace_text(node / "status.json", _status("two"))
        assert told(watch) == Sign.SESSIONS
        files.replace_text(node / "status.json", files.dump(files.Status("rc-i-1", "two", error="no room")))
        assert told(watch) == Sign.ANYTHING
        held.release()
        assert told(watch) == Sign.ANYTHING


def test_what_the_controller_writes_itself_is_no_news(place: Paths) -> None:
    node = place.nodes / "rc-i-1"
    node.mkdir()
    signs = Signs(place)
    with closing(Watch(*signs.directories())) as watch:
        files.replace_text(node / "assignments.json", _status("one"))
        assert not any(signs.read(change) for change in watch.wait(1))
        (node / "edited").write_text("by hand")
        watch.wait(1)
        (node / "edited").rename(node / "assignments.json")
        assert any(signs.read(change) for change in watch.wait(1))


def test_events_that_were_lost_are_a_reason_to_look(place: Paths) -> None:
    assert Signs(place).read(Change("", "", closed=False, folder=False))


def test_a_directory_that_is_replaced_is_watched_anew(tmp_path: Path) -> None:
    place = tmp_path / "one"
    place.mkdir()
    with closing(Watch(place)) as watch:
        place.rename(tmp_path / "old")
        place.mkdir()
        watch.wait(0)
        (place / "new").write_text("")
        assert {change.name for change in watch.wait(1)} == {"new"}
        (tmp_path / "old" / "x").write_text("")
        assert watch.wait(0) == []


def test_where_the_kernel_has_no_watch_left_a_wait_is_short_and_one_is_taken_when_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user has 128 of them on most machines, whoever else takes them."""

    class NoneLeft:
        def __getattr__(self, name: str) -> object:
            return lambda *_: -1

    with monkeypatch.context() as gone:
        gone.setattr("reconciler.contract.watch._LIBC", NoneLeft())
        watch = Watch(tmp_path)
        began = time.monotonic()
        assert watch.wait(1) == []
        assert time.monotonic() - began < 0.5
    with closing(watch):
        watch.wait(0)
        (tmp_path / "x").write_text("")
        assert {change.name for change in watch.wait(1)} == {"x"}


def test_what_is_not_followed_any_more_is_silent(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with closing(Watch(one)) as watch:
        assert watch.follow([two])
        assert not watch.follow([two])
        (one / "x").write_text("")
        (two / "y").write_text("")
        assert {change.name for change in watch.wait(1)} == {"y"}
