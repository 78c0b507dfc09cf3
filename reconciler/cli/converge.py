"""Converging, once or until told to end, with all that it takes."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.console import Console
from reconciler.cli.image_cache import cache_of
from reconciler.controller import lock
from reconciler.controller.glance import Glance
from reconciler.controller.instance import Instance
from reconciler.controller.loop import Loop
from reconciler.controller.rest import is_plain
from reconciler.engine.recent import LIST_LAG_S
from reconciler.model.desired import ImageCache

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from reconciler.cli.mark import Mark
    from reconciler.contract.paths import Paths
    from reconciler.controller.loop import Pass

GET_READY_S = 5.0
"""How long after its start: what was missing then is on its way, and nodes that start have had their share."""

_FOR_AN_EDIT = ("reconciler.load.validate", "reconciler.actuate.execute", "reconciler.controller.journal")


def run(options: Namespace, paths: Paths, manifests: Path, mark: Mark | None = None) -> int:
    """Converge; where nothing was to do and all is well, leave a mark of it.

    Raises:
        EngineUnavailableError: if the engine does not answer at the start.
    """
    console = Console(log_format=options.log_format, verbose=options.verbose)
    cache = cache_of(options, ImageCache())
    with Instance(paths, manifests, allow_empty=options.allow_empty, cache=cache) as instance:
        loop = Loop(
            instance.world(build_output=console.build),
            say=instance.say(console.event),
            publish=instance.publish,
            known=instance.published,
            memory=None if options.once else instance.memory(),
        )
        previous = [signal.signal(number, lambda *_: loop.stop()) for number in (signal.SIGTERM, signal.SIGINT)]
        try:
            if mark is None:
                return _watch(loop, instance, console)
            code = _once(loop, options, instance)
            if code == codes.DONE and loop.last is not None and is_plain(loop.last, manifests):
                mark.leave()
            return code
        finally:
            loop.close()
            for number, old in zip((signal.SIGTERM, signal.SIGINT), previous, strict=True):
                signal.signal(number, old)


def _once(loop: Loop, options: Namespace, instance: Instance) -> int:
    ended = loop.run_until(
        lambda made: is_settled(made) or made.is_stuck, timeout_s=options.timeout, news=Glance(instance.paths.nodes)
    )
    last = loop.last
    ready = ended and last is not None and is_settled(last)
    if not ready and loop.blind is not None:
        raise loop.blind
    if not ready:
        for line in _unready(last):
            print(f"reconcile: {line}", file=sys.stderr)
        return codes.UNFINISHED
    return codes.INVALID if last and last.desired.diagnostics else codes.DONE


def is_settled(made: Pass) -> bool:
    """Whether nothing is left to do and every pipeline is as it is to be."""
    if not made.is_rest:
        return False
    pipelines = [status for status in made.statuses if status.kind == "Pipeline"]
    return all(
        (condition := status.condition("Ready")) is not None
        and (condition.status == "True" or condition.reason == "Suspended")
        for status in pipelines
    )


def _unready(last: Pass | None) -> list[str]:
    if last is None:
        return ["not a single look succeeded in time"]
    lines = []
    for status in last.statuses:
        condition = status.condition("Ready")
        if status.kind == "Pipeline" and condition and condition.status != "True":
            lines.append(f"pipeline {status.name} is not ready: {condition.reason}: {condition.message}")
    for status in last.statuses:
        condition = status.condition("Degraded")
        if condition and condition.status == "True":
            lines.append(f"pipeline {status.name} is degraded: {condition.reason}: {condition.message}")
    waiting = [f"{step.object} waits to be tried again" for step in last.plan.blocked]
    return [*lines, *waiting] or ["not converged in time: actions are still under way"]


def _watch(loop: Loop, instance: Instance, console: Console) -> int:
    from reconciler.controller import wake  # noqa: PLC0415 - `--once` watches nothing
    from reconciler.controller.logs import Followers  # noqa: PLC0415 - nor does it follow any output
    from reconciler.controller.signs import Signs  # noqa: PLC0415 - see above

    stop = threading.Event()
    signs = Signs(instance.paths)
    followers = Followers(instance, console.output)
    with lock.on_duty(instance.paths.controller):
        wake.start(
            partial(wake.watch_files, instance.watched, loop.wake, stop, matters=instance.is_manifest),
            partial(wake.watch_runtime, signs.directories, loop.wake, stop, read=signs.read),
            partial(wake.watch_engine, instance.events, partial(loop.wake, again_s=LIST_LAG_S), stop),
            partial(wake.probe, instance.probe, loop.wake, stop),
            partial(followers.run, stop),
            partial(_get_ready, stop),
        )
        try:
            loop.run()
        finally:
            stop.set()
    return codes.DONE


def _get_ready(stop: threading.Event) -> None:
    """Import what the first edit needs before it comes: it took 0.2 s of the time to the engine's first call."""
    if not stop.wait(GET_READY_S):
        for name in _FOR_AN_EDIT:
            importlib.import_module(name)
