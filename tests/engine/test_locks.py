"""Exact versions: found on the real engine, written down, and built from (`reconcile images lock`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.contract import labels
from tests.support.place import unique

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place

MANIFEST = """\
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: locked}
spec:
  nodes:
    - {id: echo, nodeType: "echo:Echo", docker: {pythonVersion: "3.11", pythonPackages: ["PACKAGE"]}}
"""
CODE = "from reconciler.node import Node\n\n\nclass Echo(Node):\n    def process(self, frame):\n        return frame\n"


def test_what_is_locked_is_what_is_built(place: Place, client: docker.APIClient) -> None:
    (place.manifests / "nodes").mkdir()
    (place.manifests / "nodes" / "echo.py").write_text(CODE)
    manifest = place.manifests / "locked.yaml"
    written = MANIFEST.replace("PACKAGE", unique("toolz"))
    manifest.write_text(written)
    there = ("-f", str(place.manifests))
    said = place.reconcile("images", "lock", *there)
    assert said.returncode == 0, said.stderr
    assert said.stdout == f"{manifest}.lock: 1 environments\n"
    lock = json.loads((place.manifests / "locked.yaml.lock").read_text())
    (environment,) = lock["environments"]
    assert environment["platform"] == "linux-x86_64"
    names = [line.split("==")[0] for line in environment["resolved"]]
    assert {"iceoryx2", "numpy", "toolz"} <= set(names)
    mine = {"label": f"{labels.INSTANCE}={place.instance}"}
    assert client.containers(all=True, filters=mine) == []

    # A version that nobody would get by asking for toolz shows that it comes from the lock.
    older = ["toolz==0.11.2" if line.startswith("toolz==") else line for line in environment["resolved"]]
    environment["resolved"] = older
    (place.manifests / "locked.yaml.lock").write_text(json.dumps(lock))
    built = place.reconcile("images", "build", *there)
    assert built.returncode == 0, built.stderr
    (image,) = (found for found in client.images(filters=mine) if found["RepoTags"])
    program = "import importlib.metadata as m; print(m.version('toolz'))"
    made = client.create_container(image["Id"], command=["python", "-c", program], labels={"dev.reconciler.test": "1"})
    client.start(made["Id"])
    assert client.wait(made["Id"], timeout=60)["StatusCode"] == 0
    assert client.logs(made["Id"]) == b"0.11.2\n"
    client.remove_container(made["Id"])

    manifest.write_text(written.replace("pythonPackages: [", "pythonPackages: [flatbuffers, "))
    stale = place.reconcile("validate", str(place.manifests))
    assert stale.returncode == 2
    assert (
        'locked.yaml:6:28: locked.yaml.lock is stale: it lacks what node "echo" asks for' in stale.stdout + stale.stderr
    )
    client.remove_image(image["Id"])
