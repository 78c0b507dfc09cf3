"""Speaking to a local engine with the standard library alone: importing docker-py costs more than a whole look.

Rule: an answer counts when it is whole. As HTTP/1.0 an answer ends with its connection, so there are neither chunks nor
connections to keep.
"""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.contract import labels
from reconciler.model.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    Listed = list[dict[str, Any]]

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
SCHEME = "unix://"

REFUSED = 400
NOT_FOUND = 404
CONFLICT = 409
"""From the first status on an answer is a refusal; 304 says that it is so already."""

_RESTLESS = re.compile(rb'"Status":"Up [^"(]*"|"Mounts":\[[^]]*\]')
"""What differs in two lists at rest: for how long a container has been running, in words, and the order of its mounts,
which can't be others. Nothing is made of either."""

_PIECE_BYTES = 1 << 18
_LONGEST_BYTES = 1 << 28
"""An engine that never stops talking is given up; the list of ten thousand containers has a tenth of it."""


def socket_name() -> str:
    """Return where the engine is looked for, for people."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET


def socket_path(url: str) -> str:
    """Return the path of a local engine's socket, nothing for an engine that is reached otherwise."""
    return "/" + url.removeprefix(SCHEME).lstrip("/") if url.startswith(SCHEME) else ""


class Wire:
    """A local engine, one connection for each question. Any thread may ask.

    `timeout_s` bounds each wait for the engine to go on answering.
    """

    def __init__(self, path: str, *, timeout_s: float) -> None:
        self._path = path
        self.timeout_s = timeout_s
        self._version = ""
        self._last: dict[str, tuple[bytes, Listed]] = {}

    def negotiate(self) -> None:
        """Take the engine's own API version, as docker-py does.

        Raises:
            EngineUnavailableError: if it does not answer.
        """
        with self._connection() as connection:
            with _or_unavailable():
                _send(connection, "/_ping")
            headers, _ = _received(connection, "tell its version")
        version = headers.get("api-version", "")
        self._version = f"/v{version}" if version else ""

    @contextmanager
    def asked(self, kind: str, what: str, **query: object) -> Iterator[Callable[[], Listed]]:
        """Ask for the engine's list of a kind, and hand out what waits for it: meanwhile the engine works on it.

        `what` says what is tried, as in "list containers". Where the answer is that of the last time, but for what
        differs at rest, too, the list is the very one of the last time, and not to be changed.

        Raises:
            EngineUnavailableError: if it does not answer, or not whole.
            EngineError: if it refuses.
        """
        words = "&".join(f"{key}={quote(json.dumps(value))}" for key, value in query.items())
        with self._connection() as connection:
            with _or_unavailable():
                _send(connection, f"{self._version}/{kind}/json?{words}")
            yield lambda: self._listed(connection, kind, what)

    def does(
        self,
        method: str,
        target: str,
        what: str,
        *,
        body: Mapping[str, object] | None = None,
        wait_s: float = 0.0,
        **query: object,
    ) -> None:
        """Have something done. `what` says what is tried, as in "start container x".

        `wait_s` is how long the engine may rightly keep silent over it, besides the time that every answer has.

        Raises:
            EngineUnavailableError: if it does not answer, or not whole; what was asked for may have been done.
            EngineError: if it refuses.
        """
        words = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in query.items())
        with self._connection() as connection:
            connection.settimeout(self.timeout_s + wait_s)
            with _or_unavailable():
                said = b"" if body is None else json.dumps(body).encode()
                _send(connection, f"{self._version}/{target}?{words}", method=method, body=said)
            _received(connection, what)

    def _listed(self, connection: socket.socket, kind: str, what: str) -> Listed:
        _, body = _received(connection, what)
        steady = _RESTLESS.sub(b"", body)
        last = self._last.get(kind)
        if last is not None and last[0] == steady:
            return last[1]
        try:
            listed = json.loads(body)
        except ValueError as error:
            raise unavailable(error) from error
        if not isinstance(listed, list):
            raise EngineError(f"the engine can't {what}: it answered with no list")
        self._last[kind] = (steady, listed)
        return listed

    @contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self.timeout_s)
            with _or_unavailable():
                connection.connect(self._path)
            yield connection


def ask_containers(wire: Wire, instance: str) -> AbstractContextManager[Callable[[], Listed]]:
    """Ask for the containers that carry an instance's label, whatever they do."""
    return wire.asked("containers", "list containers", all=1, filters={"label": [f"{labels.INSTANCE}={instance}"]})


def ask_images(wire: Wire) -> AbstractContextManager[Callable[[], Listed]]:
    """Ask for environment images and tagged images."""
    return wire.asked("images", "list images", all=0)


@contextmanager
def _or_unavailable() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, IndexError) as error:
        raise unavailable(error) from error


def _send(connection: socket.socket, target: str, *, method: str = "GET", body: bytes = b"") -> None:
    content = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    connection.sendall(f"{method} {target} HTTP/1.0\r\nHost: docker\r\n{content}\r\n".encode() + body)


def _received(connection: socket.socket, what: str) -> tuple[dict[str, str], bytes]:
    with _or_unavailable():
        head, _, body = _whole(connection).partition(b"\r\n\r\n")
        status, headers = _head(head.decode("latin-1"))
        if len(body) != int(headers.get("content-length", len(body))):
            raise ConnectionResetError(0, "it answered with a part only")
    if status >= REFUSED:
        raise EngineError(f"the engine can't {what}: {_explanation(body)} (status {status})", status=status)
    return headers, body


def _whole(connection: socket.socket) -> bytes:
    pieces: list[bytes] = []
    left = _LONGEST_BYTES
    while piece := connection.recv(_PIECE_BYTES):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise ConnectionAbortedError(0, "its answer does not end")
    return b"".join(pieces)


def unavailable(found: BaseException) -> EngineUnavailableError:
    """Return the one line for an engine that does not answer, from the system's error."""
    place = socket_name()
    if isinstance(found, PermissionError):
        return EngineUnavailableError(
            f"no permission to use the Docker Engine at {place}: run as root or as a member of its group (docker)"
        )
    if isinstance(found, TimeoutError):
        return EngineUnavailableError(
            f"the Docker Engine at {place} does not answer in time: look at the daemon's log, restart it if it hangs"
        )
    why = found.strerror if isinstance(found, OSError) and found.strerror else str(found)
    return EngineUnavailableError(
        f"no Docker Engine at {place} ({' '.join(why.split())}): start the daemon, or set DOCKER_HOST"
    )


def _head(text: str) -> tuple[int, dict[str, str]]:
    first, *lines = text.split("\r\n")
    headers = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.strip().lower(): value.strip() for name, _, value in headers}


def _explanation(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip()
