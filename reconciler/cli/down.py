"""`reconcile down`: remove all that this instance owns, as if nothing were wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.console import Console
from reconciler.cli.place import paths_of
from reconciler.controller import lock
from reconciler.controller.instance import Instance
from reconciler.controller.loop import Loop
from reconciler.model.action import RemoveImage
from reconciler.model.desired import ALL_IMAGES, NO_CACHE, Desired

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.controller.loop import Pass


def run(options: Namespace) -> int:
    """Converge to an empty desired state, then forget the instance."""
    paths = paths_of(options)
    console = Console(log_format=options.log_format, verbose=options.verbose)
    cache = NO_CACHE if options.images else ALL_IMAGES
    with lock.one_writer(paths.lock), Instance(paths, None) as instance:
        loop = Loop(
            instance.world(load=lambda: Desired(images=cache, at_once=True)),
            say=instance.say(console.event),
        )
        try:
            done = loop.run_until(_is_down, timeout_s=options.timeout)
        finally:
            loop.close()
        if done:
            instance.forget()
    return codes.DONE if done else codes.UNFINISHED


def _is_down(made: Pass) -> bool:
    """Whether all is gone that can go: an image that another instance uses stays, since images are shared."""
    kept = all(isinstance(step.action, RemoveImage) for step in made.plan.blocked)
    return not made.busy and not made.plan.steps and kept
