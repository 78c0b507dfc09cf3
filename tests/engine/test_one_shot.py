"""A node that does its work and ends: done is no failure, for the one `--once` that sees it and for the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import drifting
from tests.support.place import eventually
from tests.support.world import conditions, containers

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place

SOON_S = 0.5
ENDS = f"""
    def initialize(self):
        threading.Timer({SOON_S}, os._exit, (0,)).start()

"""


def test_a_node_that_ends_well_is_done_and_stays_so(place: Place, client: docker.APIClient) -> None:
    drifting.write(place, f"{drifting.MANIFEST}      restart: {{policy: OnFailure}}{drifting.DOCKER}")
    code = place.manifests / "echo" / "nodes" / "echo.py"
    body = "    def process(self, frame):\n"
    text = code.read_text()
    assert text.count(body) == 1
    code.write_text(
        text.replace(body, f"{ENDS}{body}").replace("class Echo", "import os\nimport threading\n\n\nclass Echo")
    )

    first = place.once()
    assert first.returncode == 0, first.stderr
    eventually(lambda: [c["State"] for c in containers(client, place)] == ["exited"], within_s=30)
    (container,) = containers(client, place)
    before = client.inspect_container(container["Id"])["State"]
    assert before["ExitCode"] == 0
    for _ in range(2):
        again = place.once()
        assert again.returncode == 0, again.stderr
        assert client.inspect_container(container["Id"])["State"] == before
    assert conditions(place, "Pipeline", "Ready")["echo"]["status"] == "True"
    assert place.reconcile("diff", "-f", str(place.manifests)).stdout == "no difference\n"
