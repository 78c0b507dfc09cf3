"""Standard base images: with one on the engine, a node without packages needs no build (FR-013)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.support.place import Place

STANDARD = "reconciler/python:3.12"
MANIFEST = """\
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: bare}
spec:
  nodes:
    - {id: echo, nodeType: "echo:Echo", docker: {pythonVersion: "3.12"}}
"""
CODE = "from reconciler.node import Node\n\n\nclass Echo(Node):\n    def process(self, frame):\n        return frame\n"


@pytest.fixture
def kept(client: docker.APIClient) -> Iterator[None]:
    """Put the name back to where it was."""
    before = [image["Id"] for image in client.images(name=STANDARD)]
    yield
    client.remove_image(STANDARD)
    for found in before:
        client.tag(found, *STANDARD.split(":"))


@pytest.mark.usefixtures("kept")
def test_a_node_without_packages_needs_no_build(place: Place, client: docker.APIClient) -> None:
    made = place.reconcile("images", "standard", "3.12")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"{STANDARD}: ")
    assert place.reconcile("images", "standard", "3.12").stdout.startswith(f"{STANDARD}: was there")
    (place.manifests / "nodes").mkdir()
    (place.manifests / "nodes" / "echo.py").write_text(CODE)
    (place.manifests / "bare.yaml").write_text(MANIFEST)
    assert place.once().returncode == 0
    reasons = [item["status"]["reason"] for item in place.items("events")]
    assert "CreateContainer" in reasons
    assert "BuildImage" not in reasons
    (container,) = (item["status"]["container"] for item in place.items("nodes"))
    (standard,) = client.images(name=STANDARD)
    assert client.inspect_container(container)["Image"] == standard["Id"]
    assert place.reconcile("images", "standard", "2.7").returncode == 2
