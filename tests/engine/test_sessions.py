"""Sessions on the real engine: opened by programs and by manifests, apart from each other, gone without a trace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.stream import PipelineNotFound, Session, SessionNotReady, Text
from tests.support.place import REPOSITORY, eventually
from tests.support.world import assigned, conditions, containers, count_ready, is_ready, rest_of, running, started_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from tests.support.place import Place

TRIES, GONE_S = 3, 1.0
SESSIONS_IN_A_ROW = int(os.environ.get("SOAK_SESSIONS", "100"))


def _open(place: Place, pipeline: str = "echo", **options: object) -> Session:
    return Session.open(
        pipeline,
        instance=place.instance,
        runtime_dir=str(place.paths.runtime.parent),
        **{"timeout_s": 30.0, **options},  # type: ignore[arg-type]
    )


def _watched(place: Place, spec: str = "") -> Path:
    """Start a controller on the echo example, with more in its spec."""
    manifest = place.copy("echo") / "echo.yaml"
    manifest.write_text(manifest.read_text().replace("spec:\n", f"spec:\n{spec}"))
    place.watch()
    eventually(lambda: is_ready(place), within_s=240)
    return manifest


def _said(session: Session, word: str) -> str:
    session.send(Text(word))
    frame = session.receive(timeout_s=20)
    assert isinstance(frame, Text)
    return frame.text


def _sharing(place: Place) -> dict[str, dict[str, Any]]:
    """Return what is told of each node; of a session that opens this is a moment behind (ADR 22)."""
    return {item["metadata"]["name"]: item["status"] for item in place.items("nodes")}


def _services(place: Place) -> set[str]:
    return {item["metadata"]["name"] for item in place.items("services")}


@pytest.fixture
def held(place: Place) -> Iterator[list[subprocess.Popen[str]]]:
    """Programs that hold a session, killed at the end where a test has not."""
    programs: list[subprocess.Popen[str]] = []
    yield programs
    for program in programs:
        program.kill()
        program.communicate()
    del place


def _program(place: Place, held: list[subprocess.Popen[str]]) -> tuple[subprocess.Popen[str], str]:
    """Start a program that holds a session of echo; return it and the session's name."""
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.support.visitor", "echo", "hold"],
        env=place.environ,
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    held.append(program)
    assert program.stdout
    name = program.stdout.readline().strip()
    assert name
    return program, name


def test_sessions_of_one_pipeline_at_once_do_not_mix(place: Place, client: docker.APIClient) -> None:
    """FR-010, FR-012: channels of one's own through the same containers."""
    _watched(place)
    before, standing = running(client, place), place.paths.endpoints / "echo.json"
    eventually(lambda: '"ready": true' in standing.read_text(), within_s=30)  # written beside the conditions
    undisturbed = (conditions(place, "Session", "Ready")["echo"], standing.stat().st_mtime_ns)
    with _open(place) as one, _open(place) as two:
        assert one.name != two.name
        for number in range(20):
            one.send(Text(f"one {number}"))
            two.send(Text(f"two {number}"))
        one.end()
        two.end()
        assert [frame.text for frame in two if isinstance(frame, Text)] == [f"TWO {n}" for n in range(20)]
        assert [frame.text for frame in one if isinstance(frame, Text)] == [f"ONE {n}" for n in range(20)]
        names = {f"{s.name}_{node}_{end}" for s in (one, two) for node, end in (("echo", "input"), ("echo", "output"))}
        assert names <= _services(place)
        told = {"echo", one.name, two.name}
        eventually(lambda: set(_sharing(place)["echo/echo"]["sessions"]) == told, within_s=10)
    assert running(client, place) == before
    assert (conditions(place, "Session", "Ready")["echo"], standing.stat().st_mtime_ns) == undisturbed


def test_session_of_a_killed_program_is_gone_soon(place: Place, held: list[subprocess.Popen[str]]) -> None:
    """The kernel lets go of the lease; assignments, endpoints, services and the lease itself follow within a second.

    Of a few tries the shortest counts: a machine that is busy may make others longer, and a controller that is told
    only by its next look in time makes each of them longer.
    """
    _watched(place)
    rest = rest_of(place)
    took_s = []
    for _ in range(TRIES):
        program, name = _program(place, held)
        assert name in assigned(place)
        program.kill()
        program.wait()
        took_s.append(
            eventually(lambda name=name: name not in assigned(place), within_s=5)  # type: ignore[misc]
            + eventually(lambda: rest_of(place) == rest, within_s=10)
        )
        if took_s[-1] < GONE_S:
            break
    assert min(took_s) < GONE_S, took_s
    assert not [service for service in _services(place) if service.startswith(name)]
    assert not list(place.paths.sessions.iterdir())


def test_session_of_an_unknown_pipeline_is_refused_at_once(place: Place) -> None:
    _watched(place)
    started = time.monotonic()
    with pytest.raises(PipelineNotFound, match=r"no pipeline 'ecco'.*echo"):
        _open(place, "ecco")
    assert time.monotonic() - started < 10
    eventually(lambda: not list(place.paths.sessions.iterdir()), within_s=5)


def test_declared_session_stands_as_long_as_its_manifest(place: Place) -> None:
    manifest = _watched(place)
    desk = manifest.with_name("desk.yaml")
    desk.write_text(
        "apiVersion: reconciler.dev/v1alpha1\nkind: Session\nmetadata: {name: desk}\nspec: {pipeline: echo}\n"
    )
    eventually((place.paths.endpoints / "desk.json").exists, within_s=10)
    for word in ("one", "two"):  # a program leaves, the session stays
        with _open(place, session="desk") as session:
            assert session.name == "desk"
            assert _said(session, word) == word.upper()
    assert "desk" in assigned(place)
    with _open(place, session="desk"), pytest.raises(SessionNotReady, match=f"PID {os.getpid()}"):
        _open(place, session="desk")
    assert {item["metadata"]["name"] for item in place.items("sessions")} == {"echo", "desk"}
    desk.unlink()
    eventually(lambda: "desk" not in assigned(place), within_s=10)
    eventually(lambda: not (place.paths.endpoints / "desk.json").exists(), within_s=10)


def test_on_demand_runs_while_a_session_is_open_and_lingers(place: Place, client: docker.APIClient) -> None:
    """BY-08."""
    _watched(place, "  activation: OnDemand\n  idleTimeoutSeconds: 3\n")
    assert containers(client, place) == []
    with _open(place) as first:
        assert _said(first, "up") == "UP"
        warm = running(client, place)
        assert len(warm) == 2
    with _open(place) as second:  # within the linger: the same containers
        assert _said(second, "again") == "AGAIN"
        assert running(client, place) == warm
    left = time.monotonic()
    took_s = eventually(lambda: not containers(client, place), within_s=30)
    assert time.monotonic() - left >= took_s >= 2.0
    eventually(lambda: not place.segments() and not list(place.paths.nodes.iterdir()), within_s=10)
    eventually(lambda: count_ready(place, "Idle") == 1, within_s=10)


def test_suspend_stops_everything_and_forgets_nothing(place: Place, client: docker.APIClient) -> None:
    manifest = _watched(place)
    before = running(client, place)
    text = manifest.read_text()
    manifest.write_text(text.replace("spec:\n", "spec:\n  suspend: true\n"))
    eventually(lambda: not containers(client, place), within_s=30)
    with pytest.raises(SessionNotReady, match="Suspended"):
        _open(place, timeout_s=5.0)  # in which a busy controller answers, too
    assert count_ready(place, "Suspended") == 1
    assert list(place.paths.sources.iterdir())
    manifest.write_text(text)
    eventually(lambda: is_ready(place), within_s=30)
    assert len(running(client, place)) == len(before)
    with _open(place) as session:
        assert _said(session, "back") == "BACK"


def test_sessions_in_a_row_leave_nothing(place: Place, client: docker.APIClient) -> None:
    """SC-006: a third of them ends by SIGKILL."""
    _watched(place)
    rest, started = rest_of(place), started_at(client, place)
    subprocess.run(
        [sys.executable, "-m", "tests.support.visitor", "echo", str(SESSIONS_IN_A_ROW), "3"],
        env=place.environ,
        cwd=REPOSITORY,
        check=True,
        timeout=30 + 2 * SESSIONS_IN_A_ROW,
    )
    eventually(lambda: rest_of(place) == rest, within_s=30)
    assert started_at(client, place) == started
    assert _services(place) == {f"echo_{end}" for end in ("echo_input", "echo_output", "capitals_output")}
    assert not list(place.paths.sessions.iterdir())


def test_owners_and_sessions_of_shared_nodes_are_shown(place: Place, client: docker.APIClient) -> None:
    """FR-012: two pipelines and a program's session, one container for equal nodes."""
    manifest = _watched(place)
    second = manifest.with_name("second.yaml")
    second.write_text(manifest.read_text().replace("name: echo", "name: second"))
    eventually(lambda: count_ready(place, "Yes") == 2, within_s=30)
    assert len(running(client, place)) == 2
    with _open(place, "second") as session:
        assert _said(session, "shared") == "SHARED"
        sessions = sorted(["echo", "second", session.name])
        eventually(lambda: all(each["sessions"] == sessions for each in _sharing(place).values()), within_s=10)
        nodes = _sharing(place)
        for node in ("echo", "capitals"):
            for pipeline in ("echo", "second"):
                status = nodes[f"{pipeline}/{node}"]
                assert status["owners"] == [f"echo/{node}", f"second/{node}"]
                assert re.fullmatch(rf"rc-{place.instance}-[0-9a-f]{{12}}", status["container"])
