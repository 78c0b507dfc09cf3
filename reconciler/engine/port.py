"""The face of the engine, as the rest of the control plane sees it. The model engine of the tests has the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from reconciler.contract.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from reconciler.engine.calls import Calls
    from reconciler.engine.recipe import Recipe
    from reconciler.model.instance import ContainerSpec
    from reconciler.model.manifest import Limits
    from reconciler.model.observed import Container, Image

    Lists = tuple[tuple[Container, ...], tuple[Image, ...]]
    Listing = Callable[[], Lists]

Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a container wrote. `time_ns` is the engine's clock, nanoseconds since the epoch."""

    time_ns: int
    stream: Stream
    text: str


@dataclass(frozen=True, slots=True)
class Autopsy:
    """What the engine knows of a container that ended: the limits it had, and whether it joined private memory."""

    out_of_memory: bool
    limits: Limits
    private: bool = False


class EnginePort(Protocol):
    """What the control plane asks of an engine. Every method may raise `EngineUnavailableError` or `EngineError`."""

    @property
    def calls(self) -> Calls:
        """Counts of the calls made through this door."""

    def list_containers(self, instance: str) -> tuple[Container, ...]:
        """Return the containers that carry an instance's label, by name, in one call."""

    def list_images(self) -> tuple[Image, ...]:
        """Return environment images and tagged images, in one call."""

    def listing(self, instance: str) -> AbstractContextManager[Listing]:
        """Ask for both lists, and hand out what waits for them: meanwhile the caller can look elsewhere.

        Lists of the last 0.1 s may be given again where nothing is known to have happened since.
        """

    def autopsy(self, container: str) -> Autopsy:
        """Return what is known of a container that ended, in one call."""

    def create(self, spec: ContainerSpec) -> None:
        """Create a container; one of ours that is already there is success.

        Raises:
            NameTakenError: if a stranger's container has the name.
        """

    def start(self, container: str) -> None:
        """Start a container; one that runs is success."""

    def stop(self, container: str, *, timeout_s: int) -> None:
        """Ask a container to end and kill it after `timeout_s`; one that has ended or is gone is success."""

    def restart(self, container: str, *, timeout_s: int) -> None:
        """Ask a container to end, kill it after `timeout_s`, and start it again."""

    def unpause(self, container: str) -> None:
        """Let a container go on; one that is not paused is success."""

    def update(self, container: str, limits: Limits) -> None:
        """Put a container's limits in place while it runs; what is None becomes unlimited."""

    def join(self, container: str, network: str) -> None:
        """Connect a container to a network; one that is connected is success."""

    def remove(self, container: str) -> None:
        """Remove a container that does not run; one that is gone is success."""

    def pull(self, reference: str) -> None:
        """Get an image from its registry."""

    def build(self, recipe: Recipe, say: Callable[[str], None]) -> None:
        """Make and tag an image; `say` gets its output line by line. A failure leaves nothing half-made.

        Raises:
            BuildError: if a stage fails; it names the step and holds the last lines of its output.
        """

    def end_builds(self) -> None:
        """Cut off the builds under way, for good: each ends with an error and leaves nothing half-made."""

    def forget_cache(self, volume: str) -> None:
        """Remove an instance's cache of downloads; one that is gone is success."""

    def tag(self, image: str, name: str) -> None:
        """Give an image a further name, `repository:tag`."""

    def remove_image(self, image: str) -> None:
        """Remove an image by id, unforced; one that is gone is success."""

    def logs(
        self, container: str, *, follow: bool = False, since_ns: int | None = None, tail: int | None = None
    ) -> Iterator[LogLine]:
        """Return what a container wrote, oldest first; with `follow`, until it ends or the iterator is closed."""

    def events(self, instance: str) -> Iterator[str]:
        """Return what happens to an instance's containers and to images, as words for people.

        It only wakes: events get lost, and the stream ends when the engine goes away. Reconnecting is the caller's.
        """
