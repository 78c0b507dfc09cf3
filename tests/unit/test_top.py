"""What `top` makes of two looks, and where it reads what instances take."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.top import Flow, Sample, _item, _row
from reconciler.observe import limits
from reconciler.observe.usage import Usage, of_container, of_process

if TYPE_CHECKING:
    from pathlib import Path

ID = "c" * 64


def _status(before: Sample, now: Sample) -> dict[str, object]:
    status: dict[str, object] = _item("voice/words", before, now)["status"]
    return status


def test_rates_are_what_came_between_two_looks() -> None:
    before = Sample(100.0, {"voice/words": Flow("rc-x-1", 1, 50, 20, 0, 3, 99.5)}, {"rc-x-1": Usage(1.0, 1 << 20)})
    now = Sample(102.0, {"voice/words": Flow("rc-x-1", 2, 150, 70, 4, 7, 101.5)}, {"rc-x-1": Usage(1.5, 2 << 20)})
    status = _status(before, now)
    assert (status["inPerSecond"], status["outPerSecond"]) == (50.0, 25.0)
    assert (status["dropped"], status["backlog"], status["sessions"]) == (4, 7, 2)
    assert (status["cpuCores"], status["memoryBytes"]) == (0.25, 2 << 20)
    assert _row(_item("voice/words", before, now)) == (
        *("voice/words", "2", "50.0", "25.0", "4", "7", "25.0%", "2 MiB", "rc-x-1"),
    )


@pytest.mark.parametrize(
    ("received", "written_s", "rate"),
    [
        (50, 10.0, 0.0),  # idle all the while
        (80, 101.5, 12.0),  # idle for long, then some: written a second before the first look at the earliest
        (10, 101.5, 0.0),  # started again meanwhile
    ],
)
def test_counters_that_stand_or_begin_anew(received: int, written_s: float, rate: float) -> None:
    before = Sample(100.0, {"voice/words": Flow("rc-x-1", 1, 50, written_s=10.0)})
    now = Sample(102.0, {"voice/words": Flow("rc-x-1", 1, received, written_s=written_s)})
    status = _status(before, now)
    assert status["inPerSecond"] == rate
    assert status["cpuCores"] is None
    assert _row(_item("voice/words", before, now))[6:8] == ("-", "-")


def test_a_process_takes_what_the_kernel_says() -> None:
    found = of_process(os.getpid())
    assert found
    assert found.cpu_s > 0
    assert found.memory_bytes > 10 << 20
    assert of_process(2**22) is None


def test_a_container_is_read_from_either_version_of_control_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CGROUPS", tmp_path)
    assert of_container(ID) is None
    _write(tmp_path / "cpuacct" / "docker" / ID, **{"cpuacct.usage": "1500000000"})
    files = {"memory.usage_in_bytes": "5000", "memory.stat": "cache 7\ntotal_inactive_file 1000\n"}
    _write(tmp_path / "memory" / "docker" / ID, **files)
    assert of_container(ID) == Usage(1.5, 4000)
    (tmp_path / "cgroup.controllers").touch()
    assert of_container(ID) is None
    second = {
        "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
        "memory.current": "900",
        "memory.stat": "inactive_file 1\n",
    }
    _write(tmp_path / "system.slice" / f"docker-{ID}.scope", **second)
    assert of_container(ID) == Usage(2.5, 899)


def _write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / name).write_text(text)
