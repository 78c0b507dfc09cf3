"""Which environment image a node needs, and what there is to do for it.

Rule: code is not in the environment hash; only what the image is built from is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import names
from reconciler.contract.values import dataclass
from reconciler.model.instance import EnvImage
from reconciler.plan.again import remembered
from reconciler.plan.canonical import digest

if TYPE_CHECKING:
    from reconciler.model.desired import Desired
    from reconciler.model.manifest import Docker
    from reconciler.plan.facts import Facts


@dataclass(frozen=True, slots=True)
class MissingBase:
    """The base image is not on the engine, so the environment hash can't be known yet. `pull`: whether to get it."""

    reference: str
    pull: bool = True

    @property
    def told(self) -> str:
        """What to say of one that is not to be pulled."""
        what = f"base image {self.reference} is not on the engine, and pullPolicy is Never"
        return f"{what}: build, load or pull it there"


def base_reference(docker: Docker) -> str:
    """Return the image a node's environment starts from."""
    return docker.base_image or f"python:{docker.python_version}-slim"


def env_hash(docker: Docker, *, base_id: str, runtime_version: str) -> str:
    """Return the identity of an environment. Exact versions are in it only where a lock has some."""
    parts = {
        "base": base_id,
        "python": docker.python_version,
        "system": list(docker.system_dependencies),
        "packages": list(docker.python_packages),
        "runtime": runtime_version,
    }
    return digest("env", {**parts, "resolved": list(docker.resolved)} if docker.resolved else parts)


def environment(docker: Docker, facts: Facts) -> EnvImage | MissingBase:
    """Return the environment image a node needs.

    A base image that was untagged after the build is no reason to lose the environment: each of our images says what
    it was built from, so the one that fits is found again. One whose base has another name is another environment.
    """
    reference, runtime = base_reference(docker), facts.site.runtime_version
    base = facts.images_by_tag.get(_with_tag(reference))
    if base is not None:
        return _env_image(docker, runtime, reference, base.id)
    for image in facts.observed.images:
        candidate = _env_image(docker, runtime, reference, image.base_id)
        base = facts.images_by_id.get(image.base_id)
        if image.env_hash and candidate.env_hash == image.env_hash and not (base and base.tags):
            return candidate
    return MissingBase(reference, pull=docker.pull_policy != "Never")


def environments(desired: Desired, facts: Facts) -> set[str]:
    """Return the environment hashes of all manifests, whether they run now or not."""
    asked = {node.docker for pipeline in desired.pipelines for node in pipeline.nodes if node.docker is not None}
    found = (environment(docker, facts) for docker in asked)
    return {image.env_hash for image in found if isinstance(image, EnvImage)}


def may_move(docker: Docker) -> bool:
    """Whether a base image is to be pulled again: its tag may move, and a digest can't."""
    return docker.pull_policy == "Always" and "@" not in base_reference(docker)


def is_built(image: EnvImage, facts: Facts) -> bool:
    """Whether an environment image is on the engine."""
    return image.env_hash in facts.images_by_env


def reference(image: EnvImage, facts: Facts) -> str:
    """Return what a container is created from: the image's tag, or its id while somebody has taken the tag away."""
    present = facts.images_by_env.get(image.env_hash)
    return present.id if present and image.tag not in present.tags else image.tag


@remembered
def _env_image(docker: Docker, runtime: str, reference: str, base_id: str) -> EnvImage:
    hashed = env_hash(docker, base_id=base_id, runtime_version=runtime)
    return EnvImage(
        tag=names.env_image(hashed),
        env_hash=hashed,
        base_reference=reference,
        base_id=base_id,
        python_version=docker.python_version,
        system_dependencies=docker.system_dependencies,
        python_packages=docker.python_packages,
        runtime_version=runtime,
        resolved=docker.resolved,
    )


def _with_tag(reference: str) -> str:
    """Return a reference as the engine lists it: without a tag it means `latest`."""
    last = reference.rsplit("/", 1)[-1]
    return reference if ":" in last or "@" in last else f"{reference}:latest"
