"""`reconcile images ls|build|lock|prune`: environment images without anything else."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.console import Console, table
from reconciler.cli.place import manifests_of, paths_of
from reconciler.controller import lock
from reconciler.controller.instance import Instance
from reconciler.model.action import BuildImage, PullImage, RemoveImage
from reconciler.model.desired import Session
from reconciler.plan.plan import plan

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.model.action import Action
    from reconciler.model.desired import Desired

ROUNDS = 5
"""Rounds of looking and doing: base images first, then what is built on them."""


def run(options: Namespace) -> int:
    """List, build what manifests ask for, write down its exact versions, or remove what nobody needs."""
    match options.verb:
        case "ls":
            return _list(options)
        case "build":
            return _do(options, (PullImage, BuildImage))
        case "lock":
            from reconciler.cli import locking  # noqa: PLC0415 - brings what the others don't need

            return locking.run(options)
        case _:
            return _do(options, (RemoveImage,))


def _list(options: Namespace) -> int:
    with Instance(paths_of(options), options.manifests) as instance:
        observed = instance.look()
    used = {container.image_id for container in observed.containers}
    images = [image for image in observed.images if image.env_hash]
    rows = [(image.tags[0] if image.tags else image.id, image.id[:19], _yes(image.id in used)) for image in images]
    table([("NAME", "ID", "USED"), *rows])
    return codes.DONE


def _do(options: Namespace, kinds: tuple[type[Action], ...]) -> int:
    """Take only steps of some kinds, until there are none.

    Raises:
        ReconcilerError: if one fails.
    """
    console = Console(log_format=options.log_format, verbose=options.verbose)
    paths, manifests = paths_of(options), manifests_of(options)
    with lock.one_writer(paths.lock), Instance(paths, manifests) as instance:
        world = instance.world(build_output=console.build)
        desired = instance.load()
        for diagnostic in desired.diagnostics:
            print(diagnostic, file=sys.stderr)
        for _ in range(ROUNDS):
            steps = [s for s in plan(_awake(desired), instance.look()).steps if isinstance(s.action, kinds)]
            for step in steps:
                print(f"{type(step.action).__name__} {step.object}", file=sys.stderr)
                world.act(step.action)
    return codes.INVALID if desired.diagnostics else codes.DONE


def _awake(desired: Desired) -> Desired:
    """Return the desired state in which every pipeline needs its images, and no other image is kept."""
    pipelines = tuple(replace(pipeline, suspend=False) for pipeline in desired.pipelines)
    asked = {session.pipeline for session in desired.sessions}
    idle = [pipeline.name for pipeline in pipelines if pipeline.name not in asked]
    sessions = (*desired.sessions, *(Session(name, name, "standing") for name in idle))
    return replace(desired, pipelines=pipelines, sessions=sessions, keep_images=False)


def _yes(fact: bool) -> str:  # noqa: FBT001 - a fact to print
    return "yes" if fact else "no"
