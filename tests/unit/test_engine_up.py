"""`hack/engine-up` where no engine is to be had: one line, exit code 3, and nothing is installed."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def engine_up(host: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DOCKER_HOST": host}
    environment.pop("DOCKER_TLS_VERIFY", None)
    command = [ROOT / "hack" / "engine-up"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def answers() -> Iterator[list[tuple[int, bytes]]]:
    """What a stranger that listens on TCP answers; its address is the first item's."""

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = said[-1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        said: list[tuple[int, bytes]] = [(server.server_port, b"")]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield said
        server.shutdown()
        thread.join()


def test_an_engine_elsewhere_that_is_away_is_named(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/docker.sock"
    done = engine_up(host)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert f"DOCKER_HOST={host} does not answer" in done.stderr


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (200, b"<html>"), (200, b"{}")])
def test_what_answers_but_is_no_engine_does_not_count(
    answers: list[tuple[int, bytes]], status: int, body: bytes
) -> None:
    port = answers[0][0]
    answers.append((status, body))
    assert engine_up(f"tcp://127.0.0.1:{port}").returncode == 3


def test_an_engine_on_tcp_is_used(answers: list[tuple[int, bytes]]) -> None:
    port = answers[0][0]
    answers.append((200, b'{"Version": "20.10.24"}'))
    done = engine_up(f"tcp://127.0.0.1:{port}")
    assert done.returncode == 0
    assert "engine 20.10.24 answers" in done.stderr
