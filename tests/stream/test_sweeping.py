"""Who cleans up after the dead: the controller where there is one, and who comes back (docs/adr/0028)."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.stream import Session
from reconciler.stream.channel import Domain
from tests.support.instance import chain

if TYPE_CHECKING:
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"
VICTIM = """
import sys
from pathlib import Path
from reconciler.stream.channel import Domain
domain = Domain(Path(sys.argv[1]), sys.argv[2], "victim")
print("up", flush=True)
input()
"""


def _die(instance: Instance) -> None:
    """Have a program killed."""
    program = instance.start_program([sys.executable, "-c", VICTIM, str(instance.paths.shm_root), instance.prefix], {})
    assert program.stdout is not None
    assert program.stdout.readline() == "up\n", instance.log(program)
    program.kill()
    program.wait()
    assert _dead(instance) == ["victim"]


def _dead(instance: Instance) -> list[str]:
    return [node.name for node in instance.shm.look()[0] if node.dead]


def test_a_node_sweeps_when_it_comes_back_and_not_when_it_is_new(instance: Instance) -> None:
    _die(instance)
    served, _ = chain("voice", "one")
    instance.assign("one", *served)
    first = instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "voice")
    assert _dead(instance) == ["victim"]
    instance.end(first)
    assert _dead(instance) == ["victim"]
    second = instance.start_node("plain:Pass", NODES, node="one")
    instance.await_status("one", lambda status: bool(status.sessions) and not _dead(instance))
    instance.end(second)


@pytest.mark.parametrize("on_duty", [True, False])
def test_a_program_sweeps_where_no_controller_is_on_duty(instance: Instance, *, on_duty: bool) -> None:
    served, ends = chain("voice", "one")
    instance.assign("one", *served)
    instance.start_node("plain:Pass", NODES, node="one")
    instance.await_ready("one", "voice")
    instance.publish(ends)
    _die(instance)
    with instance.paths.controller.open("w") as duty:
        if on_duty:
            fcntl.flock(duty, fcntl.LOCK_EX)
        where = {"instance": instance.paths.instance, "runtime_dir": str(instance.directory)}
        Session.open("voice", session="voice", **where).close()
    assert _dead(instance) == (["victim"] if on_duty else [])


def test_in_private_memory_all_sweep(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller does not look in there."""
    _die(instance)
    monkeypatch.setattr("reconciler.contract.names.PRIVATE_SHM_ROOT", str(instance.paths.shm_root))
    Domain(instance.paths.shm_root, instance.prefix, "program", sweeps=False).close()
    assert _dead(instance) == []
