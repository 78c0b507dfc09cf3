"""The time before every line of a host process's output; in a container the engine keeps it.

Rule: what native code writes past Python is not stamped; a reader gives it the time of the line before.
"""

from __future__ import annotations

import time
from typing import Any, TextIO


class Stamped:
    """A text stream that puts the time in UTC, with microseconds, before every line."""

    def __init__(self, stream: TextIO) -> None:
        """Begin with a new line."""
        self._stream = stream
        self._fresh = True

    def write(self, text: str) -> int:
        """Write text; a line that comes in pieces is stamped once."""
        for line in text.splitlines(keepends=True):
            self._stream.write(f"{_now()} {line}" if self._fresh else line)
            self._fresh = line.endswith("\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Leave everything else to the stream."""
        return getattr(self._stream, name)


def _now() -> str:
    at_ns = time.time_ns()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ns // 10**9))
    return f"{whole}.{at_ns // 1000 % 10**6:06d}Z"
