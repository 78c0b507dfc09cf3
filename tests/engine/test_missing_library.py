"""A node that misses a library of the system: named with its package, and repaired as told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import drifting
from tests.support.drifting import World
from tests.support.place import REPOSITORY, eventually, unique

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place

ENVIRONMENT = """
      docker:
        pythonPackages: ["{package}"]
        systemDependencies: [{system}]
"""
BUILT_S = 240.0


def _builds(world: World) -> int:
    return sum(event.reason == "BuildImage" for event in world.place.events())


def test_missing_library_is_named_and_only_another_environment_is_built(place: Place, client: docker.APIClient) -> None:
    """EC-08: code needs no build, an environment does."""
    package = unique("six")
    drifting.write(place, drifting.MANIFEST + ENVIRONMENT.format(package=package, system=""))
    code = place.manifests / "echo" / "nodes" / "echo.py"
    echo = (REPOSITORY / "manifests" / "echo" / "nodes" / "echo.py").read_text()
    code.write_text(echo + "\nimport ctypes\n\nctypes.CDLL('libsndfile.so.1')\n")
    world = World(place, client, place.watch())
    advice = "add libsndfile1 to systemDependencies, which has libsndfile.so.1"
    eventually(lambda: advice in world.conditions().get("Ready", {}).get("message", ""), within_s=BUILT_S)
    world.manifest.write_text(drifting.MANIFEST + ENVIRONMENT.format(package=package, system="libsndfile1"))
    eventually(world.ready, within_s=BUILT_S)
    world.works()
    builds, before = _builds(world), world.seen()["Id"]
    assert builds == 2
    code.write_text(code.read_text() + "\n# edited\n")
    eventually(lambda: world.ready() and before not in {each["Id"] for each in world.containers()}, within_s=60)
    world.works()
    assert _builds(world) == builds
