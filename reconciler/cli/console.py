"""Events and node output on stderr, for people or as JSON lines. Data never goes here."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING

from reconciler.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.controller.event import Event


class Console:
    """Writes one line for each event or line of output; several threads may."""

    def __init__(self, *, log_format: str, verbose: bool) -> None:
        self._json = log_format == "json"
        self._verbose = verbose
        self._lock = threading.Lock()
        self._progress = Progress(terminal=sys.stderr.isatty() and not self._json and not verbose)

    def event(self, event: Event) -> None:
        """Say what happened. Routine writes of small files are said only when asked for."""
        if event.object.startswith("image/"):
            self.build_ended(event.object.removeprefix("image/"))
        quiet = event.kind == "Normal" and event.reason in {"WriteEndpoints", "WriteAssignments", "RemoveEndpoints"}
        if quiet and not self._verbose:
            return
        if event.object == "manifests" and not self._json:
            self._write(event.message)  # path:line:column first, as editors and CI want it
        elif self._json:
            fields = {"level": event.kind.lower(), "object": event.object, "reason": event.reason}
            self._write(json.dumps({"time": stamp(event.at_s), **fields, "message": event.message}))
        else:
            mark = "!" if event.kind == "Warning" else " "
            self._write(f"{stamp(event.at_s)} {mark} {event.object:<36} {event.reason}: {event.message}")

    def build(self, tag: str, line: str) -> None:
        """Say how an image's build is getting on; every line of it, when asked for."""
        with self._lock:
            step = self._progress.take(tag, line)
            changing = self._progress.line()
            if changing:
                print(changing, end="", file=sys.stderr, flush=True)
        if self._verbose and not self._json:
            self._write(f"{tag} | {line}")
        elif step and self._json:
            fields = {"level": "normal", "object": f"image/{tag}", "reason": "Building"}
            self._write(json.dumps({"time": stamp(time.time()), **fields, "message": step.split(" | ", 2)[2]}))
        elif step:
            self._write(step)

    def build_ended(self, tag: str) -> None:
        """Forget a build that has ended, well or not."""
        with self._lock:
            self._progress.end(tag)

    def output(self, *, at_s: float, instance: str, owners: tuple[str, ...], stream: str, text: str) -> None:
        """Say a line of a node's output."""
        if self._json:
            fields = {"instance": instance, "nodes": list(owners), "stream": stream}
            self._write(json.dumps({"time": stamp(at_s), **fields, "message": text}))
        else:
            self._write(f"{stamp(at_s)} | {','.join(owners) or instance}: {text}")

    def _write(self, line: str) -> None:
        with self._lock:
            print(f"{self._progress.clear()}{line}", file=sys.stderr, flush=True)


def stamp(at_s: float) -> str:
    """Return a time as RFC 3339 in UTC, with milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at_s))}.{int(at_s * 1000) % 1000:03d}Z"


def table(rows: list[tuple[str, ...]], *, write: Callable[[str], None] = print) -> None:
    """Print rows under each other; the first is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        write("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
