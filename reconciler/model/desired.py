"""What manifests and live sessions want."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from reconciler.model.manifest import Origin, Pipeline

SessionKind = Literal["standing", "declared", "lease"]


@dataclass(frozen=True, slots=True)
class Session:
    """A wish for channels of one's own through a pipeline.

    `standing` comes with an `Always` pipeline and is named like it, `declared` from a manifest, `lease` from a program
    that is alive.
    """

    name: str
    pipeline: str
    kind: SessionKind
    origin: Origin = field(default_factory=lambda: Origin("<memory>"))


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing wrong in a manifest: where, what was found, what is allowed.

    `pipeline` names the pipeline whose last good version goes on, where it is known.
    """

    origin: Origin
    message: str
    pipeline: str = ""

    def __str__(self) -> str:
        return f"{self.origin}: {self.message}"


@dataclass(frozen=True, slots=True)
class Desired:
    """Desired state. `kept` are pipelines whose manifest is gone and had asked to be kept.

    `complete` is False when something wanted may not have been read: then nothing is pruned.

    Environment images that nobody uses are kept, being cheap to keep and dear to build, unless `keep_images` is False.
    """

    pipelines: tuple[Pipeline, ...] = ()
    sessions: tuple[Session, ...] = ()
    complete: bool = True
    diagnostics: tuple[Diagnostic, ...] = ()
    keep_images: bool = True
    kept: frozenset[str] = frozenset()
