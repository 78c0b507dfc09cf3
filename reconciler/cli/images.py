"""`reconcile images ls|build|lock|prune`: environment images without anything else."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.console import Console, stamp, table
from reconciler.cli.image_cache import cache_of, is_given
from reconciler.cli.place import manifests_of, paths_of, tell
from reconciler.contract.values import replace
from reconciler.controller import image_records, lock
from reconciler.controller.image_records import Record
from reconciler.controller.instance import Instance
from reconciler.model.action import BuildImage, PullImage, RemoveImage
from reconciler.model.desired import NO_CACHE, ImageCache, Session
from reconciler.plan.plan import plan

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.model.action import Action
    from reconciler.model.desired import Desired
    from reconciler.model.observed import Image
    from reconciler.plan.plan import Plan

ROUNDS = 100
"""Rounds of looking and doing at most: base images first, then what is built on them; a few images go in each."""


def run(options: Namespace) -> int:
    """List, build what manifests ask for, write down its exact versions, or remove what nobody needs.

    Raises:
        ValueError: if there is a word too many.
    """
    if options.version and options.verb != "standard":
        msg = f"images {options.verb} takes no {' '.join(options.version)!r}: it is about all images of the manifests"
        raise ValueError(msg)
    match options.verb:
        case "ls":
            return _list(options)
        case "build":
            return _do(options, (PullImage, BuildImage))
        case "lock":
            from reconciler.cli import locking  # noqa: PLC0415 - brings what the others don't need

            return locking.run(options)
        case "standard":
            from reconciler.cli import standard  # noqa: PLC0415 - see above

            return standard.run(options)
        case _:
            return _do(options, (RemoveImage,))


def _list(options: Namespace) -> int:
    with Instance(paths_of(options), options.manifests) as instance:
        observed, records = instance.look(), instance.images.read()
    used = {container.image_id for container in observed.containers}
    rows = [_row(image, records.get(image.key, Record()), used) for image in observed.images if image.env_hash]
    table([("NAME", "ID", "MIB", "BUILT", "TOOK", "LAST-USED", "USED-BY", "USED"), *rows])
    return codes.DONE


def _row(image: Image, record: Record, used: set[str]) -> tuple[str, ...]:
    """Return a line of the list. Times come from the records, all else from the engine."""
    is_used = image.id in used
    return (
        image_records.name_of(image),
        image.id[:19],
        str(image.size_bytes >> 20),
        stamp(record.built_s) if record.built_s else "-",
        f"{record.took_s:.1f} s" if record.took_s is not None else "-",
        "now" if is_used else stamp(record.used_s) if record.used_s else "-",
        ",".join(record.used_by) or "-",
        _yes(is_used),
    )


def _do(options: Namespace, kinds: tuple[type[Action], ...]) -> int:
    """Take only steps of some kinds, until there are none.

    Raises:
        ReconcilerError: if one fails.
    """
    console = Console(log_format=options.log_format, verbose=options.verbose)
    cache = cache_of(options, ImageCache() if is_given(options) else NO_CACHE)
    paths, manifests = paths_of(options), manifests_of(options)
    with lock.one_writer(paths.lock), Instance(paths, manifests) as instance:
        world = instance.world(build_output=console.build)
        desired, memory = instance.load(), instance.memory()
        tell(desired.diagnostics)
        for _ in range(ROUNDS):
            now_s = time.monotonic()
            found = plan(_awake(desired, cache), instance.look(), memory, now_s=now_s)
            steps = [step for step in found.steps if isinstance(step.action, kinds)]
            if not steps:
                break
            for step in steps:
                print(f"{type(step.action).__name__} {step.object}", file=sys.stderr)
                world.act(step.action)
                console.build_ended(step.object.removeprefix("image/"))
    absent = _absent(found) if BuildImage in kinds else []
    for line in absent:
        print(f"reconcile: {line}", file=sys.stderr)
    if desired.diagnostics:
        return codes.INVALID
    return codes.UNFINISHED if absent else codes.DONE


def _absent(made: Plan) -> list[str]:
    """Return what is said of nodes whose image could not be built, as there was nothing that could be done for it."""
    images = ((status.name, status.condition("ImageReady")) for status in made.statuses if status.kind == "Node")
    return [f"node {name}: {image.message}" for name, image in images if image and image.status != "True"]


def _awake(desired: Desired, cache: ImageCache) -> Desired:
    """Return the desired state in which every pipeline needs its images, and others are kept as told."""
    pipelines = tuple(replace(pipeline, suspend=False) for pipeline in desired.pipelines)
    asked = {session.pipeline for session in desired.sessions}
    idle = [pipeline.name for pipeline in pipelines if pipeline.name not in asked]
    sessions = (*desired.sessions, *(Session(name, name, "standing") for name in idle))
    return replace(desired, pipelines=pipelines, sessions=sessions, images=cache)


def _yes(fact: bool) -> str:  # noqa: FBT001 - a fact to print
    return "yes" if fact else "no"
