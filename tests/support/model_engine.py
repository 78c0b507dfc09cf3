"""A Docker Engine of values, with the manners of the real one: what fast tests and simulations run against.

The checks in `engine_checks` hold it to the real engine. Beyond them it can be told to be away, and to fail a call
before or after its effect, as real calls do whose answer is lost.
"""

from __future__ import annotations

import itertools
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from reconciler.contract import labels
from reconciler.engine import Calls
from reconciler.engine.port import Autopsy
from reconciler.model.errors import BuildError, EngineError, EngineUnavailableError, NameTakenError
from reconciler.model.observed import Container, ContainerState, Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.engine import LogLine
    from reconciler.engine.port import Listing
    from reconciler.engine.recipe import Recipe
    from reconciler.model.instance import ContainerSpec
    from reconciler.model.manifest import Limits

When = Literal["before", "after"]

_EXIT = re.compile(r"exit (\d+)")


@dataclass(slots=True)
class Contained:
    """A container of the model. `started` and `stopped` count calls, so that a needless restart shows."""

    id: str
    spec: ContainerSpec
    image_id: str
    state: ContainerState = "created"
    exit_code: int | None = None
    started: int = 0
    stopped: int = 0
    out_of_memory: bool = False
    networks: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.networks.add(self.spec.network)

    def seen(self) -> Container:
        """Return what a list says of it."""
        marks = dict(self.spec.labels)
        return Container(
            id=self.id,
            name=self.spec.name,
            state=self.state,
            image_id=self.image_id,
            kind=marks.get(labels.KIND, ""),
            node_hash=marks.get(labels.NODE_HASH, ""),
            env_hash=marks.get(labels.ENV_HASH, ""),
            exit_code=self.exit_code if self.state == "exited" else None,
            networks=tuple(sorted(self.networks)),
            sandbox=marks.get(labels.SANDBOX, ""),
        )


@dataclass(slots=True)
class ModelEngine:
    """An engine of values; `tags` are images that exist from the start, such as bases."""

    tags: tuple[str, ...] = ()
    registry: frozenset[str] = frozenset()
    """References that can be pulled."""
    unbuildable: frozenset[str] = frozenset()
    """Tags whose build fails."""
    away: bool = False
    containers: dict[str, Contained] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    happened: list[str] = field(default_factory=list)
    """Effects in the order they took place, as `verb name`."""
    _calls: Calls = field(default_factory=Calls)
    _faults: list[tuple[str, When]] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        for tag in self.tags:
            self._add_image(Image(self._id(), (tag,)))

    @property
    def calls(self) -> Calls:
        return self._calls

    def fail(self, verb: str, when: When = "before") -> None:
        """Let the next call of a verb fail, before its effect or after it."""
        self._faults.append((verb, when))

    # What the port asks for.

    def list_containers(self, instance: str) -> tuple[Container, ...]:
        self._read("list containers")
        kinds = {labels.KIND_NODE, labels.KIND_SANDBOX, labels.KIND_BUILD}
        mine = (c for c in self.containers.values() if dict(c.spec.labels).get(labels.INSTANCE) == instance)
        seen = (container.seen() for container in mine)
        return tuple(sorted((c for c in seen if c.kind in kinds), key=lambda c: c.name))

    def list_images(self) -> tuple[Image, ...]:
        self._read("list images")
        kept = (image for image in self.images.values() if image.tags or image.env_hash)
        return tuple(sorted(kept, key=lambda image: (image.tags, image.id)))

    @contextmanager
    def listing(self, instance: str) -> Iterator[Listing]:
        """Return both lists, one after the other."""
        found = (self.list_containers(instance), self.list_images())
        yield lambda: found

    def autopsy(self, container: str) -> Autopsy:
        self._read("inspect container")
        found = self._found(container)
        return Autopsy(found.out_of_memory, found.spec.limits)

    def create(self, spec: ContainerSpec) -> None:
        with_name = next((c for c in self.containers.values() if c.spec.name == spec.name), None)

        def effect() -> None:
            if with_name is not None:
                self._settle_conflict(with_name, spec)
                return
            image = next((i for i in self.images.values() if spec.image in (i.id, *i.tags)), None)
            if image is None:
                raise EngineError(f"no such image: {spec.image}", status=404, reason="ImageMissing")
            made = Contained(self._id(), spec, image.id)
            self.containers[made.id] = made
            self.happened.append(f"create {spec.name}")

        self._write("create", effect)

    def start(self, container: str) -> None:
        def effect() -> None:
            found = self._found(container)
            if found.state == "running":
                return
            if found.state not in {"created", "exited"}:
                raise EngineError(f"cannot start a {found.state} container", status=409)
            found.state, found.exit_code, found.started = "running", None, found.started + 1
            self.happened.append(f"start {found.spec.name}")
            ends = _EXIT.fullmatch(found.spec.command[-1])
            if ends:
                found.state, found.exit_code = "exited", int(ends.group(1))

        self._write("start", effect)

    def stop(self, container: str, *, timeout_s: int) -> None:
        def effect() -> None:
            found = self.containers.get(container)
            if found and found.state in {"running", "paused"} and timeout_s >= 0:
                found.state, found.exit_code, found.stopped = "exited", 143, found.stopped + 1
                self.happened.append(f"stop {found.spec.name}")

        self._write("stop", effect)

    def restart(self, container: str, *, timeout_s: int) -> None:
        def effect() -> None:
            found = self._found(container)
            if found.state in {"running", "created", "exited"} and timeout_s >= 0:
                found.state, found.exit_code, found.started = "running", None, found.started + 1
                self.happened.append(f"restart {found.spec.name}")

        self._write("restart", effect)

    def unpause(self, container: str) -> None:
        def effect() -> None:
            found = self._found(container)
            if found.state == "paused":
                found.state = "running"
                self.happened.append(f"unpause {found.spec.name}")

        self._write("unpause", effect)

    def update(self, container: str, limits: Limits) -> None:
        def effect() -> None:
            found = self._found(container)
            found.spec = replace(found.spec, limits=limits)
            self.happened.append(f"update {found.spec.name}")

        self._write("update", effect)

    def join(self, container: str, network: str) -> None:
        def effect() -> None:
            found = self._found(container)
            if network not in {"bridge", "host", "none"}:
                raise EngineError(f"no such network: {network}", status=404)
            found.networks.add(network)
            self.happened.append(f"join {found.spec.name}")

        self._write("join", effect)

    def remove(self, container: str) -> None:
        def effect() -> None:
            found = self.containers.get(container)
            if found is None:
                return
            if found.state in {"running", "paused", "removing"}:
                raise EngineError(f"cannot remove a {found.state} container", status=409)
            del self.containers[container]
            self.happened.append(f"remove {found.spec.name}")

        self._write("remove", effect)

    def pull(self, reference: str) -> None:
        def effect() -> None:
            if reference not in self.registry:
                raise EngineError(f"no registry has {reference}", status=404)
            if not any(reference in image.tags for image in self.images.values()):
                self._add_image(Image(self._id(), (reference,)))
                self.happened.append(f"pull {reference}")

        self._write("pull", effect)

    def build(self, recipe: Recipe, say: Callable[[str], None]) -> None:
        def effect() -> None:
            say(f"::step {recipe.stages[0].title}")
            if recipe.tag in self.unbuildable:
                raise BuildError(f"{recipe.tag}: {recipe.stages[0].title} failed (exit code 1): ERROR: no", log="no")
            if recipe.base not in self.images:
                raise BuildError(f"{recipe.tag}: its base image {recipe.base[:19]} is gone")
            marks = dict(recipe.labels)
            for image in [image for image in self.images.values() if recipe.tag in image.tags]:
                self.images[image.id] = replace(image, tags=tuple(tag for tag in image.tags if tag != recipe.tag))
            made = Image(self._id(), (recipe.tag,), marks[labels.ENV_HASH], marks[labels.BASE], marks[labels.INSTANCE])
            self._add_image(made)
            self.happened.append(f"build {recipe.tag}")

        self._write("build", effect)

    def tag(self, image: str, name: str) -> None:
        """Only people give further names, past the controller."""

    def end_builds(self) -> None:
        """A build of the model takes no time."""

    def forget_cache(self, volume: str) -> None:
        """The model keeps no downloads."""

    def remove_image(self, image: str) -> None:
        def effect() -> None:
            if any(container.image_id == image for container in self.containers.values()):
                raise EngineError(f"image {image[:19]} is in use", status=409)
            if self.images.pop(image, None):
                self.happened.append(f"remove image {image}")

        self._write("remove", effect)

    def logs(
        self, container: str, *, follow: bool = False, since_ns: int | None = None, tail: int | None = None
    ) -> Iterator[LogLine]:
        del follow, since_ns, tail
        self._read("read logs")
        self._found(container)
        return iter(())

    def events(self, instance: str) -> Iterator[str]:
        del instance
        self._read("watch events")
        return iter(())

    # What a person or a fault does.

    def by_name(self, name: str) -> Contained:
        """Return the container of a name."""
        return next(c for c in self.containers.values() if c.spec.name == name)

    def add(self, spec: ContainerSpec) -> Contained:
        """Put a container there that the door did not create."""
        made = Contained(self._id(), spec, self._id())
        self.containers[made.id] = made
        return made

    def end(self, container: str, exit_code: int) -> None:
        """Let a container's program end."""
        found = self.containers[container]
        found.state, found.exit_code = "exited", exit_code

    def _settle_conflict(self, found: Contained, spec: ContainerSpec) -> None:
        self._calls.read("inspect container")
        theirs, wanted = dict(found.spec.labels), dict(spec.labels)
        if any(theirs.get(mark) != wanted.get(mark) for mark in (labels.INSTANCE, labels.KIND, labels.NODE_HASH)):
            raise NameTakenError(f"the name {spec.name} belongs to a container that is not ours")
        if found.state == "removing":
            raise EngineError(f"{spec.name} is being removed", status=409)

    def _found(self, container: str) -> Contained:
        if container not in self.containers:
            raise EngineError(f"no such container: {container[:12]}", status=404)
        return self.containers[container]

    def _add_image(self, image: Image) -> None:
        self.images[image.id] = image

    def _id(self) -> str:
        return f"sha256:{next(self._ids):064x}"

    def _read(self, name: str) -> None:
        self._calls.read(name)
        self._answer(name, "before")
        self._answer(name, "after")

    def _write(self, verb: str, effect: Callable[[], None]) -> None:
        self._calls.write(verb)
        self._answer(verb, "before")
        effect()
        self._answer(verb, "after")

    def _answer(self, verb: str, when: When) -> None:
        if self.away:
            msg = "no Docker Engine: start the daemon"
            raise EngineUnavailableError(msg)
        if (verb, when) in self._faults:
            self._faults.remove((verb, when))
            raise EngineError(f"{verb} failed {when} its effect", status=500)
