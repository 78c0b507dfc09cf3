"""Actions under way: a bounded pool, and a smaller one for builds, so that a slow build holds up nothing else.

Rule: an outcome is put into the memory before anybody is woken, so the next pass knows of it.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.model.action import BuildImage, PullImage
from reconciler.model.errors import ReconcilerError
from reconciler.model.memory import Memory, Outcome, begin, remember, see_sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.action import Action, Step
    from reconciler.model.desired import Desired

WORKERS = 4
"""Engine calls at once: four is where starting containers gains no more on the engines measured."""

BUILDERS = 2


class Queue:
    """Runs steps and keeps the memory. `done` is called after each, in the thread that ran it."""

    def __init__(
        self,
        act: Callable[[Action], None],
        *,
        clock: Callable[[], float],
        done: Callable[[Step, Outcome], None],
    ) -> None:
        self._act = act
        self._clock = clock
        self._done = done
        self._memory = Memory()
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="act")
        self._builders = ThreadPoolExecutor(BUILDERS, thread_name_prefix="build")

    @property
    def memory(self) -> Memory:
        """What is remembered now. Take it *before* a look: what ends during the look must still count as under way."""
        with self._lock:
            return self._memory

    def see(self, desired: Desired) -> None:
        """Note which pipelines have sessions now."""
        with self._lock:
            self._memory = see_sessions(self._memory, desired, now_s=self._clock())

    def submit(self, step: Step) -> None:
        """Have a step done."""
        with self._lock:
            self._memory = begin(self._memory, step)
        pool = self._builders if isinstance(step.action, BuildImage | PullImage) else self._workers
        pool.submit(self._run, step)

    def forgive(self) -> None:
        """Forget failures, so that everything is tried at once."""
        with self._lock:
            self._memory = replace(self._memory, failures={})

    def close(self) -> None:
        """Wait for what is under way and take nothing more. A build is left to end by itself."""
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._builders.shutdown(wait=False, cancel_futures=True)

    def _run(self, step: Step) -> None:
        outcome = Outcome()
        try:
            self._act(step.action)
        except ReconcilerError as error:
            outcome = Outcome(error.reason, str(error), error.retryable)
        except Exception as error:  # noqa: BLE001 - a defect in one action must not stop the others, and is said
            outcome = Outcome("InternalError", f"{type(error).__name__}: {error}", retryable=True)
        with self._lock:
            self._memory = remember(self._memory, step, outcome, now_s=self._clock())
        self._done(step, outcome)
