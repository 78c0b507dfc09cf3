"""What one file says, before anything outside it was looked at: node source, other files, the state directory.

Rule: a draft depends on the file's bytes alone, so it can be kept by their digest, in memory and on disk.
"""

from __future__ import annotations

from reconciler.contract import VERSION
from reconciler.contract.values import dataclass
from reconciler.load.tree import Problem  # noqa: TC001 - the codec reads hints at run time
from reconciler.model.manifest import Pipeline  # noqa: TC001 - the codec reads hints at run time

FORM = f"1/{VERSION}"
"""Version of the drafts' form and meaning: those of another form are made anew from the text."""


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
