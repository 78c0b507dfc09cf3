"""How an image is made: stages, each a command run in a container of the stage before and committed.

Rule: what a stage is handed to do its work (`tools`) is gone before its commit, so host settings such as a private
certificate authority never reach an image or its history.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model.manifest import Pairs

Files = tuple[tuple[str, bytes], ...]
"""Absolute paths in the container and their content."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One commit. `key` names a stage's result for reuse; `""` is never reused.

    `files` stay in the image. `tools` are laid below `tools_dir`, which is removed before the commit; the command's
    script is one of them.
    """

    title: str
    command: tuple[str, ...]
    tools_dir: str
    tools: Files
    files: Files = ()
    key: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image to make: base image id, stages, and what the last commit says of it."""

    tag: str
    name: str
    base: str
    stages: tuple[Stage, ...]
    instance: str
    labels: Pairs
    changes: tuple[str, ...] = field(default=())
