"""BY-04, the control side, on the real engine: a new version starts beside the old one and takes over when it is up.

One node marks words with its version, so that every answer says who gave it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from reconciler.stream import Session, Text
from tests.support.place import eventually
from tests.support.world import conditions, containers, is_ready, running, started_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from tests.support.place import Place

MANIFEST = """\
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: mark}
spec:
  nodes:
    - id: mark
      nodeType: mark:Mark
      source: ./nodes
      params: {sign: "!"}
      docker: {pythonVersion: "3.11"}
"""
CODE = """\
from dataclasses import replace

from reconciler.node import Node, Text


class Mark(Node):
    def process(self, frame):
        if isinstance(frame, Text):
            return replace(frame, text=f"{frame.text} v1{self.params['sign']}")
"""


class Marked:
    """The pipeline under a controller that watches, with a program's session that stays open."""

    def __init__(self, place: Place, client: docker.APIClient) -> None:
        self.place, self.client = place, client
        self.manifest = place.manifests / "mark.yaml"
        self.code = place.manifests / "nodes" / "mark.py"
        self.code.parent.mkdir()
        self.code.write_text(CODE)
        self.manifest.write_text(MANIFEST)
        place.watch()
        eventually(lambda: is_ready(place), within_s=240)
        self.session = Session.open(
            "mark", instance=place.instance, runtime_dir=str(place.paths.runtime.parent), timeout_s=30
        )
        (self.first,) = running(client, place)

    def say(self, word: str = "a") -> str:
        """Send a word through the open session and return the answer."""
        self.session.send(Text(word))
        frame = self.session.receive(timeout_s=20)
        assert isinstance(frame, Text)
        return frame.text

    def condition(self, kind: str) -> dict[str, str]:
        """Return a condition of the pipeline."""
        return conditions(self.place, "Pipeline", kind)["mark"]

    def replaced(self) -> bool:
        """Whether one container runs, ready, and is another one."""
        ids = [found["Id"] for found in containers(self.client, self.place)]
        return len(ids) == 1 and ids != [self.first] and is_ready(self.place)


@pytest.fixture
def marked(place: Place, client: docker.APIClient) -> Iterator[Marked]:
    made = Marked(place, client)
    yield made
    made.session.close()


def test_new_version_starts_beside_the_old_and_takes_over_when_up(marked: Marked) -> None:
    """While the new one is still importing, the old one answers; the open session goes on in the new one."""
    gate = "import os, time\nwhile not os.path.exists('/run/reconciler/node/go'):\n    time.sleep(0.05)\n"
    marked.code.write_text(gate + CODE.replace("v1", "v2"))
    eventually(lambda: len(running(marked.client, marked.place)) == 2, within_s=30)
    until_s = time.monotonic() + 2.0
    while time.monotonic() < until_s:
        assert marked.say() == "a v1!"
    assert marked.first in running(marked.client, marked.place)
    for directory in marked.place.paths.nodes.iterdir():
        (directory / "go").touch()
    eventually(marked.replaced, within_s=30)
    assert marked.say() == "a v2!"
    assert marked.condition("Degraded")["status"] == "False"
    eventually(lambda: len(list(marked.place.paths.nodes.iterdir())) == 1, within_s=10)
    eventually(lambda: len(list(marked.place.paths.sources.iterdir())) == 1, within_s=10)


def _unbuildable(marked: Marked) -> None:
    packages = '{pythonVersion: "3.11", pythonPackages: ["reconciler-has-no-such-package==0.0.1"]}'
    marked.manifest.write_text(MANIFEST.replace('{pythonVersion: "3.11"}', packages))


def _crashes_at_import(marked: Marked) -> None:
    marked.code.write_text("raise RuntimeError('not today')\n\n" + CODE.replace("v1", "v2"))


def _loses_its_class(marked: Marked) -> None:
    marked.code.write_text(CODE.replace("v1", "v2") + "\n\ndel Mark\n")


@pytest.mark.parametrize(
    ("spoil", "reasons", "message"),
    [
        (_unbuildable, {"BuildFailed"}, "reconciler-has-no-such-package"),
        (_crashes_at_import, {"Restarting", "CrashLoop"}, "not today"),
        (_loses_its_class, {"Restarting", "CrashLoop"}, "Mark"),
    ],
)
def test_new_version_that_fails_leaves_the_old_one_serving(
    marked: Marked, spoil: Callable[[Marked], None], reasons: set[str], message: str
) -> None:
    started = started_at(marked.client, marked.place)[marked.first]
    spoil(marked)

    def explained() -> bool:
        assert marked.say() == "a v1!"
        said = marked.condition("Degraded")
        return said["status"] == "True" and said["reason"] in reasons and message in said["message"]

    eventually(explained, within_s=120)
    assert marked.say() == "a v1!"
    assert is_ready(marked.place)
    assert started_at(marked.client, marked.place)[marked.first] == started
    marked.manifest.write_text(MANIFEST)
    marked.code.write_text(CODE.replace("v1", "v3"))
    eventually(marked.replaced, within_s=60)
    eventually(lambda: marked.condition("Degraded")["status"] == "False", within_s=10)
    assert marked.say() == "a v3!"


def test_edited_params_reach_open_sessions_without_a_restart(marked: Marked) -> None:
    before = started_at(marked.client, marked.place)
    assert marked.say() == "a v1!"
    marked.manifest.write_text(MANIFEST.replace('"!"', '"?"'))
    eventually(lambda: marked.say() == "a v1?", within_s=20)
    assert started_at(marked.client, marked.place) == before
    assert {found["Id"] for found in containers(marked.client, marked.place)} == set(before)


def test_a_class_that_is_not_in_the_source_is_refused_with_the_manifest(marked: Marked) -> None:
    """What can be told without running it never gets as far as a container."""
    marked.manifest.write_text(MANIFEST.replace("mark:Mark", "mark:Marc"))
    eventually(lambda: marked.condition("Accepted")["status"] == "False", within_s=20)
    assert "Marc" in marked.condition("Accepted")["message"]
    assert marked.say() == "a v1!"
    assert running(marked.client, marked.place) == [marked.first]


def test_once_fails_where_the_new_version_does_not_come_up(place: Place, client: docker.APIClient) -> None:
    """The old version serves, and yet what was asked for is not there: whoever deploys by `--once` is told."""
    code = place.copy("echo") / "nodes" / "echo.py"
    assert place.once().returncode == 0
    before = started_at(client, place)
    code.write_text(f"{code.read_text()}\nraise RuntimeError('not today')\n")
    said = place.reconcile("--once", "--timeout", "8", "-f", str(place.manifests))
    assert said.returncode == 1, said.stderr
    assert "pipeline echo is degraded" in said.stderr
    assert before.items() <= started_at(client, place).items()
