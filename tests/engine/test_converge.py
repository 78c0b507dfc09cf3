"""The main job on the real engine, by the commands that users type."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli.__main__ import main
from reconciler.contract import env, labels, lock
from reconciler.controller import instance as instance_module
from reconciler.controller.instance import Instance
from reconciler.controller.loop import Loop
from reconciler.engine.recent import IMAGES_FRESH_S
from tests.support.engine import client as past_our_door
from tests.support.place import Place, end, eventually, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker


@pytest.fixture
def engine() -> Iterator[docker.APIClient]:
    client = past_our_door()
    yield client
    client.close()


def _containers(engine: docker.APIClient, place: Place, **filters: str) -> list[dict[str, Any]]:
    wanted = {"label": f"{labels.INSTANCE}={place.instance}", **filters}
    return engine.containers(all=True, filters=wanted)


def _running(engine: docker.APIClient, place: Place) -> list[str]:
    return sorted(found["Id"] for found in _containers(engine, place, status="running"))


def _started(engine: docker.APIClient, container: str) -> str:
    """Return since when a container runs, or ran."""
    return str(engine.inspect_container(container)["State"]["StartedAt"])


def _ready(place: Place) -> bool:
    text = place.paths.status.read_text() if place.paths.status.exists() else "[]"
    conditions = [
        condition["status"]
        for status in json.loads(text)
        if status["kind"] == "Pipeline"
        for condition in status["conditions"]
        if condition["type"] == "Ready"
    ]
    return bool(conditions) and set(conditions) == {"True"}


def _echo(place: Place, *words: str) -> list[str]:
    said = subprocess.run(
        place._command(("stream", "echo")),
        env=place.environ,
        input="".join(f"{word}\n" for word in words),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return [json.loads(line)["text"] for line in said.stdout.splitlines()]


def test_once_brings_up_what_the_manifests_say_and_then_does_nothing(place: Place, engine: docker.APIClient) -> None:
    place.copy("echo")
    said = place.once()
    assert said.returncode == 0, said.stderr
    before = _running(engine, place)
    assert len(before) == 2
    assert _echo(place, "hello", "world") == ["HELLO", "WORLD"]
    assert _echo(place, "again") == ["AGAIN"]
    diff = place.reconcile("diff", "-f", str(place.manifests))
    assert (diff.returncode, diff.stdout) == (0, "no difference\n")
    again = place.once()
    assert again.returncode == 0, again.stderr
    assert _running(engine, place) == before
    place.paths.rest.unlink(missing_ok=True)  # so that it computes what it would else only compare
    at_rest = place.reconcile("--once", "-f", str(place.manifests), PYTHONPROFILEIMPORTTIME="1").stderr
    imported = {line.rsplit("|", 1)[1].strip() for line in at_rest.splitlines() if line.startswith("import time:")}
    assert "reconciler.plan.plan" in imported
    assert imported & {"docker", "iceoryx2", "pydantic", "ruamel.yaml", "sqlite3", "watchfiles"} == set()


def test_diff_says_what_is_then_done(place: Place, engine: docker.APIClient) -> None:
    place.copy("echo")
    diff = place.reconcile("diff", "-f", str(place.manifests), "-o", "json")
    assert diff.returncode == 1, diff.stderr
    actions = json.loads(diff.stdout)["actions"]
    assert all(set(action) == {"action", "object", "cause"} for action in actions)
    planned = {a["object"].split("/", 1)[1] for a in actions if a["action"] == "create container"}
    assert not place.paths.state.exists()
    assert place.once().returncode == 0
    assert {found["Names"][0].lstrip("/") for found in _containers(engine, place)} == planned


def test_container_gets_exactly_the_paths_and_limits_it_needs(place: Place, engine: docker.APIClient) -> None:
    """FR-005, FR-014."""
    manifest = place.copy("echo") / "echo.yaml"
    limits = "        resourceLimits: {memoryMb: 128, cpuCores: 0.5, pids: 32}\n"
    text = manifest.read_text()
    manifest.write_text(text.replace('        pythonVersion: "3.11"\n', '        pythonVersion: "3.11"\n' + limits))
    assert place.once().returncode == 0
    for found in _containers(engine, place):
        seen = engine.inspect_container(found["Id"])
        name = seen["Name"].lstrip("/")
        mounts = {mount["Source"]: (mount["Destination"], mount["RW"]) for mount in seen["Mounts"]}
        (source,) = place.paths.sources.iterdir()
        assert mounts == {
            "/dev/shm": ("/dev/shm", True),
            str(place.paths.shm_root): (str(place.paths.shm_root), True),
            str(place.paths.node(name)): ("/run/reconciler/node", True),
            str(source): ("/opt/reconciler/source", False),
        }
        host = seen["HostConfig"]
        assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (128 << 20, 500_000_000, 32)
        assert host["RestartPolicy"]["Name"] in {"", "no"}


def test_controller_repairs_and_follows_the_directory(place: Place, engine: docker.APIClient) -> None:
    """A killed container comes back; a deleted manifest goes with all it had; put back, it is ready from the cache."""
    example = place.copy("echo")
    place.watch()
    eventually(lambda: _ready(place), within_s=240)
    first = _running(engine, place)
    before = _started(engine, first[0])
    engine.kill(first[0])
    eventually(lambda: _started(engine, first[0]) != before and _ready(place), within_s=20)
    assert _running(engine, place) == first
    assert _echo(place, "healed") == ["HEALED"]
    engine.remove_container(first[1], force=True)
    eventually(lambda: len(_running(engine, place)) == 2 and _ready(place), within_s=20)
    assert _echo(place, "made anew") == ["MADE ANEW"]

    aside = place.base / "aside"
    shutil.move(example, aside)
    eventually(lambda: not _containers(engine, place), within_s=20)
    eventually(lambda: not place.segments() and not list((place.paths.shm_root / "services").iterdir()), within_s=10)
    shutil.move(aside, example)
    took_s = eventually(lambda: _ready(place), within_s=20)
    assert took_s < 5.0


def test_sigterm_ends_the_controller_and_leaves_the_streams(place: Place, engine: docker.APIClient) -> None:
    place.copy("echo")
    controller = place.watch()
    eventually(lambda: _ready(place), within_s=240)
    standing = place.paths.endpoints / "echo.json"
    eventually(lambda: '"ready": true' in standing.read_text(), within_s=30)  # written beside the conditions
    before = _running(engine, place)
    assert end(controller) == 0
    assert _running(engine, place) == before
    assert _echo(place, "on my own") == ["ON MY OWN"]


def test_a_killed_controller_is_followed_by_one_that_restarts_nothing(place: Place, engine: docker.APIClient) -> None:
    """BY-05 in small: what was right keeps its container and its start time."""
    place.copy("echo")
    controller = place.watch()
    eventually(lambda: _ready(place), within_s=240)
    before = [_started(engine, found) for found in _running(engine, place)]
    os.kill(controller.pid, signal.SIGKILL)
    controller.wait(10)
    place.watch()
    eventually(lambda: lock.held(place.paths.controller), within_s=30)  # before, sessions that stand are used
    assert _echo(place, "served by the next") == ["SERVED BY THE NEXT"]  # it has looked, and acted
    assert [_started(engine, found) for found in _running(engine, place)] == before


def test_a_broken_edit_disturbs_nothing_that_runs(place: Place, engine: docker.APIClient) -> None:
    """BY-03, EC-01: the last good version goes on, through a restart of the controller too."""
    manifest = place.copy("echo") / "echo.yaml"
    assert place.once().returncode == 0
    before = _running(engine, place)
    good = manifest.read_text()
    line = r":\d+:\d+: .+"
    for bad in (
        good.replace("connections:", "connektions:"),
        good.replace('pythonVersion: "3.11"', "pythonVersion: [3, 11]", 1),
        good.replace("- {from: echo, to: capitals}", "- {from: echo, to: capitals}\n    - {from: capitals, to: echo}"),
        good.replace("from: echo", "from: ecco"),
        "a: [b\n",
    ):
        manifest.write_text(bad)
        said = place.once()
        assert said.returncode == 2, said.stderr
        wrong = [found for found in said.stderr.splitlines() if found.startswith(f"{manifest}:")]
        assert len(wrong) == 1, said.stderr
        assert re.fullmatch(re.escape(str(manifest)) + line, wrong[0]), wrong
        assert place.reconcile("validate", str(manifest)).returncode == 2
        assert _running(engine, place) == before
    assert _echo(place, "still here") == ["STILL HERE"]


def test_a_second_controller_says_who_holds_the_instance(place: Place) -> None:
    place.copy("echo")
    controller = place.watch()
    eventually(place.paths.controller.exists, within_s=30)
    said = place.once()
    assert said.returncode == 4
    assert str(controller.pid) in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_an_engine_that_is_away_is_said_in_one_line(place: Place) -> None:
    """FR-008."""
    place.copy("echo")
    said = place.reconcile("--once", "-f", str(place.manifests), DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert said.returncode == 3
    assert len(said.stderr.splitlines()) == 1
    assert "/nonexistent/docker.sock" in said.stderr


def test_get_describe_and_logs_show_what_runs(place: Place) -> None:
    example = place.copy("echo")
    echo = example / "nodes" / "echo.py"
    echo.write_text(
        echo.read_text().replace('        """Return the frame;', '        print("saw", frame)\n        """Return')
    )
    assert place.once().returncode == 0
    assert _echo(place, "hello") == ["HELLO"]
    (pipeline,) = place.items("pipelines")
    assert {c["type"]: c["status"] for c in pipeline["status"]["conditions"]} == {
        "Accepted": "True",
        "ImagesReady": "True",
        "Ready": "True",
        "Degraded": "False",
    }
    nodes = {item["metadata"]["name"]: item["status"] for item in place.items("nodes")}
    assert nodes["echo/echo"]["owners"] == ["echo/echo"]
    assert nodes["echo/echo"]["sessions"] == ["echo"]
    assert nodes["echo/echo"]["container"].startswith(f"rc-{place.instance}-")
    assert {item["metadata"]["name"] for item in place.items("services")} >= {"echo_echo_input", "echo_echo_output"}
    assert place.items("images")
    assert any(item["status"]["reason"] == "StartContainer" for item in place.items("events"))
    logs = place.reconcile("logs", "echo", "echo")
    assert "saw Text" in logs.stdout, logs.stderr
    assert "echo/echo" in logs.stdout
    described = place.reconcile("describe", "node", "echo/echo")
    assert "StartContainer" in described.stdout, described.stderr


def test_output_of_nodes_reaches_the_controllers_log(place: Place) -> None:
    """FR-011, SC-008: with time, pipeline, node and instance, from containers and host processes alike."""
    example = place.copy("echo")
    manifest = example / "echo.yaml"
    host = (
        "\n    - {id: last, nodeType: echo:Echo, source: ./nodes}\n\n  connections:\n    - {from: capitals, to: last}"
    )
    manifest.write_text(manifest.read_text().replace("\n  connections:", host))
    echo = example / "nodes" / "echo.py"
    text = echo.read_text()
    marked = text.replace(
        "    def process(self, frame):\n", "    def process(self, frame):\n        print('saw', frame)\n"
    )
    assert marked != text
    echo.write_text(marked)
    place.start("-f", str(place.manifests), "--log-format", "json")
    eventually(lambda: _ready(place), within_s=240)
    assert _echo(place, "hello") == ["HELLO"]

    def seen() -> dict[str, dict[str, Any]]:
        lines = [json.loads(line) for line in place.log().splitlines() if "saw Text" in line]
        return {line["nodes"][0]: line for line in lines}

    eventually(lambda: set(seen()) == {"echo/echo", "echo/last"}, within_s=10)
    for line in seen().values():
        assert line["instance"].startswith(f"rc-{place.instance}-")
        assert abs(datetime.fromisoformat(line["time"]).timestamp() - time.time()) < 30


def test_two_pipelines_with_equal_nodes_share_containers(place: Place, engine: docker.APIClient) -> None:
    """FR-012, FR-015."""
    manifest = place.copy("echo") / "echo.yaml"
    second = manifest.with_name("second.yaml")
    second.write_text(manifest.read_text().replace("name: echo", "name: second"))
    assert place.once().returncode == 0
    shared = _running(engine, place)
    assert len(shared) == 2
    assert _echo(place, "one") == ["ONE"]
    owners = next(i["status"]["owners"] for i in place.items("nodes") if i["metadata"]["name"] == "echo/echo")
    assert owners == ["echo/echo", "second/echo"]
    manifest.unlink()
    assert place.once().returncode == 0
    assert _running(engine, place) == shared
    second.unlink()
    (manifest.parent / "nodes").rename(place.base / "nodes")
    assert place.reconcile("--once", "--allow-empty", "-f", str(place.manifests)).returncode == 0
    assert not _containers(engine, place)


def test_instances_never_see_each_other(place: Place, engine: docker.APIClient) -> None:
    other = Place()
    try:
        place.copy("echo")
        assert place.once().returncode == 0
        before = _running(engine, place)
        assert other.reconcile("--once", "--allow-empty", "-f", str(other.manifests)).returncode == 0
        assert other.reconcile("get", "nodes", "-o", "name").stdout == ""
        assert other.reconcile("down").returncode == 0
        assert _running(engine, place) == before
        assert env.INSTANCE in other.environ
    finally:
        other.close()


def test_at_rest_no_write_call_reaches_the_engine(place: Place) -> None:
    """A second convergence only looks: ten passes, one list call for each kind in each."""
    place.copy("echo")
    assert place.once().returncode == 0
    with Instance(place.paths, place.manifests) as instance:
        loop = Loop(instance.world(), say=lambda _: None)
        before = dict(instance.engine.calls.reads)
        for _ in range(10):
            time.sleep(1.1 * IMAGES_FRESH_S)  # passes that follow each other at once share their lists
            loop.turn()
        loop.close()
        assert instance.engine.calls.writes == {}
        reads = {name: count - before.get(name, 0) for name, count in instance.engine.calls.reads.items()}
    assert sorted(reads.values()) == [10, 10]


def test_a_second_once_issues_no_write_call(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command itself, in this process, with the engine's door counting."""
    place.copy("voice")
    assert place.once().returncode == 0
    doors: list[Any] = []
    connect = instance_module.connect
    monkeypatch.setattr(instance_module, "connect", lambda: doors.append(connect()) or doors[-1])
    for name in (env.INSTANCE, env.STATE_DIR, env.RUNTIME_DIR):
        monkeypatch.setenv(name, place.environ[name])
    assert main(["--once", "-f", str(place.manifests)]) == 0
    (door,) = doors
    assert door.calls.writes == {}
    assert door.calls.reads


def test_images_are_built_listed_and_pruned_apart_from_the_rest(place: Place, engine: docker.APIClient) -> None:
    manifest = place.copy("echo") / "echo.yaml"
    package = f'["{unique("six")}"]'
    asked = f'pythonVersion: "3.11"\n        pythonPackages: {package}'
    text = manifest.read_text().replace('pythonVersion: "3.11"', asked)
    manifest.write_text(text)
    directory = ("-f", str(place.manifests))
    assert place.reconcile("images", "build", *directory).returncode == 0
    assert not _containers(engine, place)
    ours = [item["metadata"]["name"] for item in place.items("images") if _is_ours(engine, item, place)]
    assert ours
    listed = place.reconcile("images", "ls", *directory)
    assert all(name in listed.stdout for name in ours)
    assert place.reconcile("images", "prune", *directory).returncode == 0
    assert [i["metadata"]["name"] for i in place.items("images") if _is_ours(engine, i, place)] == ours
    manifest.write_text(text.replace(package, "[]"))
    assert place.reconcile("images", "prune", *directory).returncode == 0
    left = [i["metadata"]["name"] for i in place.items("images") if _is_ours(engine, i, place)]
    assert not set(ours) & set(left)


def _is_ours(engine: docker.APIClient, item: dict[str, Any], place: Place) -> bool:
    marks = engine.inspect_image(item["status"]["id"])["Config"]["Labels"]
    return bool(marks[labels.INSTANCE] == place.instance)


def test_doctor_says_what_is_amiss(place: Place) -> None:
    well = place.reconcile("doctor")
    assert well.returncode == 0, well.stdout
    assert "BAD" not in well.stdout
    away = place.reconcile("doctor", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert away.returncode == 1
    assert "BAD  engine" in away.stdout
