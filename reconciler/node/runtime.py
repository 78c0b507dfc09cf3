"""The node runtime: a small reconciler that makes its sessions match its assignments.

It holds `alive` by `flock`, writes `status.json`, and serves each assigned session in a thread of its own.

Rule: `assignments.json` is all it goes by. It looks when it is rung for, and once a second in any case.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Tuple, Type

from reconciler.contract import env, exits, files, lock, names
from reconciler.contract.doorbell import Doorbell
from reconciler.node import bounded, code, later, stall
from reconciler.node.calm import Calm
from reconciler.node.doing import Doing, Place
from reconciler.node.usage import Meter
from reconciler.node.worker import Worker
from reconciler.stream.channel import Domain
from reconciler.stream.errors import StreamError

if TYPE_CHECKING:
    from types import FrameType

START_S = 0.05
"""Time for sessions that were just assigned to get ready, so that one status tells it instead of two."""

STATUS_EVERY_S = 1.0
"""Counters are written at most this often; a changed state is written at once."""

ARRAYS_AFTER_S = 5.0
"""When an instance that has had no frame yet may import numpy, so that a first array need not wait for it: as soon as
the machine is calm."""

STOP_TIMEOUT_S = 4.0
"""Time for the nodes' `cleanup` after SIGTERM; the container is killed a little later."""

Key = Tuple[str, str]

_log = logging.getLogger("runtime")


@dataclass(frozen=True)
class Setting:
    """What an instance is started with."""

    name: str
    directory: Path
    node_type: str
    source: Path
    shm_root: Path
    shm_prefix: str


def setting_from(environ: Mapping[str, str]) -> Setting:
    """Read the environment.

    Raises:
        KeyError: if a variable is missing; with its name.
    """
    return Setting(
        name=environ[env.NODE_NAME],
        directory=Path(environ[env.NODE_DIR]),
        node_type=environ[env.NODE_TYPE],
        source=Path(environ[env.SOURCE_DIR]),
        shm_root=Path(environ[env.SHM_ROOT]),
        shm_prefix=environ[env.SHM_PREFIX],
    )


class Runtime:
    """Serves what is assigned until it is told to end."""

    def __init__(self, setting: Setting) -> None:
        """Remember what to run."""
        self._setting = setting
        self._workers: Dict[Key, Worker] = {}
        self._parting: List[Worker] = []
        self._generation = ""
        self._error = ""
        self._written = files.Status("")
        self._written_at = 0.0
        self._stopping = 0
        self._arrays_due = True
        self._calm: Optional[Calm] = None
        self._began_at = time.monotonic()
        self._doing: Optional[Doing] = None
        # Outside a container the control group is everybody's, and says nothing of this process.
        self._meter = Meter() if str(setting.directory) == names.CONTAINER_NODE_DIR else None

    def run(self) -> int:
        """Serve, and return the exit code."""
        self._setting.directory.mkdir(parents=True, exist_ok=True)
        again = (self._setting.directory / "alive").exists()  # who was there before may have left something
        alive = os.open(self._setting.directory / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not lock.take(alive):
            _log.error("%s is served by another process already: end that one first", self._setting.name)
            return exits.TAKEN
        self._doorbell = Doorbell(self._setting.directory)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        self._write_status()
        self._bound_log()
        try:
            return self._serve(sweeps=again)
        finally:
            os.close(alive)

    def _serve(self, *, sweeps: bool) -> int:
        try:
            kind = code.load(self._setting.node_type, self._setting.source)
            root, name = self._setting.shm_root, self._setting.name
            domain = Domain(root, self._setting.shm_prefix, name, sweeps=sweeps)
        except (code.CodeError, StreamError, OSError) as error:
            self._error = str(error)
            self._write_status()
            _log.exception("can't start %s", self._setting.name)
            return exits.BROKEN
        with suppress(OSError):
            self._doing = Doing(self._setting.directory)
        patient = True
        try:
            while not self._stopping:
                if self._converge(domain, kind) and patient:
                    self._doorbell.wait(START_S)
                    patient = False
                    continue  # who rang may be the controller
                patient = True
                self._write_status()
                self._end_where_a_node_hangs()
                self._bound_log()
                self._get_ready_for_arrays()
                self._doorbell.wait(min(STATUS_EVERY_S, stall.due_in_s(self._all_workers())))
            _log.info("%s: ending", signal.Signals(self._stopping).name)
        finally:
            self._stop_all()
            domain.close()
        return exits.DONE

    def _converge(self, domain: Domain, kind: Type[Any]) -> bool:
        """Stop what is not assigned as it runs and start what is assigned and does not run; tell whether any is new."""
        assignments = self._assignments()
        if assignments is None:
            return False
        wanted = _by_key(assignments.sessions)
        for key, worker in list(self._workers.items()):
            if wanted.get(key) != worker.served or worker.parting:
                del self._workers[key]
                self._parting.append(worker)
        self._see_off(wanted, _by_key(assignments.leaving))
        new = wanted.keys() - self._workers.keys()
        for key, served in wanted.items():
            if key in new:
                place = self._place(served.session)
                self._workers[key] = Worker(domain, served, kind, changed=self._doorbell.ring, place=place)
                self._workers[key].start()
        if self._generation != assignments.generation:
            _log.info("generation %s: %d sessions", assignments.generation, len(wanted))
            self._generation = assignments.generation
        return bool(new)

    def _place(self, session: str) -> Place:
        if self._doing is None:
            return Place()
        return self._doing.place(session)

    def _see_off(self, wanted: Mapping[Key, files.Served], leaving: Mapping[Key, files.Served]) -> None:
        """Let those that part finish where somebody goes on between the same ends, and end the others at once.

        Who goes on in another instance is ready by now; who goes on in this one is made now.
        """
        for worker in self._parting:
            key = _key(worker.served)
            successor = wanted.get(key) or leaving.get(key)
            if successor is not None and _ends(successor) == _ends(worker.served):
                worker.leave(heir_comes=key in wanted)
            else:
                worker.stop()
        for worker in self._parting:
            if self._doing is not None and not worker.alive:
                self._doing.free(worker.place)
        self._parting = [worker for worker in self._parting if worker.alive]

    def _assignments(self) -> Optional[files.Assignments]:
        """Read the assignments; a file that is missing or damaged changes nothing."""
        text = files.read_text(self._setting.directory / "assignments.json")
        return None if text is None else files.parse_assignments(text)

    def _write_status(self) -> None:
        speaking = {**{_key(worker.served): worker for worker in self._parting}, **self._workers}
        sessions = tuple(speaking[key].status() for key in sorted(speaking))
        usage = self._meter.read() if self._meter is not None else files.Usage()
        status = files.Status(self._setting.name, self._generation, sessions, self._error, usage)
        if status == self._written and self._is_in_place(status):
            return
        news = _without_counters(status) != _without_counters(self._written)
        if not news and time.monotonic() - self._written_at < STATUS_EVERY_S:
            return
        try:
            files.replace_text(self._setting.directory / "status.json", files.dump(status))
        except OSError as error:
            _log.warning("status can't be written, trying again: %s", error)
            return
        self._written, self._written_at = status, time.monotonic()

    def _is_in_place(self, status: files.Status) -> bool:
        """Whether the file says what was written: it is put right when it is deleted or damaged."""
        return files.read_text(self._setting.directory / "status.json") == files.dump(status)

    def _all_workers(self) -> List[Worker]:
        return [*self._workers.values(), *self._parting]

    @staticmethod
    def _bound_log() -> None:
        with suppress(OSError):  # that ends no stream
            bounded.bound()

    def _end_where_a_node_hangs(self) -> None:
        """Tell of a node that hangs, let the others finish their frames, and end the process, as threads can't be."""
        workers = self._all_workers()
        stall.guard(workers)
        hanging = stall.find(workers)
        if hanging is None:
            return
        note = stall.Note(self._setting.directory)
        self._error = hanging.worker.give_up(hanging.arrival, tried_before=note.has(hanging))
        note.write(hanging, workers)
        self._write_status()
        faulthandler.dump_traceback(all_threads=True)
        self._stop([worker for worker in workers if worker is not hanging.worker])
        os._exit(exits.STALLED)

    def _get_ready_for_arrays(self) -> None:
        """Import numpy when the rush of the start is over, here and elsewhere, and no frame would be held up by it."""
        if not self._arrays_due or time.monotonic() - self._began_at <= ARRAYS_AFTER_S:
            return
        self._calm = self._calm or Calm()
        if any(each.received for each in self._written.sessions):
            self._arrays_due = False
        elif self._calm.is_now():
            self._arrays_due = False
            later.load()

    def _stop_all(self) -> None:
        self._stop(self._all_workers())

    @staticmethod
    def _stop(workers: List[Worker]) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join(max(deadline - time.monotonic(), 0.0))

    def _on_signal(self, number: int, _: Optional[FrameType]) -> None:
        self._stopping = number  # nothing here may take a lock, which the interrupted thread may hold
        self._doorbell.ring()


def _key(served: files.Served) -> Key:
    return (served.session, served.node)


def _by_key(entries: Iterable[files.Served]) -> Dict[Key, files.Served]:
    return {_key(served): served for served in entries}


def _ends(served: files.Served) -> Tuple[Any, ...]:
    return (served.inputs, served.outputs)


def _without_counters(status: files.Status) -> Tuple[Any, ...]:
    sessions = tuple((each.session, each.node, each.generation, each.state, each.message) for each in status.sessions)
    bitten = (status.usage.oom_kills, status.usage.pids_refused > 0, status.usage.throttled)
    return (status.generation, status.error, sessions, bitten)
