"""What wakes the loop, on a real file system."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from reconciler.contract.watch import Watch
from reconciler.controller import wake
from reconciler.model.errors import EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Bell:
    """Rings when woken; `again` waits for the next ring."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def again(self) -> bool:
        heard = self._rung.wait(10)
        self._rung.clear()
        return heard


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Path, Bell, Callable[[], None]]]:
    """A watched directory that is armed already, its bell, and what arms it."""
    bell, stop = Bell(), threading.Event()
    place = tmp_path / "manifests"

    def paths() -> list[Path]:
        return [place, tmp_path] if place.is_symlink() else [place]

    threads: list[threading.Thread] = []

    def start() -> None:
        threads.extend(wake.start(partial(wake.watch_files, paths, bell.ring, stop, matters=lambda _: True)))

    yield place, bell, start
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def _until_it_rings(bell: Bell, change: Callable[[int], object]) -> bool:
    """Change something until it is heard: a watch takes a moment to arm, and nobody says when it has."""
    for number in range(100):
        change(number)
        if bell._rung.wait(0.1):
            bell.again()
            return True
    return False


def test_a_written_file_wakes(watched: tuple[Path, Bell, Callable[[], None]]) -> None:
    place, bell, start = watched
    place.mkdir()
    start()
    assert _until_it_rings(bell, lambda n: (place / "a.yaml").write_text(str(n)))
    (place / "sub").mkdir()
    assert bell.again()


def test_a_directory_that_is_replaced_is_watched_anew(watched: tuple[Path, Bell, Callable[[], None]]) -> None:
    place, bell, start = watched
    place.mkdir()
    start()
    assert _until_it_rings(bell, lambda n: (place / "a.yaml").write_text(str(n)))
    place.rename(place.with_name("old"))
    place.mkdir()
    assert bell.again()
    assert _until_it_rings(bell, lambda n: (place / "b.yaml").write_text(str(n)))


def test_a_directory_that_appears_later_is_found(watched: tuple[Path, Bell, Callable[[], None]]) -> None:
    place, bell, start = watched
    start()
    place.mkdir()
    assert _until_it_rings(bell, lambda n: (place / "a.yaml").write_text(str(n)))


def test_a_swapped_link_wakes(watched: tuple[Path, Bell, Callable[[], None]]) -> None:
    """As git-sync deploys: a link is put in place over another."""
    place, bell, start = watched
    for revision in ("one", "two"):
        (place.parent / revision).mkdir()
    place.symlink_to("one")
    start()
    assert _until_it_rings(bell, lambda n: (place.parent / "one" / "a.yaml").write_text(str(n)))
    swap = place.with_name("swap")
    swap.symlink_to("two")
    swap.replace(place)
    assert bell.again()
    assert _until_it_rings(bell, lambda n: (place.parent / "two" / "a.yaml").write_text(str(n)))


def test_an_event_stream_that_ends_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "RECONNECT_S", 0.02)
    bell, stop = Bell(), threading.Event()
    opened: list[int] = []

    def events() -> Iterator[object]:
        opened.append(1)
        if len(opened) == 1:
            msg = "away"
            raise EngineUnavailableError(msg)
        if len(opened) == 3:
            stop.set()
        yield "start"

    thread = threading.Thread(target=wake.watch_engine, args=(events, bell.ring, stop))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert len(opened) == 3
    assert bell.again()


def test_a_probe_wakes_only_on_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "PROBE_S", 0.02)
    stop = threading.Event()
    answers = iter([1, 1, 1, 2])
    asked = threading.Event()

    def state() -> int:
        answer = next(answers, None)
        if answer is None:
            asked.set()
        return answer or 2

    rings: list[int] = []
    thread = threading.Thread(target=wake.probe, args=(state, lambda: rings.append(1), stop))
    thread.start()
    assert asked.wait(10)
    stop.set()
    thread.join(10)
    assert rings == [1]


def test_each_directory_is_hinted_at_once_from_the_top_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place of a link that is watched beside it holds it, and a plain place is watched under both its names."""
    place = tmp_path / "manifests"
    (place / "a" / "b").mkdir(parents=True)
    wanted = [str(place), str(tmp_path), str(place / "a"), str(place / "a" / "b")]
    assert wake._folders([place, place, tmp_path], lambda _: True) == wanted
    monkeypatch.setattr(wake, "FOLDERS", 3)
    assert wake._folders([place, place, tmp_path], lambda _: True) == wanted[:3]


def test_of_a_single_file_no_neighbour_is_a_hint_and_each_way_to_write_it_is(tmp_path: Path) -> None:
    """In somebody's home something always changes, and each hint is 50 ms of asking."""
    place = tmp_path / "a.yaml"
    place.write_text("")
    (tmp_path / "busy").mkdir()
    with closing(Watch()) as hints:
        hints.follow(wake._folders([place, place], lambda _: True))
        (tmp_path / "b.yaml").write_text("")
        (tmp_path / "busy" / "c").write_text("")
        assert hints.wait(0.1) == []
        for number in range(2):  # a file put in its place is hinted at like the one before
            place.write_text(str(number))
            assert hints.wait(1.0)
            (tmp_path / "b.yaml").replace(place)
            began_s = time.monotonic()
            hints.wait(1.0)
            assert time.monotonic() - began_s < 0.9
            (tmp_path / "b.yaml").write_text("")
