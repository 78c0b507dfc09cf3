"""Output of nodes: followed for the controller's log, and read for `reconcile logs`.

Rule: a line keeps the time at which the engine got it; one of a host process is stamped by the node runtime.
"""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from itertools import dropwhile
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from reconciler.contract.values import dataclass
from reconciler.model.errors import ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from reconciler.engine.port import EnginePort

LOOK_S = 0.5
"""How often new instances, and new lines of host processes, are looked for."""

MOST_FOLLOWED = 256
"""Instances followed at once; each takes a thread and, for a container, a connection."""

USUAL_LINE_BYTES = 200
"""By which it is guessed where the last lines begin."""

_STAMPED = re.compile(r"(?P<whole>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(?P<micros>\d{6})Z (?P<text>.*)")
"""As `reconciler.node.stamps` writes it."""


class Line(NamedTuple):
    """One line of output. `at_ns` is nanoseconds since the epoch."""

    at_ns: int
    instance: str
    stream: str
    text: str


class Source(Protocol):
    """Whose output there is to read."""

    @property
    def engine(self) -> EnginePort:
        """The engine, for containers."""

    def log_file(self, name: str) -> Path:
        """Return the file a host process writes to."""

    def running(self) -> dict[str, tuple[str, ...]]:
        """Return the instances that run now: `container` or `process`, then the owners, by name."""


class Say(Protocol):
    """Takes a line of output for the log."""

    def __call__(self, *, at_s: float, instance: str, owners: tuple[str, ...], stream: str, text: str) -> None:
        """Say it."""


class Followers:
    """Follows every running instance, each in a thread of its own that ends with it."""

    def __init__(self, source: Source, say: Say, *, seen: Mapping[str, int] | None = None) -> None:
        """Follow from now on, but for what `seen` tells.

        It holds the time in nanoseconds of a container's last known line by the container's name, and the position in
        a host process's file by the file's path.
        """
        self._source = source
        self._say = say
        self._seen = dict(seen or {})
        self._threads: dict[str, threading.Thread] = {}

    def run(self, stop: threading.Event) -> None:
        """Follow what runs, from now on, until `stop`."""
        started_ns = time.time_ns()
        seen = self._seen
        while not stop.wait(LOOK_S):
            running = self._source.running()
            if running.keys() <= self._threads.keys():
                continue  # as nearly always, however many there are
            for name, (kind, *owners) in running.items():
                if name not in self._threads and len(self._threads) < MOST_FOLLOWED:
                    since_ns = seen.get(name, started_ns)
                    follow = self._container if kind == "container" else self._process
                    job = _Job(name, tuple(owners), since_ns, seen, stop)
                    thread = threading.Thread(target=self._follow, args=(follow, job), daemon=True, name=f"log-{name}")
                    self._threads[name] = thread
                    thread.start()

    def _follow(self, follow: Callable[[_Job], None], job: _Job) -> None:
        """Follow one instance, which is followed anew when that ends and it runs."""
        try:
            follow(job)
        finally:
            del self._threads[job.name]

    def _container(self, job: _Job) -> None:
        with suppress(ReconcilerError):  # it ended, or the engine went away: the next look follows it again
            for line in self._source.engine.logs(job.name, follow=True, since_ns=job.since_ns):
                if job.stop.is_set():
                    return
                if line.time_ns > job.seen.get(job.name, 0):
                    job.seen[job.name] = line.time_ns
                    self._tell(job, at_s=line.time_ns / 1e9, stream=line.stream, text=line.text)

    def _process(self, job: _Job) -> None:
        path = self._source.log_file(job.name)
        position = job.seen.get(str(path))
        if position is None:
            written_before = path.exists() and path.stat().st_mtime_ns < job.since_ns
            position = path.stat().st_size if written_before else 0
        while not job.stop.is_set() and job.name in self._source.running():
            for line in _lines(path, position):
                position = line.after
                self._tell(job, at_s=line.at_ns / 1e9, stream="stdout", text=line.text)
            job.seen[str(path)] = position
            job.stop.wait(LOOK_S)

    def _tell(self, job: _Job, *, at_s: float, stream: str, text: str) -> None:
        self._say(at_s=at_s, instance=job.name, owners=job.owners, stream=stream, text=text)


@dataclass(frozen=True, slots=True)
class _Job:
    """What one thread follows, from when on; `seen` is shared by all and says how far each got."""

    name: str
    owners: tuple[str, ...]
    since_ns: int
    seen: dict[str, int]
    stop: threading.Event


def read_container(
    engine: EnginePort, name: str, *, since_ns: int | None = None, tail: int | None = None
) -> list[Line]:
    """Return the output of a container.

    Raises:
        ReconcilerError: if the engine can't tell.
    """
    lines = engine.logs(name, since_ns=since_ns, tail=tail)
    return [Line(line.time_ns, name, line.stream, line.text) for line in lines]


def read_file(path: Path, name: str, *, since_ns: int | None = None, tail: int | None = None) -> tuple[list[Line], int]:
    """Return the output of a host process, and the position in its file behind it."""
    written = list(_lines(path, 0)) if tail is None or since_ns is not None else _last(path, max(tail, 1))
    position = written[-1].after if written else 0
    lines = [Line(each.at_ns, name, "stdout", each.text) for each in written]
    if since_ns is not None:
        lines = [line for line in lines if line.at_ns >= since_ns]
    return (lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]), position


def _last(path: Path, count: int) -> list[_Written]:
    """Return at least so many last lines, if there are so many, without reading what is far before them."""
    size_bytes = path.stat().st_size if path.exists() else 0
    span_bytes = count * USUAL_LINE_BYTES
    while True:
        begin = max(size_bytes - span_bytes, 0)
        found = list(_lines(path, begin))
        if begin:  # the first one may have begun before, and those after it may have their time from there
            found = list(dropwhile(lambda line: not line.has_time, found[1:]))
        if len(found) >= count or not begin:
            return found
        span_bytes *= 4


class _Written(NamedTuple):
    """A line of a file, and the position after it. `has_time`: whether that is its own."""

    after: int
    at_ns: int
    text: str
    has_time: bool


def _lines(path: Path, position: int) -> Iterator[_Written]:
    """Yield the whole lines after a position. A file made anew is read afresh, and what it has lost is passed over.

    A line that native code wrote past the runtime has no time; it gets that of the line before, or else the file's.
    """
    with suppress(OSError), path.open("rb") as file:
        stat = path.stat()
        at_ns = stat.st_mtime_ns
        if position > stat.st_size:
            position = 0
        position = _behind_hole(file, position)
        for raw in file:
            if not raw.endswith(b"\n"):
                return
            position += len(raw)
            text = raw.decode("utf-8", "replace").rstrip("\n").rpartition("\0")[2]  # the hole came while it was read
            stamped = _STAMPED.fullmatch(text)
            if stamped:
                at_ns, text = _nanoseconds(stamped), stamped["text"]
            yield _Written(position, at_ns, text, has_time=stamped is not None)


def _behind_hole(file: BinaryIO, position: int) -> int:
    """Go to a position, or to the first whole line behind what a bounded log has lost there; return where that is."""
    data = os.lseek(file.fileno(), position, os.SEEK_DATA) if os.fstat(file.fileno()).st_size > position else position
    file.seek(data)
    return data + len(file.readline()) if data > position else position


def _nanoseconds(stamped: re.Match[str]) -> int:
    whole = datetime.fromisoformat(stamped["whole"]).replace(tzinfo=UTC)
    return int(whole.timestamp()) * 10**9 + int(stamped["micros"]) * 1_000
