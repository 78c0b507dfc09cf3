"""Limits are read from either version of control groups and either driver's layout; what is not whole is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.model.manifest import Limits
from reconciler.model.observed import Container
from reconciler.observe import limits
from reconciler.plan import drift

if TYPE_CHECKING:
    from pathlib import Path

ID = "ab" * 32
LAYOUTS = ("docker/{}", "system.slice/docker-{}.scope")

Files = dict[str, str]

UNLIMITED_1 = {
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "cpu/cpu.cfs_quota_us": "-1\n",
    "cpu/cpu.cfs_period_us": "100000\n",
    "pids/pids.max": "max\n",
}
LIMITED_1 = {
    "memory/memory.limit_in_bytes": "67108864\n",
    "cpu/cpu.cfs_quota_us": "25000\n",
    "cpu/cpu.cfs_period_us": "50000\n",
    "pids/pids.max": "64\n",
}
UNLIMITED_2 = {"memory.max": "max\n", "cpu.max": "max 100000\n", "pids.max": "max\n"}
LIMITED_2 = {"memory.max": "67108864\n", "cpu.max": "50000 100000\n", "pids.max": "64\n"}
LIMITED = Limits(64 << 20, 500_000_000, 64)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(limits, "CGROUPS", tmp_path)
    return tmp_path


def put(groups: Path, layout: str, files: Files) -> None:
    """Lay a container's group out: version 1 where a file's name has its controller before it, version 2 elsewhere."""
    for name, text in files.items():
        controller, _, file = name.rpartition("/")
        place = groups / controller / layout.format(ID) / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        if not controller:
            (groups / "cgroup.controllers").write_text("cpu memory pids\n")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("files", "seen"),
    [(UNLIMITED_1, Limits()), (LIMITED_1, LIMITED), (UNLIMITED_2, Limits()), (LIMITED_2, LIMITED)],
    ids=["v1 unlimited", "v1", "v2 unlimited", "v2"],
)
def test_both_versions_in_both_layouts(groups: Path, layout: str, files: Files, seen: Limits) -> None:
    put(groups, layout, files)
    assert limits.limits_of(ID) == seen


@pytest.mark.parametrize("files", [LIMITED_1, LIMITED_2], ids=["v1", "v2"])
def test_what_is_not_whole_is_unknown(groups: Path, files: Files) -> None:
    assert limits.limits_of(ID) is None
    put(groups, LAYOUTS[0], files)
    for file in [path for path in groups.rglob("*") if path.is_file() and path.name != "cgroup.controllers"]:
        text = file.read_text()
        file.write_text("")
        assert limits.limits_of(ID) is None
        file.unlink()
        assert limits.limits_of(ID) is None
        file.write_text(text)
    assert limits.limits_of(ID) == LIMITED


def test_only_what_runs_is_read(groups: Path) -> None:
    put(groups, LAYOUTS[0], LIMITED_2)
    running, ended = Container(ID, "a", "running", "i"), Container(ID, "b", "exited", "i")
    assert [found.limits for found in limits.with_limits((running, ended), {})] == [LIMITED, None]


@pytest.mark.parametrize(
    ("seen", "wanted", "named"),
    [
        (LIMITED, LIMITED, ""),
        (Limits(), Limits(), ""),
        (Limits(4096), Limits(4097), ""),
        (Limits(nano_cpus=333_330_000), Limits(nano_cpus=333_333_333), ""),
        (Limits(pids=64), Limits(pids=65), "limits differ: pids is 64 and shall be 65"),
        (Limits(), Limits(1 << 20), "limits differ: memory is unlimited and shall be 1048576 bytes"),
        (Limits(nano_cpus=10**9), Limits(), "limits differ: cpu is 1 cores and shall be unlimited"),
    ],
)
def test_difference_of_limits_has_a_name(seen: Limits, wanted: Limits, named: str) -> None:
    assert drift.limits(seen, wanted) == named
