"""What one file says, before anything outside it was looked at: node source, other files, the state directory.

Rule: a draft depends on the file's bytes alone, so it can be kept by their digest, in memory and on disk.
"""

from __future__ import annotations

import hashlib
import os

import reconciler
from reconciler.contract import VERSION
from reconciler.contract.files import read_bytes
from reconciler.contract.values import dataclass
from reconciler.load.tree import Problem  # noqa: TC001 - the codec reads hints at run time
from reconciler.model.manifest import Pipeline  # noqa: TC001 - the codec reads hints at run time

PACKAGES = ("contract", "load", "model")
"""What makes drafts of texts."""

DEVELOPMENT = ".dev0"


def form(root: str, version: str) -> str:
    """Return the version of the drafts' form and meaning, for the program below a directory.

    A version under development names no fixed program, so a digest of what makes drafts is added.
    """
    if not version.endswith(DEVELOPMENT):
        return f"1/{version}"
    whole = hashlib.sha256()
    for folder in (f"{root}/{package}" for package in PACKAGES):
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                whole.update(name.encode() + b"\0" + hashlib.sha256(read_bytes(f"{folder}/{name}")).digest())
    return f"1/{version}+{whole.hexdigest()[:8]}"


FORM = form(os.path.split(reconciler.__file__)[0], VERSION)
"""Drafts of another form are made anew from the text."""


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where a node's source, type and files of the host were written. `baked`: its code may be in the image."""

    source_line: int
    source_column: int
    type_line: int
    type_column: int
    baked: bool = False
    volumes: tuple[tuple[int, int], ...] = ()
    env_from: tuple[tuple[int, int], ...] = ()
    secrets: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineDraft:
    """A pipeline whose sources hold the path as written (`""` for none), no digest, and whose paths are relative."""

    pipeline: Pipeline
    places: tuple[NodePlace, ...]


@dataclass(frozen=True, slots=True)
class SessionDraft:
    """A declared session."""

    name: str
    pipeline: str
    line: int = 1
    column: int = 1
    pipeline_line: int = 1
    pipeline_column: int = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """What one file says; with problems, nothing in it counts. `names` are the pipelines that could be told by name."""

    pipelines: tuple[PipelineDraft, ...] = ()
    sessions: tuple[SessionDraft, ...] = ()
    problems: tuple[Problem, ...] = ()
    names: tuple[str, ...] = ()
