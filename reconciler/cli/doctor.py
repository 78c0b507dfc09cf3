"""`reconcile doctor`: what of this machine would keep pipelines from running, a line for each thing looked at."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.cli import codes
from reconciler.cli.place import paths_of
from reconciler.contract import lock
from reconciler.model.errors import ReconcilerError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from reconciler.contract.paths import Paths

SHM = "/dev/shm"  # noqa: S108 - shared memory itself
LEAST_SHM_BYTES = 64 << 20
"""Docker's own default for a container, too small for most streams."""

TMPFS = {"tmpfs", "ramfs"}


class Finding(NamedTuple):
    """One thing looked at: whether it is well, what it is, what to do where it is not."""

    well: bool
    what: str
    advice: str = ""


def run(options: Namespace) -> int:
    """Look at everything and print it; anything amiss is exit code 1."""
    paths = paths_of(options)
    findings = [*_engine(paths), *_memory(), *_places(paths), *_duty(paths)]
    for finding in findings:
        print(f"{'ok ' if finding.well else 'BAD'}  {finding.what}{': ' if finding.advice else ''}{finding.advice}")
    return codes.DONE if all(finding.well for finding in findings) else codes.UNFINISHED


def _engine(paths: Paths) -> Iterator[Finding]:
    from reconciler.engine import connect  # noqa: PLC0415 - the other checks hold without it

    try:
        engine = connect()
    except ReconcilerError as error:
        yield Finding(well=False, what="engine", advice=str(error))
        return
    containers, images = engine.list_containers(paths.instance), engine.list_images()
    tags = {tag for image in images for tag in image.tags}
    bases = sorted(tag for tag in tags if tag.startswith("python:3.") and tag.endswith("-slim"))
    yield Finding(well=True, what=f"engine answers, {len(containers)} containers of instance {paths.instance}")
    yield Finding(well=True, what=f"base images there already: {', '.join(bases) or 'none, they will be pulled'}")
    engine.close()


def _memory() -> Iterator[Finding]:
    usage = shutil.disk_usage(SHM)
    what = f"{SHM} holds {usage.total >> 20} MiB, {usage.free >> 20} MiB free"
    advice = "" if usage.free >= LEAST_SHM_BYTES else f"remount it larger: mount -o remount,size=2G {SHM}"
    yield Finding(not advice, what, advice)


def _places(paths: Paths) -> Iterator[Finding]:
    for name, place in (("state", paths.state), ("runtime", paths.runtime)):
        # What can't be entered, or is a file, has nothing below it that is there.
        nearest = next(parent for parent in (place, *place.parents) if os.path.lexists(parent))
        writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
        amiss = f", or make {nearest} writable" if nearest.is_dir() else f": {nearest} is no directory"
        yield Finding(writable, f"{name} directory {place}", "" if writable else f"choose another --{name}-dir{amiss}")
    kind = _filesystem(paths.runtime)
    yield Finding(
        well=True, what=f"runtime directory is on {kind}" + ("" if kind in TMPFS else " (tmpfs would be faster)")
    )


def _duty(paths: Paths) -> Iterator[Finding]:
    on_duty = lock.held(paths.controller)
    yield Finding(well=True, what=f"a controller {'is' if on_duty else 'is not'} on duty for instance {paths.instance}")


def _filesystem(place: Path) -> str:
    """Return the type of the file system a path is, or would be, on."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    fitting = [(where, kind) for _, where, kind, *_ in mounts if place == Path(where) or Path(where) in place.parents]
    return max(fitting, key=lambda pair: len(pair[0]))[1] if fitting else "unknown"
