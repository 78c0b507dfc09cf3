"""What `top` makes of two looks, and where it reads what instances take."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.top import Flow, Sample, _by_connection, _item, _row, _rows
from reconciler.contract.files import InputStatus, SessionStatus, Status, dump, parse_status
from reconciler.contract.values import replace
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


def test_losses_are_told_by_connection_where_a_node_has_several() -> None:
    """The node's own row has the sum over its connections, each of them that over all sessions."""
    first = (InputStatus("", "", 5, 1), InputStatus("x", "y", 1, 2))
    one = SessionStatus("a", "words", received=6, dropped=3, inputs=first)
    two = replace(one, session="b", dropped=5, inputs=(InputStatus("", "", 1, 1, 7), InputStatus("x", "y", 1, 4)))
    inputs = _by_connection([one, two])
    assert inputs == (InputStatus("", "", 6, 2, 7), InputStatus("x", "y", 2, 6))
    sample = Sample(100.0, {"voice/words": Flow("rc-x-1", 2, 8, 0, 8, inputs=inputs)})
    item = _item("voice/words", sample, sample)
    ends = {"from": "x", "fromOutput": None, "toInput": "y"}
    assert item["status"]["inputs"][1] == {**ends, "received": 2, "dropped": 6, "doubled": 0}
    whole, session, other = _rows(item)
    assert [row[4] for row in (whole, session, other)] == ["8", "2", "6"]
    assert [row[0] for row in (session, other)] == ["  from the session", "  from x to y"]
    assert len({len(whole), len(session), len(other)}) == 1
    status = Status("rc-x-1", "g", (one, two))
    assert parse_status(dump(status)) == status
    assert parse_status(dump(status).replace('"doubled": 7', '"doubled": "7"')) is None
    single = replace(sample.flows["voice/words"], inputs=inputs[:1])
    assert len(list(_rows(_item("voice/words", sample, Sample(101.0, {"voice/words": single}))))) == 1


def test_two_connections_from_one_node_are_told_apart_by_the_port_it_emits_by() -> None:
    left, right = InputStatus("a", "", 5, 1, output="left"), InputStatus("a", "", 7, 2, output="right")
    one = SessionStatus("s", "b", received=12, dropped=3, inputs=(left, right))
    assert _by_connection([one]) == (left, right)
    assert parse_status(dump(Status("rc-x-1", "g", (one,)))) == Status("rc-x-1", "g", (one,))
    sample = Sample(100.0, {"voice/b": Flow("rc-x-1", 1, 12, 0, 3, inputs=(left, right))})
    item = _item("voice/b", sample, sample)
    assert [each["fromOutput"] for each in item["status"]["inputs"]] == ["left", "right"]
    assert [row[0] for row in _rows(item)][1:] == ["  from a.left", "  from a.right"]


def test_a_status_of_another_version_has_what_is_known_to_both() -> None:
    one = SessionStatus("s", "b", inputs=(InputStatus("a", "in", 5, 1),))
    text = dump(Status("rc-x-1", "g", (one,)))
    raw = json.loads(text)
    assert raw["sessions"][0]["inputs"][0].pop("output") == ""
    assert parse_status(json.dumps(raw)) == parse_status(text)
    raw["sessions"][0]["inputs"][0]["unheard"] = "of"
    assert parse_status(json.dumps(raw)) == parse_status(text)


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
