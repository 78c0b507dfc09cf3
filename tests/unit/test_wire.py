"""Speaking to a local engine over its socket: whole answers count, all else is an engine that does not answer."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.engine.door import Door
from reconciler.engine.wire import Wire
from reconciler.model.errors import EngineError, EngineUnavailableError
from reconciler.model.instance import ContainerSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Serve = Callable[..., Wire]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a wire to an engine that gives one raw answer after the other, and notes what it was asked."""
    path = str(tmp_path / "engine.sock")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    threads: list[threading.Thread] = []

    def start(*answers: bytes, asked: list[str] | None = None) -> Wire:
        def answer() -> None:
            for raw in answers:
                connection, _ = listening.accept()
                with connection:
                    question = connection.recv(65_536).decode()
                    if asked is not None:
                        asked.append(question)
                    connection.sendall(raw)

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return Wire(path, timeout_s=5)

    yield start
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    listening.close()


def listed(wire: Wire, kind: str, **query: object) -> list[dict[str, Any]]:
    with wire.asked(kind, f"list {kind}", **query) as answer:
        return answer()


def _said(body: bytes, *, status: str = "200 OK", length: int | None = None, more: str = "") -> bytes:
    head = f"HTTP/1.0 {status}\r\n{more}Content-Length: {len(body) if length is None else length}\r\n\r\n"
    return head.encode() + body


def test_the_engine_s_own_version_is_spoken(serve: Serve) -> None:
    asked: list[str] = []
    wire = serve(_said(b"OK", more="Api-Version: 1.41\r\n"), _said(b'[{"Id": "a"}]'), asked=asked)
    wire.negotiate()
    assert listed(wire, "containers", all=1, filters={"label": ["x=y"]}) == [{"Id": "a"}]
    assert [each.split("\r\n", 1)[0] for each in asked] == [
        "GET /_ping HTTP/1.0",
        "GET /v1.41/containers/json?all=1&filters=%7B%22label%22%3A%20%5B%22x%3Dy%22%5D%7D HTTP/1.0",
    ]


def _up(how_long: str, name: str = "a") -> bytes:
    found = {"Id": name, "State": "running", "Status": f"Up {how_long}", "Names": [f"/{name}"]}
    return _said(json.dumps([found], separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("second", "same"),
    [
        (_up("5 minutes"), True),
        (_up("About an hour"), True),
        (_up("4 minutes (Paused)"), False),
        (_up("4 minutes", "b"), False),
    ],
)
def test_a_list_that_says_what_the_last_one_said_is_the_last_one(serve: Serve, second: bytes, *, same: bool) -> None:
    """What the engine says of how long a container runs is read by nobody."""
    wire = serve(_up("4 minutes"), second)
    first, other = listed(wire, "containers"), listed(wire, "containers")
    assert (first is other) == same


def test_lists_of_two_kinds_are_two(serve: Serve) -> None:
    wire = serve(_said(b"[]"), _said(b"[]"))
    assert listed(wire, "containers") is not listed(wire, "images")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.0 200 OK\r\n",
        b"nonsense\r\n\r\n[]",
        _said(b"[", length=2),
        b'HTTP/1.0 200 OK\r\n\r\n[{"Id": "a"}',
        _said(b"[]", length=3),
    ],
)
def test_what_is_cut_short_is_no_empty_list(serve: Serve, raw: bytes) -> None:
    with pytest.raises(EngineUnavailableError):
        listed(serve(raw), "containers")


def test_a_refusal_says_why_and_with_which_status(serve: Serve) -> None:
    with pytest.raises(EngineError, match=r"can't list images: no such thing \(status 500\)") as raised:
        listed(serve(_said(b'{"message": "no such thing"}', status="500 Oops")), "images")
    assert raised.value.status == 500


def test_an_answer_that_is_no_list_is_refused(serve: Serve) -> None:
    with pytest.raises(EngineError, match="no list"):
        listed(serve(_said(b'{"Id": "a"}')), "images")


def test_what_is_to_be_done_is_sent_whole(serve: Serve) -> None:
    asked: list[str] = []
    wire = serve(_said(b'{"Id": "c"}', status="201 Created"), asked=asked)
    wire.does("POST", "containers/create", "create container x", body={"Image": "i"}, name="a b&c")
    head, body = asked[0].split("\r\n\r\n")
    assert head.split("\r\n")[0] == "POST /containers/create?name=a%20b%26c HTTP/1.0"
    assert "Content-Length: 14" in head
    assert json.loads(body) == {"Image": "i"}


def test_a_door_brings_up_and_takes_down_without_docker_py(serve: Serve) -> None:
    """What is so already, or gone already, is success."""
    asked: list[str] = []
    done, already = b"HTTP/1.0 204 No Content\r\n\r\n", b"HTTP/1.0 304 Not Modified\r\n\r\n"
    gone = _said(b'{"message": "No such container"}', status="404 Not Found")
    door = Door(serve(done, done, already, gone, done, gone, gone, asked=asked), timeout_s=5)
    door.create(ContainerSpec("x", "i", (), (), (), "none", "0:0"))
    door.start("c")
    door.start("c")
    door.stop("c", timeout_s=4)
    door.stop("c", timeout_s=4)
    door.remove("c")
    door.forget_cache("v")
    assert [each.split(" HTTP", 1)[0] for each in asked] == [
        "POST /containers/create?name=x",
        "POST /containers/c/start?",
        "POST /containers/c/start?",
        "POST /containers/c/stop?t=4",
        "POST /containers/c/stop?t=4",
        "DELETE /containers/c?v=1",
        "DELETE /volumes/v?",
    ]
    assert door.calls.writes == {"create": 1, "start": 2, "stop": 2, "remove": 2}
    assert door._engine is None


def test_a_stop_may_take_its_own_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds_s: list[float | None] = []

    class Noting(socket.socket):
        def settimeout(self, value: float | None) -> None:
            bounds_s.append(value)
            super().settimeout(value)

    wire = serve(b"HTTP/1.0 204 No Content\r\n\r\n")
    monkeypatch.setattr("reconciler.engine.wire.socket.socket", Noting)
    wire.does("POST", "containers/c/stop", "stop container c", wait_s=7)
    assert bounds_s[-1] == wire.timeout_s + 7


def test_what_is_refused_is_never_taken_for_done(serve: Serve) -> None:
    door = Door(serve(_said(b'{"message": "it runs"}', status="409 Conflict")), timeout_s=5)
    with pytest.raises(EngineError, match=r"can't remove container c: it runs \(status 409\)"):
        door.remove("c")


def test_an_answer_that_was_lost_is_an_engine_that_does_not_answer(serve: Serve) -> None:
    with pytest.raises(EngineUnavailableError):
        Door(serve(b""), timeout_s=5).start("c")


def test_nobody_there_is_said_with_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailableError, match=r"none\.sock \(No such file or directory\)"):
        Wire(str(tmp_path / "none.sock"), timeout_s=1).negotiate()


def test_a_command_that_finds_nothing_to_do_imports_no_library() -> None:
    """What `--once` imports at rest: docker-py alone would cost more than the rest together."""
    code = (
        "import sys, reconciler.cli.converge, reconciler.engine.door, reconciler.engine.wire, reconciler.plan.plan\n"
        "heavy = {'docker', 'requests', 'pydantic', 'ruamel', 'iceoryx2', 'numpy', 'watchfiles', 'tenacity'}\n"
        "heavy |= {'sqlite3', 'subprocess', 'concurrent', 'logging', 'http', 'email', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
