"""Images that nobody needs go while pipelines run; those that somebody needs stay (US3)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from reconciler.contract import labels, names
from tests.support.place import end, eventually, unique

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place

MANIFEST = """\
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: NAME}
spec:
  suspend: SUSPEND
  nodes:
    - {id: echo, nodeType: "echo:Echo", docker: {pythonVersion: "3.11", pythonPackages: ["PACKAGE"]}}
"""
CODE = "from reconciler.node import Node\n\n\nclass Echo(Node):\n    def process(self, frame):\n        return frame\n"


def write(place: Place, name: str, *, package: str, suspend: bool) -> None:
    (place.manifests / "nodes").mkdir(exist_ok=True)
    (place.manifests / "nodes" / "echo.py").write_text(CODE)
    text = MANIFEST.replace("NAME", name).replace("PACKAGE", unique(package)).replace("SUSPEND", str(suspend).lower())
    (place.manifests / f"{name}.yaml").write_text(text)


def images(place: Place, client: docker.APIClient) -> set[str]:
    mine = {"label": f"{labels.INSTANCE}={place.instance}"}
    return {found["Id"] for found in client.images(filters=mine)}


def spare(place: Place, client: docker.APIClient, below: str, *, name: str = "", kind: str = labels.KIND_ENV) -> str:
    """Make an image such as an earlier environment, or a build, leaves it, and return its id."""
    hashed = secrets.token_hex(32)
    marks = {labels.INSTANCE: place.instance, labels.KIND: kind, labels.ENV_HASH: hashed, labels.STAGE: hashed}
    changes = [f'LABEL {key}="{value}"' for key, value in marks.items()]
    made = client.create_container(below, command=["true"], labels={"dev.reconciler.test": "1"})["Id"]
    repository = None if kind == labels.KIND_BUILD else names.env_image(hashed)
    found: str = client.commit(made, repository, changes=changes)["Id"]
    client.remove_container(made)
    if name:
        client.tag(found, name, "1")
    return found


def test_only_what_nobody_needs_goes(place: Place, client: docker.APIClient) -> None:
    write(place, "runs", package="toolz", suspend=False)
    write(place, "sleeps", package="flatbuffers", suspend=True)
    assert place.once().returncode == 0
    assert place.reconcile("images", "build", "-f", str(place.manifests)).returncode == 0
    needed = images(place, client)
    assert len(needed) == 2, "the one that runs, and the one of a pipeline that is suspended"
    (base,) = (found["Id"] for found in client.images(name="python:3.11-slim"))
    named = spare(place, client, base, name=f"reconciler-test/{place.instance}")
    spares = [
        spare(place, client, base),
        spare(place, client, base),
        spare(place, client, base, kind=labels.KIND_BUILD),
    ]
    assert images(place, client) == {*needed, named, *spares}

    place.environ |= {"RECONCILE_MAX_IMAGES": "1", "RECONCILE_MIN_IMAGE_AGE_SECONDS": "0"}
    program = place.watch()
    eventually(lambda: images(place, client) == {*needed, named}, within_s=60)
    (node,) = (item for item in place.items("nodes") if item["metadata"]["name"] == "runs/echo")
    assert node["status"]["restarts"] == 0
    listed = place.reconcile("images", "ls").stdout
    assert listed.count("runs/echo") == 1
    assert " s   now " in listed, "how long it took, and that it is used now"

    assert end(program) == 0
    down = place.reconcile("down", "--images")
    assert down.returncode == 0, down.stderr
    assert images(place, client) == {named}
    client.remove_image(named, force=True)
