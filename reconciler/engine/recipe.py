"""How an image is made: stages, each a command run in a container of the stage before and committed.

Rule: what a stage is handed to do its work (`tools`) is gone before its commit, so host settings such as a private
certificate authority never reach an image or its history. What it downloads lies in the instance's cache, a volume,
and so in no image either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.manifest import Pairs

Files = tuple[tuple[str, "bytes | Path"], ...]
"""Absolute paths in the container, and their content or a file of this host that holds it."""

CACHE_DIR = "/dev/reconciler"
"""Where a stage finds the cache. Below `/dev`, which is in memory, no trace of the mount is left in a layer."""

NEEDS_HELP = 75
"""Exit code of a stage that asks for those beside it. Source: sysexits.h, EX_TEMPFAIL."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A container's work. `key` names the result for reuse; `""` is never reused.

    `files` stay in the image. `tools` are laid below `tools_dir`, which is removed before the commit; the command's
    script is one of them. A stage that is not `kept` is not committed: the next one begins where it began. One without
    `online` has no network.

    The stages `beside` work when this one asks for it with exit code `NEEDS_HELP`, one upon the other, beginning where
    it began; then it is run again. What they leave for it is in the cache.
    """

    title: str
    command: tuple[str, ...]
    tools_dir: str
    tools: Files
    files: Files = ()
    key: str = ""
    kept: bool = True
    online: bool = True
    beside: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image to make: base image id, stages, and what the last commit says of it.

    `cache` is the volume for downloads, `aliases` are further tags. Where no stage is kept, nothing is named `tag`: the
    stages are run for what they say.
    """

    tag: str
    name: str
    base: str
    stages: tuple[Stage, ...]
    instance: str
    labels: Pairs = ()
    changes: tuple[str, ...] = ()
    cache: str = ""
    aliases: tuple[str, ...] = ()
