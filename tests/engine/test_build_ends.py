"""Builds that end before they are done, and builds that many ask for (EC-01, EC-09)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import labels
from tests.support.place import end, eventually, unique

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place

MANIFEST = """\
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: NAME}
spec:
  nodes:
    - id: echo
      nodeType: echo:Echo
      docker: {pythonVersion: "3.11", systemDependencies: [libogg0], pythonPackages: ["PACKAGE"], isolated: true}
"""
CODE = "from reconciler.node import Node\n\n\nclass Echo(Node):\n    def process(self, frame):\n        return frame\n"


def write(place: Place, *pipelines: str, package: str = "flatbuffers") -> None:
    (place.manifests / "nodes").mkdir(exist_ok=True)
    (place.manifests / "nodes" / "echo.py").write_text(CODE)
    package = unique(package)
    for name in pipelines:
        text = MANIFEST.replace("NAME", name).replace("PACKAGE", package)
        (place.manifests / f"{name}.yaml").write_text(text)


def building(place: Place, client: docker.APIClient) -> list[str]:
    """Return the states of the containers in which the instance builds."""
    mine = [f"{labels.INSTANCE}={place.instance}", f"{labels.KIND}={labels.KIND_BUILD}"]
    return [found["State"] for found in client.containers(all=True, filters={"label": mine})]


def images(place: Place, client: docker.APIClient) -> list[str]:
    mine = {"label": f"{labels.INSTANCE}={place.instance}"}
    return [found["Id"] for found in client.images(all=True, filters=mine)]


def test_controller_that_ends_leaves_nothing_of_a_build(place: Place, client: docker.APIClient) -> None:
    write(place, "one")
    program = place.watch()
    eventually(lambda: "running" in building(place, client), within_s=60)
    assert end(program) == 0
    assert building(place, client) == []
    assert images(place, client) == []


def test_build_that_nobody_wants_any_more_is_ended(place: Place, client: docker.APIClient) -> None:
    write(place, "one", "other")
    place.watch()
    eventually(lambda: "running" in building(place, client), within_s=60)
    write(place, "one", "other", package="toolz")
    (place.manifests / "other.yaml").unlink()
    eventually(lambda: "nobody wants what it builds any more" in place.log(), within_s=60)
    eventually(lambda: len(building(place, client)) <= 1, within_s=60)
