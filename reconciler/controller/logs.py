"""Output of nodes: followed for the controller's log, and read for `reconcile logs`.

Rule: a line keeps the time at which the engine got it; one of a host process is stamped by the node runtime or when it
is read.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from reconciler.model.errors import ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.engine.port import EnginePort

LOOK_S = 0.5
"""How often new instances, and new lines of host processes, are looked for."""

MOST_FOLLOWED = 256
"""Instances followed at once; each takes a thread and, for a container, a connection."""


class Line(NamedTuple):
    """One line of output. `at_s` is seconds since the epoch."""

    at_s: float
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

    def __init__(self, source: Source, say: Say) -> None:
        self._source = source
        self._say = say
        self._threads: dict[str, threading.Thread] = {}

    def run(self, stop: threading.Event) -> None:
        """Follow what runs, from now on, until `stop`."""
        started_ns = time.time_ns()
        seen: dict[str, int] = {}
        while not stop.wait(LOOK_S):
            self._threads = {name: thread for name, thread in self._threads.items() if thread.is_alive()}
            for name, (kind, *owners) in self._source.running().items():
                if name not in self._threads and len(self._threads) < MOST_FOLLOWED:
                    since_ns = seen.get(name, started_ns)
                    follow = self._container if kind == "container" else self._process
                    job = _Job(name, tuple(owners), since_ns, seen, stop)
                    self._threads[name] = threading.Thread(target=follow, args=(job,), daemon=True, name=f"log-{name}")
                    self._threads[name].start()

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
            for after, text in _lines(path, position):
                position = after
                self._tell(job, at_s=time.time(), stream="stdout", text=text)
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
    engine: EnginePort, name: str, *, follow: bool, since_s: float | None, tail: int | None
) -> Iterator[Line]:
    """Return the output of a container."""
    since_ns = None if since_s is None else time.time_ns() - int(since_s * 1e9)
    for line in engine.logs(name, follow=follow, since_ns=since_ns, tail=tail):
        yield Line(line.time_ns / 1e9, name, line.stream, line.text)


def read_file(path: Path, name: str, *, follow: bool, tail: int | None) -> Iterator[Line]:
    """Return the output of a host process; its lines carry no time of their own, so the file's is taken."""
    if not path.exists():
        return
    at_s = path.stat().st_mtime
    lines = list(_lines(path, 0))
    for _, text in lines[-tail:] if tail else lines:
        yield Line(at_s, name, "stdout", text)
    position = lines[-1][0] if lines else 0
    while follow:
        time.sleep(LOOK_S)
        for after, text in _lines(path, position):
            position = after
            yield Line(time.time(), name, "stdout", text)


def _lines(path: Path, position: int) -> Iterator[tuple[int, str]]:
    """Yield the whole lines after a position, each with the position after it. A file made anew is read afresh."""
    with suppress(OSError), path.open("rb") as file:
        if position > path.stat().st_size:
            position = 0
        file.seek(position)
        for raw in file:
            if not raw.endswith(b"\n"):
                return
            position += len(raw)
            yield position, raw.decode("utf-8", "replace").rstrip("\n")
