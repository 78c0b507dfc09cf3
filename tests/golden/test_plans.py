"""Manifest and observed world in, plan text out. `make golden` rewrites the texts; read the change before you commit.

Each case is a difference between what is wanted and what is there; its file shows the steps of the next pass, what
waits, and the conditions.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.contract.files import Status
from reconciler.model.desired import Diagnostic
from reconciler.model.manifest import Docker, Limits, Origin, Restart, SharedMemory
from reconciler.model.memory import End, Failure, Memory, Starts
from reconciler.model.observed import Container, Image, ProcessEnd, ShmNode, ShmService
from reconciler.plan.container import node_hash
from reconciler.plan.foresee import route
from reconciler.plan.image import env_hash
from reconciler.plan.plan import plan
from reconciler.plan.process import process_hash
from reconciler.plan.render import render_statuses, render_steps
from tests.support.worlds import BARE, chain, desire, docker_node, host_node, rest, voice

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.desired import Desired
    from reconciler.model.observed import Observed

HERE = Path(__file__).parent
Case = tuple["Desired", "Observed", Memory]


def _pass_text(case: Case) -> str:
    desired, observed, memory = case
    found = plan(desired, observed, memory, now_s=100.0)
    waits = f"requeue {found.requeue_s:.1f} s\n" if found.requeue_s is not None else ""
    blocked = "".join(f"waits: {line}\n" for line in render_steps(found.blocked).splitlines())
    return f"{render_steps(found.steps)}{blocked}{waits}--\n{render_statuses(found.statuses)}"


def _with_first(observed: Observed, **changes: object) -> Observed:
    first, *others = observed.containers
    return replace(observed, containers=(replace(first, **changes), *others))  # type: ignore[arg-type]


def _dropped(observed: Observed, **changes: object) -> Observed:
    return replace(observed, **changes)  # type: ignore[arg-type]


ECHO = chain("echo", docker_node("echo"))
EDITED = chain("echo", docker_node("echo", code="b"), generation="g2")
SETTLED = rest(desire(ECHO))
NAME = SETTLED.containers[0].name
LIMITS = Limits(64_000_000, 333_333_333, 64)
LIMITED = chain("echo", docker_node("echo", limits=LIMITS))
NO_LIBRARY = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
CONTAINER = f"container/{NAME}"
PRIVATE = chain("echo", docker_node("echo"), shared_memory=SharedMemory("Private", 1 << 25))
PRIVATE_UP = rest(desire(PRIVATE))
HOST = chain("host", host_node("echo"))
HOST_NAME = rest(desire(HOST)).processes[0].name


def _sandbox(observed: Observed, **changed: object) -> Observed:
    """The world in which the container that holds a pipeline's memory is another than it was."""
    found = (replace(c, **changed) if c.kind == "sandbox" else c for c in observed.containers)  # type: ignore[arg-type]
    return replace(observed, containers=tuple(found))


def _host_ended(exit_code: int) -> Observed:
    """The world in which the host process has ended."""
    settled = rest(desire(HOST))
    files = tuple(replace(found, alive=False) for found in settled.node_files)
    return replace(settled, processes=(), node_files=files, process_ends=(ProcessEnd(HOST_NAME, 7, exit_code),))


def _edited_and_up() -> Observed:
    """The world in which the edited version is up beside the old one and has no session yet."""
    observed = SETTLED
    from reconciler.plan.foresee import after, settle  # noqa: PLC0415 - only this case walks by hand

    for _ in range(4):
        steps = plan(desire(EDITED), observed).steps
        if any(files.alive and files.name != NAME for files in observed.node_files):
            return observed
        for step in steps:
            observed = after(observed, step.action)
        observed = settle(observed)
    raise AssertionError


def _silent() -> Observed:
    return replace(SETTLED, node_files=tuple(replace(f, status=None, alive=False) for f in SETTLED.node_files))


def _untagged(observed: Observed) -> tuple[Image, ...]:
    return tuple(replace(image, tags=()) if image.env_hash else image for image in observed.images)


CASES: dict[str, Callable[[], Case]] = {
    "bare_engine": lambda: (desire(voice()), BARE, Memory()),
    "base_image_missing": lambda: (desire(ECHO), replace(BARE, images=()), Memory()),
    "base_image_untagged_later": lambda: (
        desire(ECHO),
        replace(SETTLED, images=tuple(image for image in SETTLED.images if image.env_hash)),
        Memory(),
    ),
    "nothing_to_do": lambda: (desire(ECHO), SETTLED, Memory()),
    "container_removed": lambda: (desire(ECHO), _dropped(SETTLED, containers=()), Memory()),
    "container_killed": lambda: (desire(ECHO), _with_first(SETTLED, state="exited", exit_code=137), Memory()),
    "container_killed_again": lambda: (
        desire(ECHO),
        _with_first(SETTLED, state="exited", exit_code=1),
        Memory(starts={CONTAINER: Starts(4, 99.9)}),
    ),
    "crash_loop_with_last_lines": lambda: (
        desire(ECHO),
        _silent(),
        Memory(
            starts={CONTAINER: Starts(4, 99.9)},
            ends={
                NAME: End(NAME, SETTLED.containers[0].id, 4, 139, ("Fatal Python error: Segmentation fault", "in f"))
            },
        ),
    ),
    "container_paused": lambda: (desire(ECHO), _with_first(SETTLED, state="paused"), Memory()),
    "container_dead": lambda: (desire(ECHO), _with_first(SETTLED, state="dead"), Memory()),
    "limits_changed_by_hand": lambda: (desire(LIMITED), _with_first(rest(desire(LIMITED)), limits=Limits()), Memory()),
    "limits_edited": lambda: (desire(LIMITED), _with_first(SETTLED, limits=Limits(512 << 20, 500_000_000)), Memory()),
    "limits_taken_out": lambda: (desire(ECHO), _with_first(SETTLED, limits=LIMITS), Memory()),
    "limits_rounded_by_the_kernel": lambda: (
        desire(LIMITED),
        _with_first(SETTLED, limits=Limits(64_000_000 // 4096 * 4096, 333_330_000, 64)),
        Memory(),
    ),
    "limits_unknown": lambda: (desire(LIMITED), _with_first(SETTLED, limits=None), Memory()),
    "limits_refused": lambda: (
        desire(LIMITED),
        SETTLED,
        Memory(failures={CONTAINER: _failure("EngineError", "UpdateLimits")}),
    ),
    "network_lost": lambda: (desire(ECHO), _with_first(SETTLED, networks=()), Memory()),
    "network_lost_and_limits_changed": lambda: (
        desire(LIMITED),
        _with_first(SETTLED, networks=("mine",), limits=Limits()),
        Memory(),
    ),
    "network_added_by_somebody": lambda: (desire(ECHO), _with_first(SETTLED, networks=("bridge", "mine")), Memory()),
    "container_renamed": lambda: (desire(ECHO), _with_first(SETTLED, name="mine-now"), Memory()),
    "image_untagged": lambda: (desire(ECHO), replace(SETTLED, images=_untagged(SETTLED), containers=()), Memory()),
    "runtime_silent": lambda: (desire(ECHO), _silent(), Memory(silent_since_s={NAME: 70.1})),
    "runtime_silent_too_long": lambda: (desire(ECHO), _silent(), Memory(silent_since_s={NAME: 69.9})),
    "runtime_silent_and_never_restarted": lambda: (
        desire(chain("echo", replace(ECHO.nodes[0], restart=Restart("Never")))),
        _silent(),
        Memory(silent_since_s={NAME: 0.0}),
    ),
    "runtime_silent_and_restarted_lately": lambda: (
        desire(ECHO),
        _silent(),
        Memory(silent_since_s={NAME: 69.9}, starts={CONTAINER: Starts(12, 99.0)}),
    ),
    "rebooted": lambda: (
        desire(ECHO),
        _dropped(_with_first(SETTLED, state="exited", exit_code=137), node_files=(), endpoints=()),
        Memory(),
    ),
    "source_and_container_gone_down": lambda: (
        desire(ECHO),
        _dropped(_with_first(SETTLED, state="exited", exit_code=137), sources=frozenset()),
        Memory(),
    ),
    "one_shot_done": lambda: (
        desire(chain("echo", replace(ECHO.nodes[0], restart=Restart("OnFailure")))),
        _with_first(SETTLED, state="exited", exit_code=0),
        Memory(),
    ),
    "status_damaged": lambda: (
        desire(ECHO),
        _dropped(SETTLED, node_files=tuple(replace(f, status=None) for f in SETTLED.node_files)),
        Memory(),
    ),
    "assignments_deleted": lambda: (
        desire(ECHO),
        _dropped(SETTLED, node_files=tuple(replace(f, assignments=None) for f in SETTLED.node_files)),
        Memory(),
    ),
    "source_deleted": lambda: (desire(ECHO), _dropped(SETTLED, sources=frozenset()), Memory()),
    "import_fails": lambda: (
        desire(ECHO),
        _dropped(
            _with_first(SETTLED, state="exited", exit_code=1),
            node_files=tuple(
                replace(f, alive=False, status=Status(f.name, error="no module named nodes"))
                for f in SETTLED.node_files
            ),
        ),
        Memory(starts={CONTAINER: Starts(1, 50.0)}),
    ),
    "library_missing": lambda: (
        desire(ECHO),
        _dropped(
            _with_first(SETTLED, state="exited", exit_code=1),
            node_files=tuple(
                replace(f, alive=False, status=Status(f.name, error=NO_LIBRARY)) for f in SETTLED.node_files
            ),
        ),
        Memory(starts={CONTAINER: Starts(1, 50.0)}),
    ),
    "build_failed": lambda: (
        desire(voice(python_packages=("nonsense==9",))),
        BARE,
        Memory(failures={f"image/{_tag(python_packages=('nonsense==9',))}": _failure("BuildFailed", "BuildImage")}),
    ),
    "edited_node_starts_beside": lambda: (desire(EDITED), SETTLED, Memory()),
    "session_opens_while_an_edited_node_starts": lambda: (
        desire(EDITED, leases=(("echo-7-1", "echo"),)),
        SETTLED,
        Memory(),
    ),
    "edited_node_takes_over": lambda: (desire(EDITED), _edited_and_up(), Memory()),
    "edited_node_cannot_be_built": lambda: (
        desire(chain("echo", docker_node("echo", python_packages=("nonsense==9",)), generation="g2")),
        SETTLED,
        Memory(
            failures={f"image/{_tag('3.11', python_packages=('nonsense==9',))}": _failure("BuildFailed", "BuildImage")}
        ),
    ),
    "manifest_removed": lambda: (desire(), SETTLED, Memory()),
    "manifest_unreadable": lambda: (replace(desire(), complete=False), SETTLED, Memory()),
    "manifest_broken_with_last_good": lambda: (
        replace(desire(ECHO), diagnostics=(Diagnostic(Origin("echo.yaml", 3, 5), "unknown field 'nods'", "echo"),)),
        SETTLED,
        Memory(),
    ),
    "suspended": lambda: (desire(replace(ECHO, suspend=True)), SETTLED, Memory()),
    "shared_by_two": lambda: (desire(ECHO, replace(ECHO, name="echo2")), SETTLED, Memory()),
    "one_of_two_sharers_left": lambda: (desire(ECHO), rest(desire(ECHO, replace(ECHO, name="echo2"))), Memory()),
    "isolated_is_not_shared": lambda: (
        desire(ECHO, chain("alone", docker_node("echo", isolated=True))),
        SETTLED,
        Memory(),
    ),
    "on_demand_idle": lambda: (desire(replace(ECHO, activation="OnDemand")), BARE, Memory()),
    "on_demand_lingers": lambda: (
        desire(replace(ECHO, activation="OnDemand")),
        SETTLED,
        Memory(last_session_s={"echo": 80.0}),
    ),
    "on_demand_session": lambda: (
        desire(replace(ECHO, activation="OnDemand"), leases=(("s1", "echo"),)),
        BARE,
        Memory(),
    ),
    "session_opens_on_warm_pipeline": lambda: (desire(ECHO, leases=(("echo-7-1", "echo"),)), SETTLED, Memory()),
    "session_of_unknown_pipeline": lambda: (desire(ECHO, leases=(("x-1", "ecco"),)), SETTLED, Memory()),
    "host_process_gone": lambda: (
        desire(HOST),
        replace(rest(desire(HOST)), processes=()),
        Memory(),
    ),
    "host_process_crash_loop": lambda: (
        desire(HOST),
        _host_ended(1),
        Memory(starts={f"process/{HOST_NAME}": Starts(4, 99.9)}, ends={HOST_NAME: End(HOST_NAME, "", 7, 1, ("no",))}),
    ),
    "host_process_one_shot_done": lambda: (
        desire(chain("host", replace(HOST.nodes[0], restart=Restart("OnFailure")))),
        _host_ended(0),
        Memory(),
    ),
    "host_process_never_again": lambda: (
        desire(chain("host", replace(HOST.nodes[0], restart=Restart("Never")))),
        _host_ended(1),
        Memory(),
    ),
    "shared_memory_left_behind": lambda: (
        desire(ECHO),
        replace(
            SETTLED,
            shm_nodes=(ShmNode("n1", NAME, dead=True), ShmNode("n2", NAME)),
            shm_services=(ShmService("s1", "gone_echo_output"), ShmService("s2", "echo_echo_output", nodes=1)),
        ),
        Memory(),
    ),
    "start_under_way": lambda: (
        desire(ECHO),
        _with_first(SETTLED, state="created"),
        Memory(in_flight=frozenset({CONTAINER})),
    ),
    "build_cut_off": lambda: (
        desire(ECHO),
        replace(BARE, containers=(Container("b1", "rc-build-x", "running", "i", "build"),)),
        Memory(),
    ),
    "build_goes_on": lambda: (
        desire(ECHO),
        replace(BARE, containers=(Container("b1", f"rc-test-build-{_tag('3.11')[-12:]}", "running", "i", "build"),)),
        Memory(in_flight=frozenset({f"image/{_tag('3.11')}"})),
    ),
    "build_unwanted": lambda: (
        desire(ECHO),
        replace(BARE, containers=(Container("b1", "rc-test-build-000000000000", "running", "i", "build"),)),
        Memory(in_flight=frozenset({"image/reconciler/env:000000000000"})),
    ),
    "private_fresh": lambda: (desire(PRIVATE), BARE, Memory()),
    "private_settled": lambda: (desire(PRIVATE), PRIVATE_UP, Memory()),
    "private_memory_new": lambda: (desire(PRIVATE), _sandbox(PRIVATE_UP, memory=7), Memory()),
    "private_sandbox_ended": lambda: (desire(PRIVATE), _sandbox(PRIVATE_UP, state="exited", exit_code=137), Memory()),
    "private_sandbox_another": lambda: (desire(PRIVATE), _sandbox(PRIVATE_UP, id="another"), Memory()),
    "private_no_more": lambda: (desire(), PRIVATE_UP, Memory()),
    "name_taken": lambda: (
        desire(ECHO),
        _dropped(SETTLED, containers=()),
        Memory(failures={CONTAINER: _failure("NameTaken", "CreateContainer")}),
    ),
}


def _tag(python: str = "3.9", **docker: object) -> str:
    from reconciler.contract.names import env_image  # noqa: PLC0415 - keeps the table's imports short

    base = f"sha256:base{python.replace('.', '')}"
    return env_image(env_hash(Docker(python, **docker), base_id=base, runtime_version="1"))  # type: ignore[arg-type]


def _failure(reason: str, action: str) -> Failure:
    return Failure(2, 99.0, reason, "what the engine said", action=action)


def _hold_to(path: Path, text: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--rewrite-golden"):
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing: run `make golden`, then read it"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str, request: pytest.FixtureRequest) -> None:
    _hold_to(HERE / "plans" / f"{name}.txt", _pass_text(CASES[name]()), request)


def test_route_from_bare_engine(request: pytest.FixtureRequest) -> None:
    _hold_to(HERE / "plans" / "route_from_bare_engine.txt", render_steps(route(desire(voice()), BARE)), request)


def test_route_of_replacement(request: pytest.FixtureRequest) -> None:
    _hold_to(HERE / "plans" / "route_of_replacement.txt", render_steps(route(desire(EDITED), SETTLED)), request)


def test_hashes_are_those_of_earlier_versions(request: pytest.FixtureRequest) -> None:
    """An upgrade that changed a hash would replace every container of every user."""
    pipeline = voice(env=(("A", "1"),))
    node = pipeline.nodes[0]
    assert node.docker is not None
    env = env_hash(node.docker, base_id="sha256:base", runtime_version="1")
    hashes = {
        "env": env,
        "node": node_hash(node, node.docker, pipeline=pipeline, env_hash=env, user="0:0"),
        "process": process_hash(pipeline.nodes[-1]),
    }
    _hold_to(HERE / "hashes.json", json.dumps(hashes, indent=1) + "\n", request)
