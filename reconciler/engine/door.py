"""The engine as the control plane gets it: where it is local, looks and a container's common way go by the wire.

Rule: docker-py is imported with the first call that needs it. So nobody pays for it who finds nothing to do, nor who
brings up or takes down containers whose images are there. Why the engine refuses is found out by docker-py alone.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reconciler.engine import containers, making
from reconciler.engine.calls import Calls
from reconciler.engine.recent import IMAGES_FRESH_S, Recent
from reconciler.engine.wire import NOT_FOUND, ask_containers, ask_images
from reconciler.model.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from reconciler.engine.client import Engine
    from reconciler.engine.port import Listing, Lists
    from reconciler.engine.wire import Listed, Wire
    from reconciler.model.instance import ContainerSpec
    from reconciler.model.observed import Container, Image


T = TypeVar("T")


class Door:
    """A local Docker Engine. Any thread may call; what is not defined here is `Engine`'s."""

    def __init__(self, wire: Wire, *, timeout_s: float) -> None:
        self._wire = wire
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._recent: Recent[Lists] = Recent()
        self._containers_made = _Made(_containers)
        self._images_made = _Made(_images)
        self._recent_images: Recent[tuple[Image, ...]] = Recent(fresh_s=IMAGES_FRESH_S)
        self.calls = Calls()

    def list_containers(self, instance: str) -> tuple[Container, ...]:
        """Return the containers that carry an instance's label, by name, in one call and without inspects."""
        with self._containers(instance) as answer:
            return self._containers_made(answer())

    def list_images(self) -> tuple[Image, ...]:
        """Return environment images and tagged images, in one call."""
        with self._images() as answer:
            return self._images_made(answer())

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
        with self._containers(instance) as found, self._images_of_late(asked_s) as images:
            yield lambda: self._recent.keep(instance, (self._containers_made(found()), images()), asked_s=asked_s)

    @contextmanager
    def _images_of_late(self, asked_s: float) -> Iterator[Callable[[], tuple[Image, ...]]]:
        recent = self._recent_images.get("")
        if recent is not None:
            yield lambda: recent
            return
        with self._images() as images:
            yield lambda: self._recent_images.keep("", self._images_made(images()), asked_s=asked_s)

    def create(self, spec: ContainerSpec) -> None:
        """Create a container; one of ours that is already there is success, see `Engine`."""
        what = f"create container {spec.name}"
        with self._write(what):
            try:
                self._wire.does("POST", "containers/create", what, body=making.body(spec), name=spec.name)
            except EngineError as error:
                self._whole().settle_create(spec, error)

    def start(self, container: str) -> None:
        """Start a container; one that runs is success, see `Engine`."""
        what = f"start container {container[:12]}"
        with self._write(what):
            try:
                self._wire.does("POST", f"containers/{container}/start", what)
            except EngineError as error:
                raise self._whole().explained_start(container, error) from error

    def stop(self, container: str, *, timeout_s: int) -> None:
        """Ask a container to end and kill it after `timeout_s`; one that has ended or is gone is success."""
        what = f"stop container {container[:12]}"
        with self._write(what), _gone_is_success():
            self._wire.does("POST", f"containers/{container}/stop", what, wait_s=timeout_s, t=timeout_s)

    def remove(self, container: str) -> None:
        """Remove a container that does not run, with its anonymous volumes; one that is gone is success."""
        what = f"remove container {container[:12]}"
        with self._write(what), _gone_is_success():
            self._wire.does("DELETE", f"containers/{container}", what, v=1)

    def forget_cache(self, volume: str) -> None:
        """Remove an instance's cache of downloads; one that is gone is success."""
        what = f"remove volume {volume}"
        with self._write(what), _gone_is_success():
            self._wire.does("DELETE", f"volumes/{volume}", what)

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
        self.calls.read("list containers")
        return ask_containers(self._wire, instance)

    def _images(self) -> AbstractContextManager[Callable[[], Listed]]:
        self.calls.read("list images")
        return ask_images(self._wire)

    @contextmanager
    def _write(self, what: str) -> Iterator[None]:
        self.calls.write(what.split(maxsplit=1)[0])
        self._recent.disturb()
        try:
            yield
        finally:
            self._recent.disturb()

    def _whole(self) -> Engine:
        from reconciler.engine.client import Engine  # noqa: PLC0415 - see the module's rule

        with self._lock:
            if self._engine is None:
                self._engine = Engine.connect(timeout_s=self._timeout_s, calls=self.calls, changed=self._disturb)
            return self._engine

    def _disturb(self) -> None:
        """Note that anything may have changed; what this door does by itself changes containers alone."""
        self._recent.disturb()
        self._recent_images.disturb()


class _Made(Generic[T]):
    """What is made of the engine's lists; of the very one of the last time it is there already. Any thread may call."""

    def __init__(self, make: Callable[[Listed], T]) -> None:
        self._make = make
        self._last: tuple[Listed, T] | None = None

    def __call__(self, listed: Listed) -> T:
        """Return it."""
        last = self._last
        if last is None or last[0] is not listed:
            self._last = last = (listed, self._make(listed))
        return last[1]


@contextmanager
def _gone_is_success() -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        if error.status != NOT_FOUND:
            raise


def _containers(raw: Listed) -> tuple[Container, ...]:
    return containers.ours(map(containers.container, raw))


def _images(raw: Listed) -> tuple[Image, ...]:
    return containers.images(map(containers.image, raw))
