"""Of which rest a mark may be left: what depends on no moment, and on nothing that is not read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.controller.loop import Pass
from reconciler.controller.rest import is_plain
from reconciler.model.desired import Desired, Diagnostic
from reconciler.model.manifest import Origin, SecretFile, SharedMemory, Volume
from reconciler.plan.plan import plan
from tests.support.worlds import chain, desire, docker_node, host_node, rest

ECHO = chain("echo", docker_node("echo"))
ROOT = Path("/manifests")


def passed(desired: Desired) -> Pass:
    """Return a pass that found a world at rest."""
    world = rest(desired)
    found = plan(desired, world)
    return Pass(desired, world, found, found.statuses, busy=False)


def test_containers_that_all_run_are_plain() -> None:
    assert is_plain(passed(desire(ECHO)), ROOT)


def test_source_elsewhere_is_not() -> None:
    assert not is_plain(passed(desire(ECHO)), Path("/elsewhere"))


@pytest.mark.parametrize(
    "pipeline",
    [
        chain("host", host_node("echo")),
        chain("echo", docker_node("echo", volumes=(Volume("/data", "/data", read_only=True),))),
        chain("echo", docker_node("echo", secrets=(SecretFile("/key", "d", "key"),))),
        chain("echo", docker_node("echo"), shared_memory=SharedMemory("Private", 1 << 25)),
    ],
    ids=["host process", "volume", "secret", "private memory"],
)
def test_what_is_not_read_again_is_not(pipeline: object) -> None:
    assert not is_plain(passed(desire(pipeline)), ROOT)  # type: ignore[arg-type]


def test_what_waits_is_wrong_or_passes_is_not() -> None:
    made = passed(desire(ECHO))
    wrong = Diagnostic(Origin("x.yaml"), "no")
    for other in (
        replace(made, busy=True),
        replace(made, desired=replace(made.desired, diagnostics=(wrong,))),
        replace(made, desired=replace(made.desired, complete=False)),
        replace(made, desired=replace(made.desired, kept=frozenset({"echo"}))),
        replace(made, observed=replace(made.observed, stale_leases=("voice",))),
        replace(made, plan=replace(made.plan, requeue_s=1.0)),
        passed(desire(ECHO, leases=(("voice", "echo"),))),
    ):
        assert not is_plain(other, ROOT)
