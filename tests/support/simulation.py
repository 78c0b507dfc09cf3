"""One instance in a simulated world: the real loop, look and actions; engine, processes and shared memory of values.

Files are real ones in a directory of the simulation's own, with real locks. Time is a number. Actions run when the
simulation says so, in the order it says, so that a history that is run again goes the same way.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

from reconciler.actuate.execute import Doors, execute
from reconciler.actuate.files import prepare
from reconciler.contract import env, files
from reconciler.contract.files import READY, SessionStatus, Status
from reconciler.controller import queue
from reconciler.controller.loop import LEAST_GAP_S, Loop, World
from reconciler.model.errors import ProcessError
from reconciler.model.observed import Process, ProcessEnd, ShmNode, ShmService, Site
from reconciler.observe.snapshot import glance, observe
from tests.support.unreliable_engine import UnreliableEngine, ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from reconciler.controller.loop import Pass
    from reconciler.model.action import Action
    from reconciler.model.desired import Desired
    from reconciler.model.instance import ProcessSpec
    from reconciler.model.observed import Observed
    from tests.support.model_engine import Contained, When

INSTANCE = "test"


class ControllerKilled(BaseException):
    """The controller ends here and now."""


@dataclass
class Processes:
    """The host's process table."""

    living: dict[int, tuple[ProcessSpec, str]] = field(default_factory=dict)
    ended: dict[str, ProcessEnd] = field(default_factory=dict)
    faults: list[tuple[str, When]] = field(default_factory=list)
    last_pid: int = 100

    def list(self, instance: str) -> tuple[Process, ...]:
        """Return what lives."""
        del instance
        found = [Process(spec.name, pid, started) for pid, (spec, started) in self.living.items()]
        return tuple(sorted(found, key=lambda process: (process.name, process.pid)))

    def ends(self, instance: str, nodes: str) -> tuple[ProcessEnd, ...]:
        """Return what was told of those that were killed."""
        del instance, nodes
        return tuple(end for _, end in sorted(self.ended.items()))

    def start(self, spec: ProcessSpec) -> None:
        """Start a process; one that runs is success."""
        self._fault("start", "before")
        if all(there.name != spec.name for there, _ in self.living.values()):
            self.last_pid += 1
            self.living[self.last_pid] = (spec, f"at-{self.last_pid}")
        self._fault("start", "after")

    def stop(self, pid: int, started: str, *, timeout_s: float) -> None:
        """End a process, if it is still the same."""
        del timeout_s
        self._fault("stop", "before")
        if pid in self.living and self.living[pid][1] == started:
            del self.living[pid]
        self._fault("stop", "after")

    def _fault(self, verb: str, when: When) -> None:
        if (verb, when) in self.faults:
            self.faults.remove((verb, when))
            raise ProcessError(f"can't {verb}")


@dataclass
class SharedMemory:
    """What iceoryx2 holds: dead nodes by id, and services with who has them open."""

    dead: set[str] = field(default_factory=set)
    services: dict[str, set[str]] = field(default_factory=dict)

    def look(self) -> tuple[tuple[ShmNode, ...], tuple[ShmService, ...]]:
        """Return nodes and services."""
        services = (ShmService(name, name, len(opened)) for name, opened in self.services.items())
        return tuple(ShmNode(found, found, dead=True) for found in sorted(self.dead)), tuple(services)

    def remove_dead_nodes(self, ids: tuple[str, ...]) -> None:
        """Reclaim what dead nodes left."""
        self.dead -= set(ids)

    def leave(self, key: str, *, keep: AbstractSet[str] = frozenset()) -> None:
        """Close what a node has open, but for what it keeps; who is last takes the service away."""
        for name, opened in list(self.services.items()):
            if key in opened and name not in keep:
                opened.discard(key)
                if not opened:
                    del self.services[name]

    def remove_service(self, service: str) -> None:
        """Remove a service that nobody has open."""
        assert not self.services.get(service), f"{service} is open"
        self.services.pop(service, None)


class _Threads:
    """Takes the place of the queue's threads: what they would do waits until the simulation has it done."""

    def __init__(self, waiting: list[Callable[[], None]]) -> None:
        self._waiting = waiting

    def submit(self, function: Callable[..., None], *args: object) -> None:
        """Stand in for a pool's method."""
        self._waiting.append(lambda: function(*args))

    def thread(self, *, target: Callable[..., None], args: tuple[object, ...], **_: object) -> Any:
        """Stand in for a thread of its own."""
        return SimpleNamespace(start=lambda: self._waiting.append(lambda: target(*args)))


@dataclass
class _Runtime:
    """A node that runs: the lock it holds, and the directory that was there when it started."""

    lock: int
    place: int
    name: str


class Simulation:
    """A world with a controller in it. Close it, or use it as a context manager."""

    def __init__(self, directory: Path, desired: Desired, *, tags: tuple[str, ...]) -> None:
        self.directory = directory
        self.site = _site(directory)
        self.desired = desired
        self.engine = UnreliableEngine(tags=tags)
        self.processes = Processes()
        self.shm = SharedMemory()
        self.now_s = 1_000.0
        self.acted: list[Action] = []
        self.seen: Observed | None = None
        self.check: Callable[[Pass], None] = lambda _: None
        self.kill_after: int | None = None
        """Half calls until the controller is killed: an odd number means after a call's effect."""
        self.ended: dict[str, int] = {}
        """How often something other than the controller ended a container, by id."""
        self._waiting: list[Callable[[], None]] = []
        self._runtimes: dict[str, _Runtime] = {}
        self._stack = ExitStack()
        threads = _Threads(self._waiting)
        own = SimpleNamespace(**{**vars(threading), "Thread": threads.thread})
        self._stack.enter_context(mock.patch.object(queue, "pool", return_value=threads))
        self._stack.enter_context(mock.patch.object(queue, "threading", own))
        self.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for runtime in self._runtimes.values():
            os.close(runtime.lock)
        self._stack.close()

    # The controller.

    def restart(self) -> None:
        """Kill the controller, with all it remembers and all that it had not begun, and start the next."""
        self._waiting.clear()
        self.kill_after = None
        self.processes.ended.clear()  # the host told the one that is gone
        prepare(self.site)
        world = World(lambda: self.desired, self._look, self._act, load_leases=lambda: self.desired, glance=glance)
        self.loop = Loop(world, say=lambda _: None, publish=self._check, clock=lambda: self.now_s)

    def turn(self, *, work: int | None = None, order: int = 0) -> None:
        """Make a pass, let nodes live, do what waits (or `work` of it, from place `order` on), and let time pass."""
        self._live()
        try:
            wait_s = self.loop.turn()
            self._work(work, order)
        except ControllerKilled:
            self.restart()
            return
        self.now_s += LEAST_GAP_S if self.loop._wake.rings() else wait_s

    def rest(self, *, within: int = 200) -> None:
        """Make passes until nothing is left to do and every node is as it will be."""
        quiet = 0
        for _ in range(within):
            self.turn()
            resting = self.loop.last is not None and self.loop.last.is_rest and not self._waiting
            quiet = quiet + 1 if resting and not self.loop._wake.rings() else 0
            if quiet > 3:
                return
        last = self.loop.last
        msg = f"no rest; last: {last and (last.plan.steps, last.plan.blocked, last.statuses)}"
        raise AssertionError(msg)

    def _check(self, made: Pass) -> None:
        self.check(made)

    def _work(self, count: int | None, order: int) -> None:
        for _ in range(len(self._waiting) if count is None else min(count, len(self._waiting))):
            self._waiting.pop(order % len(self._waiting))()

    def _look(self) -> Observed:
        self.seen = observe(self.engine, self.processes, self.shm, self.site)
        return self.seen

    def _act(self, action: Action) -> None:
        self._maybe_killed()
        self.acted.append(action)
        execute(Doors(self.engine, self.processes, self.shm, self.site), action)
        self._maybe_killed()

    def _maybe_killed(self) -> None:
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after < 0:
                raise ControllerKilled

    # The nodes.

    def _live(self) -> None:
        """Let each node that runs take its lock, then take in its assignments; let the ended ones go."""
        running = {c.id: c.spec.name for c in ours(self.engine, INSTANCE) if c.state == "running"}
        running |= {str(pid): spec.name for pid, (spec, _) in self.processes.living.items()}
        for key in [key for key in self._runtimes if key not in running]:
            self._end(key)
        for key, name in running.items():
            place = Path(self.site.nodes_dir, name)
            if key in self._runtimes:
                self._serve(key, place)
            elif place.is_dir():
                self._begin(key, place)

    def _begin(self, key: str, place: Path) -> None:
        lock = os.open(place / "alive", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return
        self._runtimes[key] = _Runtime(lock, place.stat().st_ino, place.name)

    def _serve(self, key: str, place: Path) -> None:
        if not place.is_dir() or place.stat().st_ino != self._runtimes[key].place:
            return
        assignments = files.parse_assignments(files.read_text(place / "assignments.json") or "")
        if assignments is None:
            return
        served = tuple(SessionStatus(s.session, s.node, READY, generation=s.generation) for s in assignments.sessions)
        files.replace_text(place / "status.json", files.dump(Status(place.name, assignments.generation, served)))
        wanted = {c.name for s in assignments.sessions for c in (*s.inputs, *s.outputs)}
        self.shm.leave(key, keep=wanted)
        for name in wanted:
            self.shm.services.setdefault(name, set()).add(key)

    def _end(self, key: str, *, killed: bool = False) -> None:
        runtime = self._runtimes.pop(key, None)
        if runtime is None:
            return
        os.close(runtime.lock)
        if killed:
            self.shm.dead.add(f"node-{key}")
            for opened in self.shm.services.values():
                opened.discard(key)
        else:
            self.shm.leave(key)

    # What a person or a fault does.

    def kill_container(self, found: Contained, exit_code: int) -> None:
        """End a container behind the controller's back."""
        if found.state in {"running", "paused"}:
            self.engine.end(found.id, exit_code)
            self.ended[found.id] = self.ended.get(found.id, 0) + 1
            self._end(found.id, killed=exit_code == 137)

    def remove_container(self, found: Contained) -> None:
        """Remove a container by force."""
        self._end(found.id, killed=True)
        self.engine.containers.pop(found.id, None)

    def kill_process(self, pid: int) -> None:
        """Kill a host process."""
        spec, _ = self.processes.living.pop(pid)
        self.processes.ended[spec.name] = ProcessEnd(spec.name, pid, 137)
        self._end(str(pid), killed=True)

    def restart_engine(self) -> None:
        """Restart the engine: every container ends."""
        for found in list(self.engine.containers.values()):
            self.kill_container(found, 255)

    def reboot(self) -> None:
        """Reboot the machine: containers stop, processes, shared memory and the runtime directory are gone."""
        self.restart_engine()
        for pid in list(self.processes.living):
            self.kill_process(pid)
        self.shm.dead.clear()
        self.shm.services.clear()
        shutil.rmtree(self.directory / "run")
        self.restart()


def process_wish(spec: ProcessSpec) -> tuple[str, str]:
    """Return node type and source digest of a process."""
    environment = dict(spec.environment)
    return environment[env.NODE_TYPE], environment[env.SOURCE_DIR].rsplit("/", 1)[-1]


def _site(directory: Path) -> Site:
    run, state = directory / "run", directory / "state"
    return Site(
        instance=INSTANCE,
        uid=0,
        gid=0,
        python="/venv/bin/python",
        nodes_dir=str(run / "nodes"),
        sources_dir=str(state / "sources"),
        logs_dir=str(state / "logs"),
        shm_root=str(run / "iox2"),
        shm_prefix="iox2_test_",
        runtime_version="1",
        version="1",
    )
