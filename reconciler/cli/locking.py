"""`reconcile images lock`: find the exact versions of every environment, and write them beside the manifests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.actuate.image import resolution
from reconciler.actuate.scripts import RESOLVED_FROM, RESOLVED_TO
from reconciler.cli import codes
from reconciler.cli.console import Console
from reconciler.cli.place import manifests_of, paths_of, tell
from reconciler.contract.files import replace_text
from reconciler.controller import lock
from reconciler.controller.instance import Instance
from reconciler.load.locks import SUFFIX, Locked, dump, environment_of
from reconciler.model.errors import BuildError
from reconciler.plan.facts import index
from reconciler.plan.image import MissingBase, environment

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.load.locks import Environment
    from reconciler.model.desired import Desired
    from reconciler.model.instance import EnvImage
    from reconciler.model.manifest import Docker


def run(options: Namespace) -> int:
    """Write `<manifest>.lock` for every manifest that has containers.

    Raises:
        BuildError: if an environment has no solution; then nothing is written.
    """
    console = Console(log_format=options.log_format, verbose=options.verbose)
    paths, manifests = paths_of(options), manifests_of(options)
    with lock.one_writer(paths.lock), Instance(paths, manifests, locked=False) as instance:
        desired = instance.load()
        tell(desired.diagnostics)
        asked = _asked(desired)
        found: dict[Environment, Locked] = {}
        for each in asked.values():
            for key, docker in each.items():
                if key not in found:
                    found[key] = _resolve(instance, docker, console)
    for manifest, environments in sorted(asked.items()):
        place = Path(manifest + SUFFIX)
        replace_text(place, dump([found[key] for key in environments]))
        print(f"{place}: {len(environments)} environments")
    return codes.INVALID if desired.diagnostics else codes.DONE


def _asked(desired: Desired) -> dict[str, dict[Environment, Docker]]:
    """Return the environments that each manifest asks for."""
    asked: dict[str, dict[Environment, Docker]] = {}
    for pipeline in desired.pipelines:
        for docker in (node.docker for node in pipeline.nodes if node.docker is not None):
            if pipeline.name not in desired.kept:
                asked.setdefault(pipeline.origin.path, {}).setdefault(environment_of(docker), docker)
    return asked


def _resolve(instance: Instance, docker: Docker, console: Console) -> Locked:
    image = _image(instance, docker)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        console.build(image.tag, line)

    instance.engine.build(resolution(image, instance.site), say)
    lines = said[said.index(RESOLVED_FROM) + 1 : said.index(RESOLVED_TO)] if RESOLVED_TO in said else []
    if len(lines) < 2:  # noqa: PLR2004 - the platform, and at least one package
        msg = f"no versions were found for {' '.join(docker.python_packages)} on {image.base_reference}"
        raise BuildError(msg)
    return Locked(environment_of(docker), lines[0], tuple(lines[1:]))


def _image(instance: Instance, docker: Docker) -> EnvImage:
    """Return the environment, its base image pulled if it is not there and may be."""
    found = environment(docker, index(instance.look()))
    if isinstance(found, MissingBase) and not found.pull:
        raise BuildError(found.told)
    if isinstance(found, MissingBase):
        instance.engine.pull(found.reference)
        found = environment(docker, index(instance.look()))
    if isinstance(found, MissingBase):
        msg = f"base image {found.reference} is not on the engine, although it was pulled"
        raise BuildError(msg)
    return found
