"""What the planner must know of earlier passes. Losing it costs patience, never truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass, field, replace
from reconciler.model.action import (
    PullImage,
    RestartContainer,
    StartContainer,
    StartProcess,
    Step,
    StopContainer,
    StopProcess,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from reconciler.model.desired import Desired
    from reconciler.model.observed import Container, Observed

HEALTHY_AFTER_S = 600.0
"""An object that went well for this long is forgiven its earlier failures."""


KEEP_PULLS_S = 86_400.0
"""How long it is known when an image was pulled."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How often in a row an action on an object went wrong. Times are seconds of the controller's clock."""

    count: int
    at_s: float
    reason: str
    message: str
    retryable: bool = True
    action: str = ""


@dataclass(frozen=True, slots=True)
class Starts:
    """How often an instance was started in a row without a healthy while between, when last, and how often in all.

    `up_s` is since when it has been up, from its start or from when it was seen so; None while it is not.
    """

    count: int
    at_s: float
    total: int = 1
    up_s: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How an instance ended last, its last lines, and which limit ended it, in words; empty where none did.

    `container` is the id of its container, empty for a host process; `run` tells one end from the next: it counts the
    starts before, or is the PID.
    """

    name: str
    container: str
    run: int
    exit_code: int | None
    lines: tuple[str, ...] = ()
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action ended. `reason` is CamelCase, as in conditions; empty when it went well."""

    reason: str = ""
    message: str = ""
    retryable: bool = True


@dataclass(frozen=True, slots=True)
class Memory:
    """Failures and starts by object, objects with an action under way, and when a pipeline last had a session."""

    failures: Mapping[str, Failure] = field(default_factory=dict)
    starts: Mapping[str, Starts] = field(default_factory=dict)
    in_flight: frozenset[str] = frozenset()
    last_session_s: Mapping[str, float] = field(default_factory=dict)
    silent_since_s: Mapping[str, float] = field(default_factory=dict)
    """Since when an instance runs and its runtime gives no sign of life, by the instance's name."""
    pulled_s: Mapping[str, float] = field(default_factory=dict)
    """When an image was last pulled, by its reference."""
    image_used_s: Mapping[str, float] = field(default_factory=dict)
    """When an image of ours was last used, or first seen, by its key."""
    ends: Mapping[str, End] = field(default_factory=dict)
    """How an instance ended last, by its name."""
    stopped: Mapping[str, str] = field(default_factory=dict)
    """Instances that we have told to end, by name, with the id of the container or the PID: they ended well."""


def begin(memory: Memory, step: Step) -> Memory:
    """Note that an action is under way.

    What is told to end has ended by our will from now on. It is no crash, and forgives those before; but not where it
    is to end since it gives no sign of life.
    """
    memory = replace(memory, in_flight=memory.in_flight | {step.object})
    match step.action:
        case StopContainer(name=name, id=run):
            pass
        case StopProcess(name=name, pid=pid):
            run = str(pid)
        case _:
            return memory
    starts = dict(memory.starts)
    if step.object in starts and name not in memory.silent_since_s:
        starts[step.object] = replace(starts[step.object], count=0)
    return replace(memory, starts=starts, stopped={**memory.stopped, name: run})


def remember(memory: Memory, step: Step, outcome: Outcome, *, now_s: float) -> Memory:
    """Note how an action ended."""
    failures = dict(memory.failures)
    starts = dict(memory.starts)
    previous = failures.get(step.object)
    if outcome.reason:
        count = previous.count + 1 if previous else 1
        kind = type(step.action).__name__
        failures[step.object] = Failure(count, now_s, outcome.reason, outcome.message, outcome.retryable, kind)
    else:
        failures.pop(step.object, None)
    silent = dict(memory.silent_since_s)
    stopped = dict(memory.stopped)
    if outcome.reason and isinstance(step.action, StopContainer | StopProcess):
        stopped.pop(step.action.name, None)
    if not outcome.reason and isinstance(step.action, StartContainer | StartProcess | RestartContainer):
        name = step.object.split("/", 1)[1]
        silent.pop(name, None)
        stopped.pop(name, None)
        last = starts.get(step.object, Starts(0, now_s, 0))
        starts[step.object] = Starts(last.count + 1, now_s, last.total + 1, up_s=now_s)
    in_flight = memory.in_flight - {step.object}
    memory = replace(memory, failures=failures, starts=starts, in_flight=in_flight)
    memory = replace(memory, silent_since_s=silent, stopped=stopped)
    return memory if outcome.reason else note_pull(memory, step, now_s=now_s)


def note_pull(memory: Memory, step: Step, *, now_s: float) -> Memory:
    """Note when an image was pulled, if that is what a step has done."""
    match step.action:
        case PullImage(reference=reference):
            return replace(memory, pulled_s={**memory.pulled_s, reference: now_s})
        case _:
            return memory


def see_signs_of_life(memory: Memory, observed: Observed, *, now_s: float) -> Memory:
    """Note which instances run without their runtime, each with the first time it was seen so."""
    running = {c.name for c in observed.containers if c.state == "running"} | {p.name for p in observed.processes}
    silent = running - {files.name for files in observed.node_files if files.alive}
    return replace(memory, silent_since_s={name: memory.silent_since_s.get(name, now_s) for name in sorted(silent)})


def see_health(memory: Memory, observed: Observed, *, now_s: float, in_flight: frozenset[str]) -> Memory:
    """Note what is up and what is not, and forgive what has been up for long its earlier ends.

    Only while it is up does time count: what waits for its next start, or gives no sign of life, does not get better
    by that. `in_flight` are the objects with an action under way when the look began, of which it tells nothing.
    """
    if not memory.starts:
        return memory
    alive = {files.name for files in observed.node_files if files.alive}
    up = {f"process/{process.name}" for process in observed.processes if process.name in alive}
    up |= {f"container/{c.name}" for c in observed.containers if c.state == "running" and _is_well(c, alive)}
    starts = {
        key: last if key in in_flight else _after_look(last, is_up=key in up, now_s=now_s)
        for key, last in memory.starts.items()
    }
    return memory if starts == memory.starts else replace(memory, starts=starts)


def _is_well(container: Container, alive: Collection[str]) -> bool:
    """Whether a container that runs does what it is for; in a sandbox there is no runtime that could give a sign."""
    return container.kind != "node" or container.name in alive


def _after_look(last: Starts, *, is_up: bool, now_s: float) -> Starts:
    healthy = last.up_s is not None and now_s - last.up_s >= HEALTHY_AFTER_S
    up_s = (now_s if last.up_s is None else last.up_s) if is_up else None
    return replace(last, count=0 if healthy else last.count, up_s=up_s)


def new_ends(memory: Memory, observed: Observed) -> Iterator[End]:
    """Yield the ends that are not noted yet, their lines still to be read."""
    for end in _ends(memory, observed):
        noted = memory.ends.get(end.name)
        if noted is None or replace(noted, lines=(), limit="") != end:
            yield end


def _ends(memory: Memory, observed: Observed) -> Iterator[End]:
    for container in observed.containers:
        if container.state == "exited":
            starts = memory.starts.get(f"container/{container.name}")
            yield End(container.name, container.id, starts.total if starts else 0, container.exit_code)
    for ended in observed.process_ends:
        yield End(ended.name, "", ended.pid, ended.exit_code)


def note_ends(memory: Memory, observed: Observed, ends: Iterable[End]) -> Memory:
    """Note ends, and drop those of what is gone."""
    there = {(c.name, c.id) for c in observed.containers} | {(end.name, "") for end in observed.process_ends}
    known = {**memory.ends, **{end.name: end for end in ends}}
    return replace(memory, ends={name: end for name, end in known.items() if (name, end.container) in there})


def see_images(memory: Memory, observed: Observed, *, now_s: float) -> Memory:
    """Note which images of ours are used now. One that was not known before counts as used."""
    used = {container.image_id for container in observed.containers}
    ours = [image for image in observed.images if image.env_hash or image.stage]
    times = {image.key: now_s if image.id in used else memory.image_used_s.get(image.key, now_s) for image in ours}
    return replace(memory, image_used_s=times)


def forget(memory: Memory, observed: Observed, *, now_s: float, in_flight: frozenset[str] = frozenset()) -> Memory:
    """Drop what is old and concerns nothing that is there any more, so that the memory stays as small as the world.

    `in_flight` are the objects with an action under way when the look began. What lives although it was told to end
    before that was started anew, by a call whose answer was lost or by somebody else: it then ends by itself. A host
    process that waits for its next start is there by its files alone, for as long as it is wanted.
    """
    there = {f"container/{c.name}" for c in observed.containers} | {f"process/{p.name}" for p in observed.processes}
    there |= {f"process/{files.name}" for files in observed.node_files}
    runs = {c.id for c in observed.containers} | {files.name for files in observed.node_files}
    oldest_s = now_s - HEALTHY_AFTER_S
    alive = {files.name for files in observed.node_files if files.alive}
    up = {
        c.name for c in observed.containers if c.state == "running" and f"container/{c.name}" not in in_flight
    } & alive
    stopped = {name: run for name, run in memory.stopped.items() if (run in runs or name in runs) and name not in up}
    return replace(
        memory,
        stopped=stopped,
        pulled_s={key: at_s for key, at_s in memory.pulled_s.items() if now_s - at_s < KEEP_PULLS_S},
        failures={key: failure for key, failure in memory.failures.items() if failure.at_s > oldest_s},
        starts={key: last for key, last in memory.starts.items() if last.at_s > oldest_s or key in there},
    )


def but_for_now(memory: Memory, desired: Desired, observed: Observed) -> Memory:
    """Return a memory without the times that are those of the last pass: of sessions that last and images in use.

    No plan depends on them as long as it is so.
    """
    lasting = {session.pipeline for session in desired.sessions}
    used = {container.image_id for container in observed.containers}
    keys = {image.key for image in observed.images if image.id in used}
    return replace(
        memory,
        last_session_s={name: at_s for name, at_s in memory.last_session_s.items() if name not in lasting},
        image_used_s={key: at_s for key, at_s in memory.image_used_s.items() if key not in keys},
    )


def see_sessions(memory: Memory, desired: Desired, *, now_s: float) -> Memory:
    """Note which pipelines have a session now, so that an `OnDemand` one can linger after the last."""
    known = {pipeline.name for pipeline in desired.pipelines}
    seen = {name: at_s for name, at_s in memory.last_session_s.items() if name in known}
    seen.update({session.pipeline: now_s for session in desired.sessions})
    return replace(memory, last_session_s=seen)
