"""A runtime waits with what has time until its machine is calm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.node.calm import LATEST_S, SPREAD_S, WINDOW_S, Calm

if TYPE_CHECKING:
    from pathlib import Path


class Machine:
    """Two processors and a clock, both turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.stat = folder / "stat"
        self.now_s = 100.0
        self._busy = self._idle = 10_000
        self.passes(0, busy=0)
        self.calm = Calm(str(self.stat), clock=lambda: self.now_s)

    def passes(self, seconds: float, *, busy: float) -> None:
        """Let time pass, with this share of it taken."""
        ticks = round(200 * seconds)
        self.now_s += seconds
        self._busy += round(ticks * busy)
        self._idle += ticks - round(ticks * busy)
        self.stat.write_text(f"cpu  {self._busy} 0 0 {self._idle} 0 0 0 0 0 0\ncpu0 1 2 3 4\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_is_calm_after_a_second_that_was_idle(machine: Machine) -> None:
    assert not machine.calm.is_now()
    machine.passes(WINDOW_S / 2, busy=0)
    assert not machine.calm.is_now()
    machine.passes(WINDOW_S / 2, busy=0.4)
    assert machine.calm.is_now()


def test_where_it_is_busy_it_is_looked_at_again_later(machine: Machine) -> None:
    machine.calm.is_now()
    machine.passes(WINDOW_S, busy=0.9)
    assert not machine.calm.is_now()
    machine.passes(SPREAD_S, busy=0.9)
    assert not machine.calm.is_now(), "what was before does not count"
    machine.passes(WINDOW_S, busy=0.1)
    assert machine.calm.is_now()


def test_it_is_not_waited_for_for_ever(machine: Machine) -> None:
    while machine.now_s < 100.0 + LATEST_S:
        assert not machine.calm.is_now()
        machine.passes(WINDOW_S, busy=1)
    machine.passes(SPREAD_S, busy=1)
    assert machine.calm.is_now()


@pytest.mark.parametrize("text", ["", "cpu 1 2\n", "nonsense\n"])
def test_where_nobody_tells_it_is_calm(machine: Machine, text: str) -> None:
    machine.stat.write_text(text)
    assert machine.calm.is_now()
    machine.stat.unlink()
    assert machine.calm.is_now()


def test_this_machine_tells() -> None:
    assert Calm()._read() is not None
