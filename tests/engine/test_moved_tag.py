"""A custom base image whose tag moves on the engine: another environment, foretold and then done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import drifting

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place

BASE = "python:3.11-slim"


def test_tag_that_moved_is_another_environment(place: Place, client: docker.APIClient) -> None:
    """FR-016: the digest counts, not the name."""
    name = f"{place.instance}-base"
    drifting.write(place, f'{drifting.MANIFEST}\n      docker: {{baseImage: "{name}:1"}}\n')
    client.tag(BASE, name, "1")
    try:
        assert place.once().returncode == 0
        (before,) = place.items("nodes")
        other = client.create_container(BASE, ["true"])
        client.commit(other, name, "1", message="moved")
        client.remove_container(other)
        foretold = place.reconcile("diff", "-f", str(place.manifests))
        assert foretold.returncode == 1
        assert foretold.stdout.startswith("build image")
        assert place.once().returncode == 0
        (after,) = place.items("nodes")
        assert after["status"]["container"] != before["status"]["container"]
    finally:
        client.remove_image(f"{name}:1", force=True)
