"""A private registry is asked with what Docker's own credential store has for it (FR-016)."""

from __future__ import annotations

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from reconciler import engine as door
from reconciler.model.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.engine.port import EnginePort

HELPER = """#!/bin/sh
server=$(cat)
[ $server != broken.example ] || exit 1
printf '{"ServerURL": "%s", "Username": "me", "Secret": "%s-pw"}' $server $server
"""


class FakeEngine(BaseHTTPRequestHandler):
    """Answers what a pull asks of an engine, and keeps the credentials it is handed."""

    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self._answer({"ApiVersion": "1.41"})

    def do_POST(self) -> None:
        self.seen.append(json.loads(base64.urlsafe_b64decode(self.headers.get("X-Registry-Auth") or b"e30=")))
        self._answer({"status": "done"})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""

    def _answer(self, value: dict[str, str]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """Credentials that an engine was handed; `DOCKER_HOST` is that engine."""
    found: list[dict[str, str]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Engine", (FakeEngine,), {"seen": found}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def engine(seen: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EnginePort]:
    """A door to that engine, on a host whose Docker has a credential helper for two registries."""
    assert seen == []
    helper = tmp_path / "docker-credential-fake"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    helpers = {"registry.example": "fake", "broken.example": "fake"}
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": helpers}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = door.connect()
    yield found
    found.close()


def test_the_credential_helper_of_a_registry_is_asked(engine: EnginePort, seen: list[dict[str, str]]) -> None:
    engine.pull("registry.example/speech:1")
    engine.pull("other.example/speech:1")
    mine, others = seen
    assert (mine["Username"], mine["Password"]) == ("me", "registry.example-pw")
    assert "Password" not in others


def test_a_credential_helper_that_fails_is_no_engine_that_is_away(
    engine: EnginePort, seen: list[dict[str, str]]
) -> None:
    with pytest.raises(EngineError, match=r"can.t pull broken\.example/speech:1: Credentials store error") as caught:
        engine.pull("broken.example/speech:1")
    assert caught.value.reason == "PullFailed"
    assert seen == []
