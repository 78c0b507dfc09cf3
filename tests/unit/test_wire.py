"""Asking a local engine over its socket: whole answers count, everything else is an engine that does not answer."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.engine.wire import Wire
from reconciler.model.errors import EngineError, EngineUnavailableError

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
                        asked.append(question.split("\r\n", 1)[0])
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
    assert asked == [
        "GET /_ping HTTP/1.0",
        "GET /v1.41/containers/json?all=1&filters=%7B%22label%22%3A%20%5B%22x%3Dy%22%5D%7D HTTP/1.0",
    ]


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


def test_nobody_there_is_said_with_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailableError, match=r"none\.sock \(No such file or directory\)"):
        Wire(str(tmp_path / "none.sock"), timeout_s=1).negotiate()


def test_a_command_that_finds_nothing_to_do_imports_no_library() -> None:
    """What `--once` imports at rest: docker-py alone would cost more than the rest together."""
    code = (
        "import sys, reconciler.cli.run, reconciler.engine.door, reconciler.engine.wire, reconciler.plan.plan\n"
        "heavy = {'docker', 'requests', 'pydantic', 'ruamel', 'iceoryx2', 'numpy', 'watchfiles', 'tenacity'}\n"
        "heavy |= {'sqlite3', 'subprocess', 'concurrent', 'logging', 'http', 'email', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
