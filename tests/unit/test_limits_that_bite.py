"""Limits that bite: what the runtime counts and notes, and the words made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.contract import doing as noted
from reconciler.contract import files
from reconciler.contract.files import Status, Usage
from reconciler.controller.last_limit import limit_that_ended
from reconciler.model.manifest import Limits
from reconciler.model.memory import End
from reconciler.node import usage as metering
from reconciler.node.doing import Doing
from reconciler.node.usage import Meter
from reconciler.plan.limits import SIGBUS, bites, ended_by, refusal
from tests.support.engine_checks import Rig
from tests.support.model_engine import ModelEngine

if TYPE_CHECKING:
    from pathlib import Path

VERSION_1 = {
    "memory/memory.max_usage_in_bytes": "1048576\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "pids/pids.events": "max 7\n",
    "cpu/cpu.stat": "nr_periods 900\nnr_throttled {}\nthrottled_time 5\n",
}
VERSION_2 = {
    "memory.peak": "1048576\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n",
    "pids.events": "max 7\n",
    "cpu.stat": "usage_usec 1\nnr_periods 900\nnr_throttled {}\nthrottled_usec 5\n",
}


@pytest.mark.parametrize("group", [VERSION_1, VERSION_2], ids=["v1", "v2"])
def test_both_versions_of_control_groups(
    group: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "GROUP", tmp_path)
    now = [100.0]
    monkeypatch.setattr(metering.time, "monotonic", lambda: now[0])

    def put(throttled: int) -> None:
        for name, text in group.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text.format(throttled))

    put(100)
    meter = Meter()
    assert meter.read() == Usage(1 << 20, 2, 7, 0.0)
    put(150)  # 5 seconds of waiting
    now[0] += 0.5
    assert meter.read().throttled == 0.0
    now[0] += 10
    assert meter.read().throttled == 0.5
    now[0] += 11
    assert meter.read().throttled == 0.0


def test_a_peak_that_creeps_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "GROUP", tmp_path)
    now = [100.0]
    monkeypatch.setattr(metering.time, "monotonic", lambda: now[0])
    meter, told = Meter(), []
    for peak in (20 * MIB + 1, 20 * MIB + 4096, 21 * MIB, 21 * MIB + 1):
        (tmp_path / "memory.peak").write_text(f"{peak}\n")
        told.append(meter.read().memory_peak_bytes // MIB)
        now[0] += 1
    assert told == [21, 21, 21, 22]


def test_without_a_group_nothing_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "GROUP", tmp_path)
    assert Meter().read() == Usage()


def test_what_is_in_hand_outlives_the_one_who_says_it(tmp_path: Path) -> None:
    assert noted.read(tmp_path) == {}
    made = Doing(tmp_path)
    first, second = made.place("a"), made.place("b" * 63)
    assert noted.read(tmp_path) == {}
    first.frame(0)
    second.initializing()
    assert noted.read(tmp_path) == {"a": 0, "b" * 63: None}
    first.frame(1841)
    second.idle()
    assert noted.read(tmp_path) == {"a": 1841}
    made.free(first)
    assert noted.read(tmp_path) == {}
    places = [made.place(f"s{number}") for number in range(noted.PLACES + 3)]
    for place in places:
        place.frame(1)
    assert len(noted.read(tmp_path)) == noted.PLACES - 1  # the second still has its own
    Doing(tmp_path)
    assert noted.read(tmp_path) == {}
    (tmp_path / noted.FILE).write_bytes(b"x" * 7)
    assert noted.read(tmp_path) == {}


MIB = 1 << 20


@pytest.mark.parametrize(
    ("code", "limits", "oom", "usage", "doing", "said"),
    [
        (
            *(137, Limits(512 * MIB), True, Usage(511 * MIB), {"a": 1841}),
            (
                "killed by the memory limit: 512 MiB, peak 511 MiB, while handling frame 1841; "
                "raise resourceLimits.memoryMb"
            ),
        ),
        (
            *(137, Limits(2048 * MIB), True, Usage(), {"a": None, "b": 3}),
            (
                "killed by the memory limit: 2.0 GiB, while initializing session a and handling frame 3 of session b; "
                "raise resourceLimits.memoryMb"
            ),
        ),
        (137, Limits(512 * MIB), False, Usage(511 * MIB), {"a": 1}, ""),
        (
            *(137, Limits(), True, Usage(), {}),
            "killed because the host's memory was full; set resourceLimits.memoryMb for what takes it",
        ),
        (
            *(SIGBUS, Limits(), False, Usage(), {}),
            (
                "killed by SIGBUS, as when shared memory is full (64 MiB, 1 MiB free); send smaller or fewer "
                "frames, or make /dev/shm larger"
            ),
        ),
        (
            *(1, Limits(pids=8), False, Usage(pids_refused=2), {}),
            (
                "ended with exit code 1 after the limit of 8 processes and threads refused 2 of them; "
                "raise resourceLimits.pids"
            ),
        ),
        (1, Limits(pids=8), False, Usage(), {}, ""),
        (1, Limits(), False, Usage(pids_refused=2), {}, ""),
    ],
)
def test_words_for_an_end(
    *, code: int, limits: Limits, oom: bool, usage: Usage, doing: dict[str, int | None], said: str
) -> None:
    shared = (64 * MIB, MIB)
    assert ended_by(code, limits, out_of_memory=oom, usage=usage, doing=doing, shared=shared) == said


def test_conditions_are_there_for_limits_that_are() -> None:
    assert list(bites(Limits(), Usage(oom_kills=1, pids_refused=1, throttled=1.0), "g")) == []
    everything = Limits(64 * MIB, 10**9, 8)
    fine = [(found.type, found.status) for found in bites(everything, Usage(throttled=0.2), "g")]
    assert fine == [("Limited", "False"), ("Throttled", "False")]
    limited, throttled = bites(everything, Usage(oom_kills=1, pids_refused=1, throttled=0.45), "g")
    assert (limited.status, limited.reason) == ("True", "MemoryLimit")
    assert (throttled.status, throttled.reason) == ("True", "CpuLimit")
    assert throttled.message.startswith("waits 45% of the time for its limit of 1 core;")
    assert refusal(Limits(pids=8), Usage(pids_refused=1)).endswith("raise resourceLimits.pids")
    assert refusal(Limits(pids=8), Usage()) == refusal(Limits(), Usage(pids_refused=1)) == ""


def test_the_engine_is_asked_once_for_an_end_that_was_bad(tmp_path: Path) -> None:
    engine = ModelEngine(tags=("base:1",))
    rig = Rig(engine, "test", "base:1", None)  # type: ignore[arg-type]
    spec = replace(rig.spec(1), limits=Limits(96 * MIB))
    made = engine.add(spec)
    made.out_of_memory = True
    directory = tmp_path / spec.name
    directory.mkdir()
    status = Status(spec.name, usage=Usage(memory_peak_bytes=95 * MIB))
    files.replace_text(directory / "status.json", files.dump(status))
    Doing(directory).place("a").frame(2)
    assert limit_that_ended(engine, tmp_path, End(spec.name, made.id, 1, 0)) == ""
    assert engine.calls.reads == {}
    said = limit_that_ended(engine, tmp_path, End(spec.name, made.id, 1, 137))
    assert said == (
        "killed by the memory limit: 96 MiB, peak 95 MiB, while handling frame 2; raise resourceLimits.memoryMb"
    )
    assert engine.calls.reads == {"inspect container": 1}
    engine.away = True
    assert limit_that_ended(engine, tmp_path, End(spec.name, made.id, 1, 137)) == ""
