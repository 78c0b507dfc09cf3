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
BUILT_S = 240.0


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


def test_many_that_ask_for_one_environment_cause_one_build(place: Place) -> None:
    """EC-09."""
    write(place, "one", "two", "three", package="toolz")
    assert place.once().returncode == 0
    containers = {item["status"]["container"] for item in place.items("nodes")}
    assert len(containers) == 3, "each is isolated"
    reasons = [item["status"]["reason"] for item in place.items("events")]
    assert reasons.count("BuildImage") == 1


def test_a_build_that_failed_is_tried_at_once_when_the_manifest_changes(place: Place) -> None:
    """EC-01."""
    write(place, "one", package="no-such-package-anywhere")
    place.watch()
    eventually(lambda: condition(place)["reason"] == "BuildFailed", within_s=BUILT_S)
    found = condition(place)
    assert found["status"] == "False"
    assert "install iceoryx2==0.10.* numpy no-such-package-anywhere" in found["message"]
    assert "look whether no-such-package-anywhere is written as on its package index" in found["message"]
    failed = place.reconcile("describe", "image", found["message"].split(": ")[0])
    assert "state: not on the engine" in failed.stdout
    assert "::step install iceoryx2" in failed.stdout, "the whole output is kept"
    write(place, "one", package="toolz")
    eventually(lambda: condition(place)["status"] == "True", within_s=BUILT_S)


def condition(place: Place) -> dict[str, str]:
    """Return the condition `ImageReady` of the only node; an empty one until there is one."""
    found = [each for item in place.items("nodes") for each in item["status"]["conditions"]]
    return next((each for each in found if each["type"] == "ImageReady"), {"reason": "", "status": "", "message": ""})
