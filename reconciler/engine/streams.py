"""Streams from the engine that another thread may end: container output and events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from docker.types import CancellableStream

from reconciler.contract import labels
from reconciler.engine.errors import translated
from reconciler.engine.port import LogLine, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker
    import requests

_STREAMS: dict[int, Stream] = {1: "stdout", 2: "stderr"}
_HEADER_BYTES = 8
_LONGEST_LINE = 1 << 20
_SECOND_DIGITS = 19

WAKING = (
    *("create", "start", "restart", "die", "oom", "stop", "kill", "pause", "unpause", "destroy", "rename", "update"),
    "disconnect",
    *("delete", "tag", "untag", "pull", "import", "load"),
)
"""Actions of containers, images and networks after which a look can find something new."""


class LogLines(Iterator[LogLine]):
    """What a container wrote. `close` ends it from any thread."""

    def __init__(self, response: requests.Response) -> None:
        self._stream = CancellableStream(self._read(response), response)

    def __next__(self) -> LogLine:
        with translated("read a container's output"):
            line: LogLine = next(self._stream)
            return line

    def close(self) -> None:
        """End the stream."""
        _close(self._stream)

    @staticmethod
    def _read(response: requests.Response) -> Iterator[LogLine]:
        """Read the multiplexed stream: 8 bytes of header (stream, 3 zeros, length), then the entry.

        Source: Docker Engine API 1.41, ContainerAttach, "Stream format".
        """
        parts: dict[Stream, tuple[int, str]] = {}
        while len(header := response.raw.read(_HEADER_BYTES)) == _HEADER_BYTES:
            content = response.raw.read(int.from_bytes(header[4:], "big"))
            stream = _STREAMS.get(header[0], "stdout")
            stamp, _, text = content.decode("utf-8", errors="replace").partition(" ")
            begun_ns, before = parts.pop(stream, (nanoseconds(stamp), ""))
            if not text.endswith("\n") and len(before) + len(text) < _LONGEST_LINE:
                parts[stream] = (begun_ns, before + text)  # the engine cuts long lines; the rest follows
                continue
            yield LogLine(begun_ns, stream, (before + text).rstrip("\r\n"))
        for stream, (begun_ns, text) in parts.items():
            yield LogLine(begun_ns, stream, text)
        response.close()


def container_output(
    client: docker.APIClient,
    container: str,
    *,
    follow: bool = True,
    since_ns: int | None = None,
    tail: int | None = None,
) -> LogLines:
    """Ask for a container's output. docker-py's own `logs` can't tell stdout from stderr, hence the plain request.

    Raises:
        requests.HTTPError: if the engine refuses.
    """
    response = client.get(
        f"{client.base_url}/v{client.api_version}/containers/{container}/logs",
        params={
            "stdout": 1,
            "stderr": 1,
            "timestamps": 1,
            "follow": int(follow),
            "tail": "all" if tail is None else tail,
            "since": seconds_text(since_ns or 0),
        },
        stream=True,
        timeout=(client.timeout, None if follow else client.timeout),
    )
    with closing_on_error(response):
        response.raise_for_status()
    return LogLines(response)


class Events(Iterator[str]):
    """What happens on the engine, as words for people. `close` ends it from any thread.

    `told` is called with each event, before it is given out.
    """

    def __init__(self, stream: CancellableStream, instance: str, told: Callable[[], None]) -> None:
        self._stream = stream
        self._instance = instance
        self._told = told

    def __next__(self) -> str:
        with translated("tell what happens"):
            while True:
                event = next(self._stream)
                if self._concerns(event):
                    self._told()
                    actor = event.get("Actor", {})
                    name = actor.get("Attributes", {}).get("name") or actor.get("ID", "")
                    return f"{event.get('Type', '')} {name} {event.get('Action', '')}"

    def close(self) -> None:
        """End the stream."""
        _close(self._stream)

    def _concerns(self, event: dict[str, Any]) -> bool:
        if event.get("Type") != "container":
            return True
        attributes = event.get("Actor", {}).get("Attributes", {})
        return bool(attributes.get(labels.INSTANCE) == self._instance)


@contextmanager
def closing_on_error(response: requests.Response) -> Iterator[None]:
    """Let go of a response's connection when it is of no use."""
    try:
        yield
    except BaseException:
        response.close()
        raise


def _close(stream: CancellableStream) -> None:
    with suppress(OSError, AttributeError):  # docker-py reaches for a socket that may be gone already
        stream.close()


def nanoseconds(stamp: str) -> int:
    """Read an RFC 3339 time with up to nine decimals, as nanoseconds since the epoch; 0 where it is none."""
    try:
        seconds = int(datetime.fromisoformat(stamp[:_SECOND_DIGITS] + "+00:00").timestamp())
        decimals = stamp[_SECOND_DIGITS + 1 :].rstrip("Z").ljust(9, "0")
        return seconds * 1_000_000_000 + int(decimals)
    except ValueError:
        return 0


def seconds_text(time_ns: int) -> str:
    """Write nanoseconds since the epoch as the engine's `since` takes them."""
    return f"{time_ns // 1_000_000_000}.{time_ns % 1_000_000_000:09d}"
