"""Host processes that run nodes: list, start, stop. Each has a recorder for its parent (`recorder.py`)."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reconciler.model.errors import ProcessError
from reconciler.model.observed import Process, ProcessEnd
from reconciler.process import recorder, table

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from reconciler.model.instance import ProcessSpec

MODULE = ("-m", "reconciler.node")
INSTANCE = "--instance"
"""What tells a host process of ours from a node in a container, whose environment names its instance."""

KILL_TIMEOUT_S = 5.0
RECORD_TIMEOUT_S = 1.0
"""Longest time between the end of a process and that of its recorder, or between the starts of the two."""

RECORD_LOOK_S = 0.001
INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
"""What a node's process takes over from the controller; the rest of its environment is in the spec."""

WHOLE_S = 10.0
"""How old a list may be while all in it live and none was started or ended here: nobody else starts any, and the whole
table of a machine with five hundred processes takes ten milliseconds."""

KEPT_ENDS = 1_000
KEPT_LOGS = 100
"""Log files of processes that no longer run; their runtime bounds how long each gets."""


class ProcessPort(Protocol):
    """What the control plane asks of host processes."""

    def list(self, instance: str) -> tuple[Process, ...]:
        """Return the living processes of an instance, by name."""

    def ends(self, instance: str, nodes: str) -> tuple[ProcessEnd, ...]:
        """Return how processes of an instance ended last, by name, as far as it was told or is recorded in `nodes`."""

    def start(self, spec: ProcessSpec) -> None:
        """Start a process that outlives the controller."""

    def stop(self, pid: int, started: str, *, timeout_s: float) -> None:
        """End a process; one that has ended already is success."""


class HostProcesses:
    """The host's process table. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._children: dict[int, tuple[ProcessSpec, subprocess.Popen[bytes]]] = {}
        self._ends: dict[str, ProcessEnd] = {}
        self._listed: tuple[Process, ...] = ()
        self._moves = 0
        self._whole: tuple[str, int, float] | None = None  # of whom the list is, after how many moves, and until when

    def list(self, instance: str) -> tuple[Process, ...]:
        """Return the living processes of an instance, by name: those of a moment ago where nothing is known to be new.

        Raises:
            ProcessError: if the process table can't be read.
        """
        if self._counts(instance) and len(self.lasting()) == len(self._listed):
            return self._listed
        now_s, moves = time.monotonic(), self._moves
        found = [Process(name, entry.pid, entry.started) for name, entry in _settled(instance)]
        self._reap()
        self._listed = tuple(sorted(found, key=lambda process: (process.name, process.pid)))
        self._whole = (instance, moves, now_s + WHOLE_S)
        return self._listed

    def _counts(self, instance: str) -> bool:
        """Whether the last list was whole, not long ago, and nothing was done since."""
        if self._whole is None:
            return False
        owner, moves, until_s = self._whole
        return owner == instance and moves == self._moves and time.monotonic() < until_s

    @contextmanager
    def _moving(self) -> Iterator[None]:
        """Let no list count that may have missed what is done meanwhile."""
        self._moved()
        try:
            yield
        finally:
            self._moved()

    def _moved(self) -> None:
        with self._lock:
            self._moves += 1

    def lasting(self) -> tuple[str, ...]:
        """Return the names of those last listed that still live, without reading the whole process table."""
        self._reap()
        return tuple(found.name for found in self._listed if table.started_at(found.pid) == found.started)

    def ends(self, instance: str, nodes: str) -> tuple[ProcessEnd, ...]:
        """Return how processes of an instance ended last, by name, but for those that were stopped.

        `nodes` is the directory of the instance's nodes, where it is recorded.
        """
        self._reap()
        with self._lock:
            told = {name: end for name, end in self._ends.items() if name.rpartition("-")[0] == f"rc-{instance}"}
        try:
            unknown = {*os.listdir(nodes)} - {found.name for found in self._listed} - set(told)  # noqa: PTH208 - in each look
        except OSError:
            unknown = set()
        recorded = (recorder.read(f"{nodes}/{name}/{recorder.RECORD}", name) for name in unknown)
        return tuple(sorted([*told.values(), *filter(None, recorded)], key=lambda end: end.name))

    def start(self, spec: ProcessSpec) -> None:
        """Start a process in a session of its own, its output appended to `spec.log_path`; one that runs is success.

        Raises:
            ProcessError: if it can't be started.
        """
        with (
            self._moving(),
            self._starting,
        ):  # or one that starts would have its log removed by another as that of one long gone
            self._start(spec)

    def _start(self, spec: ProcessSpec) -> None:
        import subprocess  # noqa: PLC0415 - a look must not pay for it

        living = {_names(entry)[1] for entry in _living()}
        if spec.name in living:
            return
        try:
            Path(spec.log_path).parent.mkdir(parents=True, exist_ok=True)
            _drop_oldest_logs(Path(spec.log_path).parent, {*living, spec.name})
            os.stat(spec.argv[0])  # noqa: PTH116 - the recorder could only say in the log that it is not there
            before = recorder.read(spec.record_path, spec.name)
            recorder.ask(spec.record_path)
            with Path(spec.log_path).open("ab") as log:
                child = subprocess.Popen(
                    recorder.recorded(spec.argv, spec.record_path),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment(spec),
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            msg = f"can't start {spec.name} ({' '.join(spec.argv)}): {error.strerror}: {error.filename}"
            raise ProcessError(msg) from error
        with self._lock:
            self._children[child.pid] = (spec, child)
            if before is not None:  # it explains why this one is started
                self._ends[spec.name] = before

    def stop(self, pid: int, started: str, *, timeout_s: float) -> None:
        """Ask a process to end, and kill it after `timeout_s`; one that has ended already is success.

        Raises:
            ProcessError: if it may not be ended, or does not end.
        """
        with self._moving():
            self._stop(pid, started, timeout_s)

    def _stop(self, pid: int, started: str, timeout_s: float) -> None:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError as error:
            msg = f"can't watch process {pid}: {error.strerror}"
            raise ProcessError(msg) from error
        try:
            # The handle is taken first: what it means can't change any more between the check and the signal.
            if table.started_at(pid) == started:
                with _unrecorded(pid) as parent:
                    _end(handle, pid, timeout_s)
                self._forget(parent)
        finally:
            os.close(handle)
            self._reap()

    def _reap(self) -> None:
        """Take note of children that ended, so that none stays a zombie."""
        with self._lock:
            for pid, (spec, child) in list(self._children.items()):
                code = child.poll()
                if code is not None:
                    del self._children[pid]
                    if code >= 0:  # else it was the recorder that somebody killed, and it has no more to say
                        self._ends[spec.name] = ProcessEnd(spec.name, pid, code)
            for name in list(self._ends)[:-KEPT_ENDS]:
                del self._ends[name]

    def _forget(self, pid: int) -> None:
        """Drop the end of a process that was asked to end: it explains nothing, and is no reason to leave it so."""
        self._reap()
        with self._lock:
            self._ends = {name: end for name, end in self._ends.items() if end.pid != pid}


def _living() -> tuple[table.Entry, ...]:
    try:
        return tuple(table.living(os.geteuid(), MODULE[1], INSTANCE))
    except OSError as error:
        msg = f"can't read the process table {table.PROC}: {error.strerror}"
        raise ProcessError(msg) from error


def _settled(instance: str) -> list[tuple[str, table.Entry]]:
    """Return the nodes of an instance that live, by name.

    A recorder without its node has yet to become one, or is about to write down how it ended: that is waited for,
    else a look would see neither the process nor its end.
    """
    until_s = time.monotonic() + RECORD_TIMEOUT_S
    while True:
        named = [(_names(entry), entry) for entry in _living()]
        ours = [(name, entry) for (owner, name), entry in named if owner == instance and name]
        nodes = [(name, entry) for name, entry in ours if not recorder.record_of(entry.argv)]
        if {name for name, _ in ours} == {name for name, _ in nodes} or time.monotonic() > until_s:
            return nodes
        time.sleep(RECORD_LOOK_S)


@contextmanager
def _unrecorded(pid: int) -> Iterator[int]:
    """Let nobody record how a process ends meanwhile, and give the PID of its recorder, 0 if it has none."""
    parent = table.parent(pid)
    record = recorder.record_of(parent.argv) if parent is not None else ""
    try:
        handle = os.pidfd_open(parent.pid) if parent is not None and record else -1
    except OSError:  # it has just ended, and so has the process
        handle = -1
    if parent is None or handle < 0:
        yield 0
        return
    try:
        recorder.withdraw(record)
        yield parent.pid
        select.select([handle], [], [], RECORD_TIMEOUT_S)
        recorder.withdraw(record)  # it may have looked for it just before
    finally:
        os.close(handle)


def _drop_oldest_logs(directory: Path, living: set[str]) -> None:
    """Remove the logs of processes that ended longest ago: every version of a node leaves one."""
    logs = [path for path in directory.glob("*.log") if path.stem not in living]
    with suppress(OSError):  # another start does the same at this moment
        for old in sorted(logs, key=lambda path: path.stat().st_mtime)[:-KEPT_LOGS]:
            old.unlink()


def environment(spec: ProcessSpec) -> dict[str, str]:
    """Return a process's environment: little of the controller's, then the spec's.

    The package must be importable there as it is here, also where it runs from a source tree.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    tree = str(Path(__file__).resolve().parents[2])
    paths = [tree, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**inherited, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), **dict(spec.environment)}


def _names(entry: table.Entry) -> tuple[str, str]:
    """Return the instance and the node instance that a process runs, by its arguments; empty where it runs none."""
    places = [place for place in range(len(entry.argv) - 1) if entry.argv[place : place + 2] == MODULE]
    if not places:
        return "", ""
    behind = entry.argv[places[0] + 2 :]
    given = dict(zip(behind[::2], behind[1::2], strict=False))
    return given.get(INSTANCE, ""), given.get("--name", "")


def _end(handle: int, pid: int, timeout_s: float) -> None:
    for number, wait_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, KILL_TIMEOUT_S)):
        try:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
        except OSError as error:
            msg = f"can't end process {pid}: {error.strerror}"
            raise ProcessError(msg) from error
        if select.select([handle], [], [], wait_s)[0]:
            return
    msg = f"process {pid} does not end even when killed: it waits for a device or file system; look at it by hand"
    raise ProcessError(msg)
