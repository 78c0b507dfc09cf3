"""`reconcile images standard`: environments without packages of one's own, under a name of their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.actuate.image import recipe, standard_name
from reconciler.cli import codes
from reconciler.cli.console import Console
from reconciler.cli.place import paths_of
from reconciler.controller import lock
from reconciler.controller.instance import Instance
from reconciler.model.errors import BuildError
from reconciler.model.manifest import Docker
from reconciler.plan.facts import index
from reconciler.plan.image import MissingBase, environment

if TYPE_CHECKING:
    from argparse import Namespace

VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")


def run(options: Namespace) -> int:
    """Make the standard image of each Python version that is not there as it would be made now.

    Raises:
        ReconcilerError: if one can't be made.
        ValueError: if a version is not known.
    """
    console = Console(log_format=options.log_format, verbose=options.verbose)
    versions = options.version or VERSIONS
    unknown = [version for version in versions if version not in VERSIONS]
    if unknown:
        msg = f"no standard image for Python {', '.join(unknown)} (there are: {', '.join(VERSIONS)})"
        raise ValueError(msg)
    paths = paths_of(options)
    with lock.one_writer(paths.lock), Instance(paths, options.manifests) as instance:
        for version in versions:
            print(f"{standard_name(version)}: {_make(instance, version, console)}")
    return codes.DONE


def _make(instance: Instance, version: str, console: Console) -> str:
    """Make one, and return what was done."""
    docker = Docker(version)
    image = environment(docker, index(instance.look()))
    if isinstance(image, MissingBase):
        print(f"pull {image.reference}", file=sys.stderr)
        instance.engine.pull(image.reference)
        image = environment(docker, index(instance.look()))
    if isinstance(image, MissingBase):
        raise BuildError(f"{image.reference} is not on the engine, although it was pulled")
    present = index(instance.look()).images_by_env.get(image.env_hash)
    if present is None:
        instance.engine.build(recipe(image, instance.site, standard=True), lambda line: console.build(image.tag, line))
        console.build_ended(image.tag)
        return f"made, as {image.tag}"
    instance.engine.tag(present.id, standard_name(version))
    return f"was there, as {image.tag}"
