"""Actions under way: a bounded pool, and a smaller one for builds, so that a slow build holds up nothing else.

Rule: an outcome is put into the memory before anybody is woken, so the next pass knows of it. Builds run in daemon
threads and are cut off at the end, since nobody who asks a controller to end wants to wait for one.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from reconciler.model.action import BuildImage, PullImage
from reconciler.model.errors import ReconcilerError
from reconciler.model.memory import (
    Memory,
    Outcome,
    begin,
    forget,
    note_ends,
    remember,
    see_health,
    see_images,
    see_sessions,
    see_signs_of_life,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import ThreadPoolExecutor

    from reconciler.model.action import Action, Step
    from reconciler.model.desired import Desired
    from reconciler.model.memory import End
    from reconciler.model.observed import Observed

WORKERS = 16
"""Engine calls at once. On two cores more than four start no more containers in a second; but those whose start was
asked for late then wait behind the programs of the early ones, which want the same cores."""

BUILDERS = 2

CUT_OFF_S = 10.0
"""How long builds that were cut off may take to clean up."""


def pool() -> ThreadPoolExecutor:
    """Return the threads in which actions run."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a pass at rest must not pay for it

    return ThreadPoolExecutor(WORKERS, thread_name_prefix="act")


class Queue:
    """Runs steps and keeps the memory. `done` is called after each, in the thread that ran it."""

    def __init__(
        self,
        act: Callable[[Action], None],
        *,
        clock: Callable[[], float],
        done: Callable[[Step, Outcome], None],
        memory: Memory | None = None,
    ) -> None:
        self._act = act
        self._clock = clock
        self._done = done
        self._memory = memory or Memory()
        self._lock = threading.Lock()
        self._builders = threading.BoundedSemaphore(BUILDERS)
        self._building: dict[str, threading.Thread] = {}

    @property
    def memory(self) -> Memory:
        """What is remembered now. Take it *before* a look: what ends during the look must still count as under way."""
        with self._lock:
            return self._memory

    @property
    def under_way(self) -> int:
        """How many actions are under way or wait for a worker, without builds."""
        with self._lock:
            return len(self._memory.in_flight) - len(self._building)

    def see(self, desired: Desired, observed: Observed, *, in_flight: frozenset[str]) -> None:
        """Note which pipelines have sessions and which instances are up or silent, and forget what is no more.

        `in_flight` are the objects with an action under way when the look began.
        """
        now_s = self._clock()
        with self._lock:
            seen = see_signs_of_life(see_sessions(self._memory, desired, now_s=now_s), observed, now_s=now_s)
            seen = see_health(seen, observed, now_s=now_s, in_flight=in_flight)
            self._memory = forget(see_images(seen, observed, now_s=now_s), observed, now_s=now_s, in_flight=in_flight)

    def note_ends(self, observed: Observed, ends: Iterable[End]) -> None:
        """Note how instances ended."""
        with self._lock:
            self._memory = note_ends(self._memory, observed, ends)

    def submit(self, step: Step) -> None:
        """Have a step done."""
        with self._lock:
            self._memory = begin(self._memory, step)
        if isinstance(step.action, BuildImage | PullImage):
            thread = threading.Thread(target=self._build, args=(step,), daemon=True, name=f"build-{step.object}")
            self._building[step.object] = thread
            thread.start()
        else:
            self._workers.submit(self._run, step)

    def do(self, steps: Iterable[Step]) -> None:
        """Do steps in this thread, one after the other; what they are is told when all are done.

        Only what takes a moment may be done so. Another thread would wait for this one to let go of the interpreter.
        """
        ended = []
        for step in steps:
            with self._lock:
                self._memory = begin(self._memory, step)
            ended.append((step, self._end(step)))
        for step, outcome in ended:
            self._done(step, outcome)

    def close(self, end_builds: Callable[[], None] = lambda: None) -> None:
        """Wait for what is under way and take nothing more.

        Builds are cut off, and have a while to clean up after themselves; what they leave all the same, the next
        controller does.
        """
        if "_workers" in vars(self):
            self._workers.shutdown(wait=True, cancel_futures=True)
        if not self._building:
            return
        with suppress(ReconcilerError):
            end_builds()
        until_s = time.monotonic() + CUT_OFF_S
        for thread in tuple(self._building.values()):
            thread.join(max(until_s - time.monotonic(), 0))

    @cached_property
    def _workers(self) -> ThreadPoolExecutor:
        return pool()

    def _build(self, step: Step) -> None:
        try:
            with self._builders:
                self._run(step)
        finally:
            self._building.pop(step.object, None)

    def _run(self, step: Step) -> None:
        self._done(step, self._end(step))

    def _end(self, step: Step) -> Outcome:
        """Do what a step says and remember how it ended."""
        outcome = Outcome()
        try:
            self._act(step.action)
        except ReconcilerError as error:
            outcome = Outcome(error.reason, str(error), error.retryable)
        except Exception as error:  # noqa: BLE001 - a defect in one action must not stop the others, and is said
            outcome = Outcome("InternalError", f"{type(error).__name__}: {error}", retryable=True)
        with self._lock:
            self._memory = remember(self._memory, step, outcome, now_s=self._clock())
        return outcome
