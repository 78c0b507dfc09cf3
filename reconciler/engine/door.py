"""The engine as the control plane gets it: looks go by the wire where it is local, all else by docker-py.

Rule: docker-py is imported with the first call that needs it, so a pass that finds nothing to do never pays for it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reconciler.contract import labels
from reconciler.engine import containers
from reconciler.engine.calls import Calls
from reconciler.engine.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from reconciler.engine.client import Engine
    from reconciler.engine.port import Listing
    from reconciler.engine.wire import Listed, Wire
    from reconciler.model.observed import Container, Image


class Door:
    """A local Docker Engine. Any thread may call; what is not defined here is `Engine`'s."""

    def __init__(self, wire: Wire, *, timeout_s: float) -> None:
        self._wire = wire
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._recent = Recent()
        self.calls = Calls()

    def list_containers(self, instance: str) -> tuple[Container, ...]:
        """Return the containers that carry an instance's label, by name, in one call and without inspects."""
        with self._containers(instance) as answer:
            return _containers(answer())

    def list_images(self) -> tuple[Image, ...]:
        """Return environment images and tagged images, in one call."""
        with self._images() as answer:
            return _images(answer())

    @contextmanager
    def listing(self, instance: str) -> Iterator[Listing]:
        """Ask for containers and images at once; the engine makes the lists while the caller looks elsewhere.

        Lists that were made a moment ago are given again, see `recent.py`.
        """
        recent = self._recent.get(instance)
        if recent is not None:
            yield lambda: recent
            return
        asked_s = self._recent.now_s()
        with self._containers(instance) as found, self._images() as images:
            yield lambda: self._recent.keep(instance, (_containers(found()), _images(images())), asked_s=asked_s)

    def end_builds(self) -> None:
        """Cut off the builds under way; there are none before docker-py is there."""
        if self._engine is not None:
            self._engine.end_builds()

    def close(self) -> None:
        """Let go of the connections."""
        if self._engine is not None:
            self._engine.close()

    def __getattr__(self, name: str) -> Any:
        """Return what only docker-py does."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._whole(), name)

    def _containers(self, instance: str) -> AbstractContextManager[Callable[[], Listed]]:
        what = "list containers"
        self.calls.read(what)
        return self._wire.asked("containers", what, all=1, filters={"label": [f"{labels.INSTANCE}={instance}"]})

    def _images(self) -> AbstractContextManager[Callable[[], Listed]]:
        what = "list images"
        self.calls.read(what)
        return self._wire.asked("images", what, all=0)

    def _whole(self) -> Engine:
        from reconciler.engine.client import Engine  # noqa: PLC0415 - see the module's rule

        with self._lock:
            if self._engine is None:
                self._engine = Engine.connect(timeout_s=self._timeout_s, calls=self.calls, changed=self._recent.disturb)
            return self._engine


def _containers(raw: Listed) -> tuple[Container, ...]:
    return containers.ours(map(containers.container, raw))


def _images(raw: Listed) -> tuple[Image, ...]:
    return containers.images(map(containers.image, raw))
