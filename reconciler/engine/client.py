"""The real engine, through docker-py's low-level client: one method, one call, and one inspect to settle a conflict."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

import docker
import requests
from docker.errors import APIError, DockerException, create_api_error_from_http_exception

from reconciler.contract import labels
from reconciler.engine import containers, making, refusals, streams
from reconciler.engine.build import build
from reconciler.engine.calls import Calls
from reconciler.engine.errors import refused, status_of, translated
from reconciler.engine.stage import Workplaces
from reconciler.engine.wire import CONFLICT, DEFAULT_SOCKET, NOT_FOUND, socket_path
from reconciler.model.errors import EngineError, NameTakenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.engine.port import Autopsy, Listing
    from reconciler.engine.recipe import Recipe
    from reconciler.model.instance import ContainerSpec
    from reconciler.model.manifest import Limits
    from reconciler.model.observed import Container, Image

CONNECT_TIMEOUT_S = 10.0


class Engine:
    """A Docker Engine. Any thread may call."""

    def __init__(
        self, client: docker.APIClient, calls: Calls | None = None, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._client = client
        self._changed = changed
        self._calls = calls or Calls()
        self._workplaces = Workplaces()

    @classmethod
    def connect(
        cls, *, timeout_s: float = 30.0, calls: Calls | None = None, changed: Callable[[], None] = lambda: None
    ) -> Self:
        """Return a door to the engine, its API version negotiated. `calls` is counted on, where it is given.

        `changed` is called before and after each call that may change something, and with each event.

        Raises:
            EngineUnavailableError: if it does not answer.
        """
        with translated("tell its version"):
            options = docker.utils.kwargs_from_env()
            _knock(options.get("base_url", DEFAULT_SOCKET), timeout_s)
            client = docker.APIClient(version="auto", timeout=min(timeout_s, CONNECT_TIMEOUT_S), **options)
        client.timeout = timeout_s
        return cls(client, calls, changed)

    @property
    def calls(self) -> Calls:
        """Counts of the calls made through this door."""
        return self._calls

    @property
    def client(self) -> docker.APIClient:
        """docker-py's client, for tests that look past the door."""
        return self._client

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def list_containers(self, instance: str) -> tuple[Container, ...]:
        """Return the containers that carry an instance's label, by name, in one call and without inspects."""
        with self._read("list containers"):
            listed = self._client.containers(all=True, filters={"label": f"{labels.INSTANCE}={instance}"})
        return containers.ours(containers.container(raw) for raw in listed)

    def list_images(self) -> tuple[Image, ...]:
        """Return environment images and tagged images, in one call."""
        with self._read("list images"):
            listed = self._client.images()
        return containers.images(containers.image(raw) for raw in listed)

    @contextmanager
    def listing(self, instance: str) -> Iterator[Listing]:
        """Return both lists, one after the other."""
        found = (self.list_containers(instance), self.list_images())
        yield lambda: found

    def autopsy(self, container: str) -> Autopsy:
        """Return what is known of a container that ended, in one call."""
        with self._read("inspect container"):
            return containers.autopsy(self._client.inspect_container(container))

    def create(self, spec: ContainerSpec) -> None:
        """Create a container; one of ours that is already there is success.

        Raises:
            NameTakenError: if a stranger's container has the name.
            EngineError: with reason `ImageMissing` if the image is gone.
        """
        what = f"create container {spec.name}"
        with self._write(what):
            try:
                self._client.create_container_from_config(making.body(spec), spec.name)
            except APIError as error:
                self.settle_create(spec, refused(what, error))

    def settle_create(self, spec: ContainerSpec, error: EngineError) -> None:
        """Return if a refused `create` is success, as the name is ours already; raise what is to be said if not."""
        if error.status == CONFLICT:
            with translated(f"create container {spec.name}"):
                self._settle_conflict(spec, error)
        elif error.status == NOT_FOUND:
            raise EngineError(str(error), status=error.status, reason="ImageMissing") from error
        else:
            raise error

    def _settle_conflict(self, spec: ContainerSpec, error: EngineError) -> None:
        """Tell apart who has the name: we do, a stranger does, or it is on its way out."""
        self._calls.read("inspect container")
        try:
            found = self._client.inspect_container(spec.name)
        except APIError as gone:
            raise error from gone
        wanted, marks = dict(spec.labels), found["Config"].get("Labels") or {}
        if any(marks.get(mark) != wanted.get(mark) for mark in (labels.INSTANCE, labels.KIND, labels.NODE_HASH)):
            msg = (
                f"the name {spec.name} belongs to container {found['Id'][:12]}, which is not ours and is left alone: "
                "rename or remove it"
            )
            raise NameTakenError(msg) from error
        if found["State"]["Status"] == "removing":
            raise error

    def start(self, container: str) -> None:
        """Start a container; one that runs is success. After an error it may run all the same.

        Raises:
            EngineError: with reason `PortTaken`, `NetworkMissing` or `NoGpu` where that is why.
        """
        what = f"start container {container[:12]}"
        with self._write(what):
            try:
                self._client.start(container)
            except APIError as error:
                raise self.explained_start(container, refused(what, error)) from error

    def explained_start(self, container: str, error: EngineError) -> EngineError:
        """Return the error of a refused `start`, with its cause where that can be found."""
        with translated(f"start container {container[:12]}"):
            if error.status == NOT_FOUND and not self._is_there(container):
                return error
            self._calls.read("explain a refusal")
            return refusals.explained(self._client, container, error)

    def _is_there(self, container: str) -> bool:
        return bool(self._client.containers(all=True, filters={"id": container}))

    def stop(self, container: str, *, timeout_s: int) -> None:
        """Ask a container to end and kill it after `timeout_s`; one that has ended or is gone is success."""
        with self._write(f"stop container {container[:12]}"), _gone_is_success():
            self._client.stop(container, timeout=timeout_s)

    def restart(self, container: str, *, timeout_s: int) -> None:
        """Ask a container to end, kill it after `timeout_s`, and start it again."""
        with self._write(f"restart container {container[:12]}"):
            self._client.restart(container, timeout=timeout_s)

    def unpause(self, container: str) -> None:
        """Let a container go on; one that is not paused is success."""
        with self._write(f"unpause container {container[:12]}"):
            try:
                self._client.unpause(container)
            except APIError as error:
                # The status for "not paused" differs between engines, so the state decides.
                self._calls.read("inspect container")
                if status_of(error) == NOT_FOUND or self._client.inspect_container(container)["State"]["Paused"]:
                    raise

    def update(self, container: str, limits: Limits) -> None:
        """Put a container's limits in place while it runs; what is None becomes unlimited.

        docker-py's own call doesn't know `NanoCpus`, hence the plain request.
        """
        with self._write(f"update container {container[:12]}"):
            try:
                self._post_update(container, containers.update(limits))
            except APIError as error:
                # Somebody gave a quota by hand, which the engine won't turn into NanoCpus: say it as a quota.
                if status_of(error) != CONFLICT or limits.nano_cpus is None:
                    raise
                self._post_update(container, containers.update(limits, as_quota=True))

    def _post_update(self, container: str, body: dict[str, int]) -> None:
        url = f"{self._client.base_url}/v{self._client.api_version}/containers/{container}/update"
        answer = self._client.post(url, json=body, timeout=self._client.timeout)
        try:
            answer.raise_for_status()
        except requests.HTTPError as error:
            raise create_api_error_from_http_exception(error) from error

    def join(self, container: str, network: str) -> None:
        """Connect a container to a network; one that is connected is success."""
        with self._write(f"join container {container[:12]} to network {network}"):
            try:
                self._client.connect_container_to_network(container, network)
            except APIError as error:
                # The status for "connected already" is that of other refusals, too, so the container decides.
                self._calls.read("inspect container")
                if status_of(error) == NOT_FOUND or not self._is_connected(container, network):
                    raise

    def _is_connected(self, container: str, network: str) -> bool:
        found = self._client.inspect_container(container)["NetworkSettings"]["Networks"]
        return network in found or any(joined["NetworkID"] == network for joined in found.values())

    def remove(self, container: str) -> None:
        """Remove a container that does not run, with its anonymous volumes; one that is gone is success."""
        with self._write(f"remove container {container[:12]}"), _gone_is_success():
            self._client.remove_container(container, v=True)

    def pull(self, reference: str) -> None:
        """Get an image from its registry.

        Raises:
            EngineError: with reason `PullFailed`, whatever the registry or the way to it said.
        """
        what = f"pull {reference}"
        with self._write(what):
            try:
                for line in self._client.pull(reference, tag=_default_tag(reference), stream=True, decode=True):
                    if "error" in line:
                        raise EngineError(f"the engine can't {what}: {line['error']}", reason="PullFailed")
            except APIError as error:
                raise refused(what, error, reason="PullFailed") from error
            except DockerException as error:  # of the host's credential store
                raise EngineError(f"the engine can't {what}: {error}", reason="PullFailed") from error

    def build(self, recipe: Recipe, say: Callable[[str], None]) -> None:
        """Make and tag an image; `say` gets its output line by line. A failure leaves nothing half-made.

        Raises:
            BuildError: if a stage fails; it names the step and holds the last lines of its output.
        """
        with self._write(f"build {recipe.tag}"):
            build(self._client, recipe, self._workplaces, say)

    def end_builds(self) -> None:
        """Cut off the builds under way, for good: each ends with an error and leaves nothing half-made."""
        with self._write("end builds"):
            for container in self._workplaces.close():
                with suppress(APIError):
                    self._client.kill(container)

    def forget_cache(self, volume: str) -> None:
        """Remove an instance's cache of downloads; one that is gone is success."""
        with self._write(f"remove volume {volume}"), _gone_is_success():
            self._client.remove_volume(volume)

    def tag(self, image: str, name: str) -> None:
        """Give an image a further name, `repository:tag`; one that has it already is success."""
        with self._write(f"tag image {image[:19]}"):
            repository, _, tag = name.rpartition(":")
            self._client.tag(image, repository, tag)

    def remove_image(self, image: str) -> None:
        """Remove an image by id, unforced; one that is gone is success."""
        with self._write(f"remove image {image[:19]}"), _gone_is_success():
            self._client.remove_image(image)

    def logs(
        self, container: str, *, follow: bool = False, since_ns: int | None = None, tail: int | None = None
    ) -> streams.LogLines:
        """Return what a container wrote, oldest first; with `follow`, until it ends or the iterator is closed."""
        with self._read("read logs"):
            return streams.container_output(self._client, container, follow=follow, since_ns=since_ns, tail=tail)

    def events(self, instance: str) -> streams.Events:
        """Return what happens to an instance's containers and to images. It only wakes, and may end at any time."""
        with self._read("watch events"):
            stream = self._client.events(
                filters={"type": ["container", "image", "network"], "event": list(streams.WAKING)},
                decode=True,
            )
        return streams.Events(stream, instance, self._changed)

    @contextmanager
    def _read(self, name: str) -> Iterator[None]:
        self._calls.read(name)
        with translated(name):
            yield

    @contextmanager
    def _write(self, what: str) -> Iterator[None]:
        self._calls.write(what.split(maxsplit=1)[0])
        self._changed()
        try:
            with translated(what):
                yield
        finally:
            self._changed()


@contextmanager
def _gone_is_success() -> Iterator[None]:
    try:
        yield
    except APIError as error:
        if status_of(error) != NOT_FOUND:
            raise


def _knock(url: str, timeout_s: float) -> None:
    """Connect to a local socket and hang up: docker-py hides the system's error in layers and leaves its own open.

    Raises:
        OSError: if nobody answers.
    """
    if path := socket_path(url):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(timeout_s)
            knocking.connect(path)


def _default_tag(reference: str) -> str | None:
    last = reference.rsplit("/", 1)[-1]
    return None if ":" in last or "@" in last else "latest"
