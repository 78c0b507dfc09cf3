"""What manifests and live sessions want."""

from __future__ import annotations

from typing import Literal

from reconciler.contract.values import dataclass, field
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
class ImageCache:
    """How many environment images are kept that nobody needs now.

    Beyond `max_count` images, or `max_bytes` of what they hold above their base images (None: any), those go that were
    used least recently, but none that was used within `min_age_s`. Images in need count, and never go.
    """

    max_count: int = 50
    max_bytes: int | None = None
    min_age_s: float = 3600.0


ALL_IMAGES = ImageCache(max_count=1 << 30, min_age_s=0.0)
"""Every environment image is kept, and nothing that builds have left without one."""

NO_CACHE = ImageCache(max_count=0, min_age_s=0.0)
"""Nothing is kept but what somebody needs."""


@dataclass(frozen=True, slots=True)
class Desired:
    """Desired state. `kept` are pipelines whose manifest is gone and had asked to be kept.

    `complete` is False when something wanted may not have been read: then nothing is pruned. `at_once` is True when
    somebody has said that all is to go (`reconcile down`): then it need not go in bounded shares.

    Environment images that nobody needs are kept as `images` says, being cheap to keep and dear to build.
    """

    pipelines: tuple[Pipeline, ...] = ()
    sessions: tuple[Session, ...] = ()
    complete: bool = True
    diagnostics: tuple[Diagnostic, ...] = ()
    images: ImageCache = field(default_factory=ImageCache)
    kept: frozenset[str] = frozenset()
    at_once: bool = False
