"""The loop: load, look, plan, act; then wait for a wake-up or the next resync.

A brief pass is for sessions that open where all is well (docs/adr/0022): it looks at leases and nodes' files, takes all
else from the last whole look, and writes assignments and endpoints. A whole pass follows.

Rule: events only wake; looks decide. A look that fails is said once and tried again; nothing is ever done on a guess.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass, replace
from reconciler.controller.bell import Bell
from reconciler.controller.event import Event
from reconciler.controller.pace import Pace
from reconciler.controller.queue import Queue
from reconciler.controller.standing import Standing
from reconciler.model.errors import ReconcilerError
from reconciler.model.memory import new_ends, see_health
from reconciler.model.status import carry_times
from reconciler.plan.outlook import ON_ITS_WAY
from reconciler.plan.plan import Plan, plan_sessions
from reconciler.plan.render import verb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.model.action import Action, Step
    from reconciler.model.desired import Desired
    from reconciler.model.memory import End, Memory, Outcome
    from reconciler.model.observed import Observed
    from reconciler.model.status import ObjectStatus

RESYNC_S = 30.0
"""Longest time without a full look: what every source of wake-ups has missed is found then."""

RETRY_LOOK_S = 1.0
"""Wait after a look that failed."""

LEAST_GAP_S = 0.002
"""Pause between passes, in which wake-ups gather; what comes during a pass gathers anyway."""

GATHER_S = 0.01
"""How long the ends of our own actions gather: what they cause elsewhere is mostly told within that time."""

NEWS_S, NEWS_MOST_S = 0.01, 0.2
"""How often a convergence that is to end asks whether nodes have said anything."""

NEWS_SHARE = 20
"""It waits so many times as long as asking took: milliseconds for a hundred nodes, which want to start meanwhile."""

HASTY_S = 30.0
"""For how long a convergence that is to end may have glimpses, from its last action on: meanwhile all is in motion."""

FOLLOW_S = 0.1
"""How long after a brief pass a whole one comes and tells its outcome: who waits for a session needs the processor."""

FOLLOW_LATEST_S = 1.0
"""When it comes at the latest, while one session opens after the other."""


@dataclass(frozen=True, slots=True)
class World:
    """The outside, as functions. `load` is total, `look` raises when it can't see everything.

    `last_lines` is asked for the last words of an instance that ended, `limit` which limit ended it; both are total.
    `end_builds` cuts off the builds under way when the loop is closed. `glimpse` is a look that may leave out of shared
    memory what is in motion, and tells whether it did not. `load_leases` and `glance` are for brief passes: they load
    and look at what sessions change, and take all else as it was loaded last, and seen before.
    """

    load: Callable[[], Desired]
    look: Callable[[], Observed]
    act: Callable[[Action], None]
    last_lines: Callable[[End], tuple[str, ...]] = lambda _: ()
    limit: Callable[[End], str] = lambda _: ""
    end_builds: Callable[[], None] = lambda: None
    glimpse: Callable[[], tuple[Observed, bool]] | None = None
    load_leases: Callable[[], Desired] | None = None
    glance: Callable[[Observed], Observed] | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass saw and decided.

    `busy`: actions were under way when it looked, so it may not have seen all.
    """

    desired: Desired
    observed: Observed
    plan: Plan
    statuses: tuple[ObjectStatus, ...]
    busy: bool

    @property
    def is_stuck(self) -> bool:
        """Whether it will not help to wait: what is left to do has failed often enough, or is a person's to do."""
        return not self.busy and self.plan.is_stuck

    @property
    def awaited(self) -> int:
        """How many nodes do not run yet."""
        return sum(status.kind == "Node" and not status.is_true("Running") for status in self.statuses)

    @property
    def is_rest(self) -> bool:
        """Whether nothing is left to do, now or later."""
        return not (self.busy or self.plan.steps or self.plan.blocked or self.plan.waiting)


class Loop:
    """Converges one instance. `say` gets every event once; `publish` every pass.

    `known` are conditions as last published: what they say is not said again. `memory` is what is known of before.
    `clock` counts seconds and never goes back: waits and backoff go by it. `last` is the last pass that saw everything,
    `blind` the error of the look since then, if it failed.
    """

    def __init__(
        self,
        world: World,
        *,
        say: Callable[[Event], None],
        publish: Callable[[Pass], None] = lambda _: None,
        known: Iterable[ObjectStatus] = (),
        clock: Callable[[], float] = time.monotonic,
        memory: Memory | None = None,
    ) -> None:
        self._world = world
        self._say = say
        self._publish = publish
        self._clock = clock
        self._wake = Bell()
        self._told = Bell()
        self._whole = Bell()
        self._briefly = Bell()
        self._stop = Bell()
        self._standing = Standing()
        self._queue = Queue(world.act, clock=clock, done=self._done, memory=memory)
        self._statuses = {f"{status.kind}/{status.name}": status for status in known}
        self.blind: ReconcilerError | None = None
        self._blind_said = ""
        self._again_at_s = 0.0
        self._sure = True
        self._looked_at_s = float("-inf")
        self._due_s = 0.0
        self._brief_since_s: float | None = None
        self._news_s = NEWS_S
        self._diagnosed: frozenset[str] = frozenset()
        self.last: Pass | None = None

    def wake(self, *, again_s: float = 0.0, brief: bool = False) -> None:
        """Ask for a pass soon, and for another `again_s` later; where it can, a `brief` one will do. Any thread may."""
        self._again_at_s = max(self._again_at_s, self._clock() + again_s)
        (self._briefly if brief else self._whole).ring()
        self._told.ring()
        self._wake.ring()

    def stop(self) -> None:
        """End `run` soon. Any thread or signal handler may."""
        self._stop.ring()
        self._told.ring()
        self._wake.ring()

    def close(self) -> None:
        """Wait for actions under way. Builds are cut off."""
        self._queue.close(self._world.end_builds)

    def run(self) -> None:
        """Converge until `stop`."""
        while not self._stop.rings():
            self._rest(self._turn_after_rest() if self.last is not None and self.last.is_rest else self.turn())

    def run_until(
        self, done: Callable[[Pass], bool], *, timeout_s: float, news: Callable[[], bool] | None = None
    ) -> bool:
        """Converge until a pass satisfies `done`; False when it did not in time.

        `news` is asked often, and tells whether there is a reason for a pass that nobody else tells of.
        """
        deadline_s = self._clock() + timeout_s
        hasty_until_s = self._clock() + HASTY_S
        hasty = False
        pace = Pace()
        while not self._stop.rings():
            if news is not None:
                news()  # what there is by now, the pass sees
            began_s = self._clock()
            wait_s = self.turn(hasty=hasty)
            took_s = self._clock() - began_s
            if self.last is not None and self.blind is None and done(self.last):
                if self._sure:
                    return True
                hasty = False
                continue
            if self._queue.under_way:
                hasty_until_s = self._clock() + HASTY_S
            hasty = self._clock() < hasty_until_s
            left_s = deadline_s - self._clock()
            if left_s <= 0:
                return False
            if self.last is not None:
                pace.passed(added=bool(self.last.plan.steps), awaited=self.last.awaited, took_s=took_s)
            poll_s = pace.poll_s(self._queue.under_way, told=news is not None)
            if self._hear(min(wait_s, left_s, poll_s), news):
                self._gather(pace, news)
        return False

    def turn(self, *, hasty: bool = False) -> float:
        """Make one pass and return how long to wait for the next, in seconds. A hasty one may have a glimpse only."""
        self._told.muffle()
        self._wake.muffle()
        try:
            if self._may_be_brief() and self._brief_pass():
                return max(self._due_s - self._clock(), 0.0)
            self._whole.muffle()
            self._briefly.muffle()
            self._brief_since_s = None
            self._looked_at_s = self._clock()
            done = self._pass(hasty=hasty)
        except ReconcilerError as error:
            self._looked_at_s = float("-inf")
            self._say_blind(error)
            return RETRY_LOOK_S
        self.blind = None
        self._blind_said = "" if self._sure else self._blind_said  # a glimpse may see where a look fails
        self.last = done
        now_s = self._clock()
        again_s = self._again_at_s - now_s
        waits = [RESYNC_S, done.plan.requeue_s, again_s if again_s > 0 else None]
        wait_s = max(min(wait_s for wait_s in waits if wait_s is not None), LEAST_GAP_S)
        self._due_s = now_s + wait_s
        return wait_s

    def _turn_after_rest(self) -> float:
        """Make a pass that may have a glimpse only, and where it had, a whole one at once.

        Who died in shared memory takes 0.2 s to find out among a hundred, and nothing but the sweeping depends on it.
        """
        wait_s = self.turn(hasty=True)
        return wait_s if self._sure or self.blind is not None or self._stop.rings() else self.turn()

    def _may_be_brief(self) -> bool:
        """Whether a brief pass was asked for, and the last whole look still counts.

        It left nothing to do, nothing else was told of since, and it is not older than looks may be at rest.
        """
        last, now_s = self.last, self._clock()
        if self._whole.rings() or not self._briefly.rings():
            return False
        if last is None or last.busy or last.plan.steps or not self._sure:
            return False
        since_s = now_s if self._brief_since_s is None else self._brief_since_s
        return now_s - self._looked_at_s < RESYNC_S and now_s - since_s < FOLLOW_LATEST_S

    def _brief_pass(self) -> bool:
        """Write what sessions need; False where there is more to do than that, of which nothing is done here."""
        world, last, memory = self._world, self.last, self._queue.memory
        if last is None or world.glance is None or world.load_leases is None:
            return False
        self._briefly.muffle()
        desired, observed = world.load_leases(), world.glance(last.observed)
        steps = plan_sessions(desired, observed, memory, now_s=self._clock())
        if steps is None:
            return False
        now_s = self._clock()
        self._brief_since_s = now_s if self._brief_since_s is None else self._brief_since_s
        self._due_s = min(self._due_s, now_s + FOLLOW_S, self._brief_since_s + FOLLOW_LATEST_S)
        self._queue.do(steps)
        return True

    def _pass(self, *, hasty: bool) -> Pass:
        memory = self._queue.memory  # before the look: what ends during it must still count as under way
        desired = self._world.load()
        observed = self._look(hasty=hasty)
        self._queue.see(desired, observed, in_flight=memory.in_flight)
        memory = see_health(memory, observed, now_s=self._clock(), in_flight=memory.in_flight)
        memory = replace(memory, ends=self._read_ends(observed))
        found = self._standing.plan(desired, observed, memory, now_s=self._clock())
        for step in found.steps:
            self._queue.submit(step)
        statuses = self._date(found.statuses)
        self._say_diagnostics(desired)
        made = Pass(desired, observed, found, statuses, busy=bool(memory.in_flight))
        self._publish(made)
        return made

    def _look(self, *, hasty: bool) -> Observed:
        if not hasty or self._world.glimpse is None:
            observed, self._sure = self._world.look(), True
        else:
            observed, self._sure = self._world.glimpse()
        return observed

    def _read_ends(self, observed: Observed) -> Mapping[str, End]:
        """Read what explains the ends of instances that have ended since the last look, once for each end."""
        ends = [
            replace(end, lines=self._world.last_lines(end), limit=self._world.limit(end))
            for end in new_ends(self._queue.memory, observed)
        ]
        self._queue.note_ends(observed, ends)
        return self._queue.memory.ends

    def _rest(self, wait_s: float) -> None:
        if not self._wake.wait(wait_s) or not (self._whole.rings() or self._stop.rings()):
            return
        self._told.wait(GATHER_S)
        self._stop.wait(LEAST_GAP_S)

    def _hear(self, wait_s: float, news: Callable[[], bool] | None) -> bool:
        """Wait until somebody wakes us or there is news, and tell whether that came first."""
        while wait_s > 0:
            slice_s = wait_s if news is None else min(wait_s, self._news_s)
            if self._wake.wait(slice_s):
                return True
            if news is not None and self._has(news):
                self._told.ring()
                return True
            wait_s -= slice_s
        return False

    def _has(self, news: Callable[[], bool]) -> bool:
        """Ask whether there is news, and note how often one may ask."""
        began_s = time.thread_time()
        found = news()
        took_s = time.thread_time() - began_s
        self._news_s = min(max(NEWS_S, NEWS_SHARE * took_s), NEWS_MOST_S)
        return found

    def _gather(self, pace: Pace, news: Callable[[], bool] | None) -> None:
        """Wait for what follows a wake-up closely, as long as that costs no time: see `pace.py`."""
        began_s = self._clock()
        while (under_way := self._queue.under_way) or self._told.rings():
            left_s = began_s + pace.most_s(under_way) - self._clock()
            self._wake.muffle()
            if self._stop.rings() or not self._hear(min(left_s, pace.quiet_s(under_way)), news):
                break
        self._stop.wait(LEAST_GAP_S)

    def _date(self, statuses: tuple[ObjectStatus, ...]) -> tuple[ObjectStatus, ...]:
        now_s = time.time()
        dated: dict[str, ObjectStatus] = {}
        for status in statuses:
            key = f"{status.kind}/{status.name}"
            before = self._statuses.get(key)
            dated[key] = carry_times(before, status, now_s=now_s)
            if dated[key] is not before:
                self._say_changes(before, status, now_s=now_s)
        self._statuses = dated
        return tuple(dated.values())

    def _say_changes(self, before: ObjectStatus | None, status: ObjectStatus, *, now_s: float) -> None:
        """Say when a pipeline or node becomes ready or degraded, or ceases to be, or for another reason is not."""
        for condition in status.conditions:
            last = before.condition(condition.type) if before else None
            changed = last is None or (last.status, last.reason) != (condition.status, condition.reason)
            good = (condition.status == "True") == (condition.type not in _BAD_WHEN_TRUE)
            first = last is None and (not good or condition.type in _BITES)
            if changed and not first and condition.type in {"Ready", "Accepted", *_BAD_WHEN_TRUE}:
                expected = good or condition.reason in _EXPECTED
                name = f"{status.kind.lower()}/{status.name}"
                text = f"{condition.type}={condition.status} {condition.message}".strip()
                self._say(Event(now_s, "Normal" if expected else "Warning", name, condition.reason, text))

    def _done(self, step: Step, outcome: Outcome) -> None:
        reason = outcome.reason or type(step.action).__name__
        what = f"{verb(step.action)}, because {step.cause}"
        text = f"{what}: {outcome.message}" if outcome.reason else what
        self._say(Event(time.time(), "Warning" if outcome.reason else "Normal", step.object, reason, text))
        if self._brief_since_s is None or outcome.reason:  # else a whole pass follows
            self._whole.ring()
            self._wake.ring()

    def _say_blind(self, error: ReconcilerError) -> None:
        said, self.blind, self._blind_said = self._blind_said, error, str(error)
        if said != str(error):
            self._say(Event(time.time(), "Warning", "controller", error.reason, str(error)))

    def _say_diagnostics(self, desired: Desired) -> None:
        present = frozenset(str(diagnostic) for diagnostic in desired.diagnostics)
        for text in sorted(present - self._diagnosed):
            self._say(Event(time.time(), "Warning", "manifests", "Invalid", text))
        self._diagnosed = present


_BITES = {"Limited", "Throttled"}
_BAD_WHEN_TRUE = {"Degraded", *_BITES}
_EXPECTED = ON_ITS_WAY | {"Idle", "Suspended"}
