"""`reconcile describe image NAME`: an environment image, or a build that failed, with the whole output of its build."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.console import stamp
from reconciler.cli.place import paths_of
from reconciler.contract import names
from reconciler.controller import build_logs, journal
from reconciler.controller.image_records import ImageRecords, Record
from reconciler.controller.instance import Instance

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.model.observed import Image

EVENTS_SHOWN = 10


def run(options: Namespace) -> int:
    """Print the image, its events and its build's output.

    Raises:
        ValueError: if neither the engine nor the state directory knows it.
    """
    paths = paths_of(options)
    name = options.name if ":" in options.name else f"{names.ENV_REPOSITORY}:{options.name}"
    log = build_logs.read(paths.builds, name)
    with Instance(paths, options.manifests) as instance:
        images = [image for image in instance.look().images if image.env_hash]
    image = next((image for image in images if name in image.tags), None)
    if image is None and log is None:
        known = ", ".join(tag for image in images for tag in image.tags) or "none"
        msg = f"no image {name!r}, and no build of it (there are: {known})"
        raise ValueError(msg)
    if image is None:
        print(f"name: {name}\nstate: not on the engine\n", end="")
    else:
        _print(name, image, ImageRecords(paths.journal).read().get(image.key, Record()))
    events = [event for event in journal.read(paths.journal, last=2_000) if event.object == f"image/{name}"]
    print("events:")
    for event in events[-EVENTS_SHOWN:]:
        print(f"- {stamp(event.at_s)} {event.kind} {event.reason}: {event.message}")
    print("build (seconds, output):" if log is not None else "build: no output is kept")
    sys.stdout.write(log or "")
    return codes.DONE


def _print(name: str, image: Image, record: Record) -> None:
    fields = {
        "name": name,
        "id": image.id,
        "envHash": image.env_hash,
        "base": image.base_id,
        "mib": str(image.size_bytes >> 20),
        "built": stamp(record.built_s) if record.built_s else "not known",
        "tookSeconds": "not known" if record.took_s is None else f"{record.took_s:.1f}",
        "lastUsed": stamp(record.used_s) if record.used_s else "not known",
        "usedBy": ", ".join(record.used_by) or "not known",
    }
    for key, value in fields.items():
        print(f"{key}: {value}")
