"""Whether anything that a look reads has changed, on real files and without an engine."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.contract import files, paths
from reconciler.contract.values import replace
from reconciler.model.errors import EngineUnavailableError
from reconciler.observe import unchanged
from reconciler.observe.unchanged import Unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTAINER = {"Id": "1", "State": "running", "Status": "Up 5 minutes", "Ports": [{"PublicPort": 1}, {"PublicPort": 2}]}
IMAGES = [{"Id": "a", "RepoTags": ["x:1", "y:1"]}, {"Id": "b", "RepoTags": None}]


class Engine:
    """What the engine answers."""

    def __init__(self) -> None:
        self.containers: list[dict[str, Any]] = [dict(CONTAINER)]
        self.images: list[dict[str, Any]] = [dict(each) for each in IMAGES]
        self.away = False

    @contextmanager
    def asked(self, listed: list[dict[str, Any]]) -> Iterator[Callable[[], list[dict[str, Any]]]]:
        if self.away:
            msg = "away"
            raise EngineUnavailableError(msg)
        yield lambda: [dict(each) for each in listed]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setattr(unchanged, "ask_containers", lambda *_: made.asked(made.containers))
    monkeypatch.setattr(unchanged, "ask_images", lambda *_: made.asked(made.images))
    monkeypatch.setattr(unchanged.limits, "read", dict.fromkeys)
    return made


@pytest.fixture
def look(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What is told of a place that is taken for quiet."""
    assert engine
    monkeypatch.setattr(unchanged, "QUIET_S", 0.0)
    place = paths.Paths("i", tmp_path / "state" / "i", tmp_path / "run" / "i", ())
    (tmp_path / "manifests").mkdir()
    for made in (place.state, place.sessions, place.nodes / "rc-i-1", place.shm_root / "nodes"):
        made.mkdir(parents=True)
    (place.nodes / "rc-i-1" / "alive").write_text("")
    (place.shm_root / "nodes" / "x.node_monitor").write_text("")
    looks = Unchanged(place, [str(tmp_path)], "said", beside=[str(tmp_path / "beside")])
    return looks.told


def test_the_same_is_told_again_in_whatever_order(look: Callable[[], str], engine: Engine, tmp_path: Path) -> None:
    before = look()
    assert before
    engine.images.reverse()
    engine.containers[0] |= {"Status": "Up 6 minutes", "Ports": list(reversed(CONTAINER["Ports"]))}  # type: ignore[call-overload]
    (tmp_path / "beside").write_text("the mark itself")
    (tmp_path / "manifests" / "__pycache__").mkdir()
    (tmp_path / "manifests" / "__pycache__" / "x.pyc").write_text("")
    assert look() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda place: (place / "manifests" / "a.yaml").write_text(""),
        lambda place: (place / "manifests" / "folder").mkdir(),
        lambda place: (place / "run" / "i" / "nodes" / "rc-i-1" / "alive").chmod(0o400),
        lambda place: (place / "run" / "i" / "iox2" / "nodes" / "more").mkdir(),
        lambda place: (place / "run" / "i" / "iox2" / "nodes" / "x.node_monitor").unlink(),
    ],
)
def test_another_file_is_told(look: Callable[[], str], tmp_path: Path, change: Callable[[Path], object]) -> None:
    before = look()
    change(tmp_path)
    assert look() not in {"", before}


@pytest.mark.parametrize(
    "change",
    [
        {"State": "exited", "Status": "Exited (0) 5 minutes ago"},
        {"Status": "Up 5 minutes (Paused)", "State": "paused"},
        {"Names": ["/other"]},
        {"Ports": [{"PublicPort": 3}]},
    ],
)
def test_another_container_is_told(look: Callable[[], str], engine: Engine, change: dict[str, Any]) -> None:
    before = look()
    engine.containers[0] |= change
    assert look() not in {"", before}


def test_an_image_that_comes_or_has_another_name_is_told(look: Callable[[], str], engine: Engine) -> None:
    before = look()
    engine.images[1]["RepoTags"] = ["z:1"]
    named = look()
    engine.images.append({"Id": "c"})
    assert len({before, named, look()}) == 3


def test_limits_are_told(look: Callable[[], str], engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine
    before = look()
    monkeypatch.setattr(unchanged.limits, "read", lambda ids: dict.fromkeys(ids, 5))
    assert look() not in {"", before}


def test_what_a_node_counts_is_not_told_and_what_it_says_is(look: Callable[[], str], tmp_path: Path) -> None:
    """The first minute of a node's memory is no reason to compute again, nor are frames."""
    path = tmp_path / "run" / "i" / "nodes" / "rc-i-1" / "status.json"
    session = files.SessionStatus("voice", "a", files.READY, received=1)

    def said(status: files.Status) -> str:
        files.replace_text(path, files.dump(status))
        return look()

    status = files.Status("rc-i-1", "g", (session,))
    before = said(status)
    assert before
    assert said(replace(status, usage=files.Usage(5 << 20), sessions=(replace(session, received=2),))) == before
    for other in (
        replace(status, error="x"),
        replace(status, usage=files.Usage(oom_kills=1)),
        replace(status, sessions=(replace(session, state=files.FAILED),)),
    ):
        assert said(other) not in {"", before}


def test_a_lock_that_is_taken_or_let_go_is_told(look: Callable[[], str], tmp_path: Path) -> None:
    """The end of a program that holds one changes no file."""
    free = look()
    node = os.open(tmp_path / "run" / "i" / "nodes" / "rc-i-1" / "alive", os.O_RDWR)
    fcntl.flock(node, fcntl.LOCK_EX)
    held = look()
    os.close(node)
    assert free == look() != held != ""


@pytest.mark.parametrize(
    "doubt",
    [
        lambda place: (place / "manifests" / "link").symlink_to(place),
        lambda place: (place / "run" / "i" / "sessions" / "voice.json").write_text("{}"),
    ],
    ids=["link", "lease"],
)
def test_what_can_t_be_told_for_sure_is_nothing(
    look: Callable[[], str], tmp_path: Path, doubt: Callable[[Path], object]
) -> None:
    assert look()
    doubt(tmp_path)
    assert look() == ""


def test_what_has_just_changed_is_nothing(
    look: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may change again within the same tick of the kernel's clock, and look the same."""
    path = tmp_path / "manifests" / "a.yaml"
    path.write_text("")
    os.utime(path, ns=(0, 0))  # by its own account long ago; when it changed the kernel says
    assert look()
    monkeypatch.setattr(unchanged, "QUIET_S", 60.0)
    assert look() == ""


def test_an_engine_that_is_away_or_elsewhere_is_nothing(
    look: Callable[[], str], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.away = True
    assert look() == ""
    engine.away = False
    monkeypatch.setenv("DOCKER_HOST", "tcp://example:2375")
    assert look() == ""
