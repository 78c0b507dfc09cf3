"""A workshop for environment images on the real engine: builds them, runs them, and cleans up after itself."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.actuate.image import recipe
from reconciler.actuate.runtime_files import runtime_version
from reconciler.contract import labels, names
from reconciler.model.instance import EnvImage
from reconciler.model.observed import Site

if TYPE_CHECKING:
    from reconciler.engine.client import Engine


@dataclass(slots=True)
class Workshop:
    """Builds images for one instance and keeps what their builds said."""

    engine: Engine
    instance: str
    said: list[str]

    @property
    def site(self) -> Site:
        return Site(self.instance, 0, 0, "python", "/n/nodes", "/s", "/l", "/n/iox2", "p_", runtime_version(), "0")

    def wish(self, version: str, *, packages: tuple[str, ...] = (), system: tuple[str, ...] = ()) -> EnvImage:
        """Return an environment with a hash of its own on the stand-in for a Python version."""
        hashed = secrets.token_hex(32)
        reference = f"python:{version}-slim"
        return EnvImage(
            tag=names.env_image(hashed),
            env_hash=hashed,
            base_reference=reference,
            base_id=self.id_of(reference),
            python_version=version,
            system_dependencies=system,
            python_packages=packages,
            runtime_version=runtime_version(),
        )

    def based_on(self, script: str, *changes: str) -> EnvImage:
        """Return an environment on a base image of its own, which a script has changed."""
        client, reference = self.engine.client, f"reconciler-test/{self.instance}:{secrets.token_hex(3)}"
        marks = {labels.INSTANCE: self.instance}
        made = client.create_container("python:3.11-slim", command=["sh", "-c", script], labels=marks)["Id"]
        client.start(made)
        assert client.wait(made, timeout=60)["StatusCode"] == 0
        client.commit(made, reference, changes=[*changes])
        client.remove_container(made, v=True)
        return replace(self.wish("3.11"), base_reference=reference, base_id=self.id_of(reference))

    def id_of(self, reference: str) -> str:
        """Return the image id of a reference."""
        return next(image.id for image in self.engine.list_images() if reference in image.tags)

    def build(self, wish: EnvImage) -> None:
        """Build an image."""
        self.said.clear()
        self.engine.build(recipe(wish, self.site), self.said.append)

    def steps(self) -> list[str]:
        """Return the steps of the last build."""
        return [line.removeprefix("::step ").strip() for line in self.said if line.startswith("::step ")]

    def run(self, wish: EnvImage, *command: str) -> str:
        """Run a command in a container of an image, as nobody in particular, and return its output."""
        client = self.engine.client
        marks = {labels.INSTANCE: self.instance, labels.KIND: labels.KIND_NODE}
        made = client.create_container(wish.tag, command=list(command), user="1234:1234", labels=marks)["Id"]
        client.start(made)
        code = client.wait(made, timeout=60)["StatusCode"]
        output = "\n".join(line.text for line in self.engine.logs(made))
        client.remove_container(made)
        assert code == 0, output
        return output

    def leftovers(self) -> list[str]:
        """Return the containers and images, unnamed ones included, that carry the instance's label."""
        mine = {"label": f"{labels.INSTANCE}={self.instance}"}
        found = [*self.engine.client.containers(all=True, filters=mine)]
        found += self.engine.client.images(all=True, filters=mine)
        return [entry["Id"] for entry in found]


def tidied(engine: Engine, instance: str) -> None:
    """Remove what carries an instance's label: containers, images with their unnamed stages, the cache."""
    client, mine = engine.client, {"label": f"{labels.INSTANCE}={instance}"}
    for container in client.containers(all=True, filters=mine):
        client.remove_container(container["Id"], v=True, force=True)
    for image in client.images(filters=mine):
        client.remove_image(image["Id"], force=True)
    engine.forget_cache(names.cache_volume(instance))
