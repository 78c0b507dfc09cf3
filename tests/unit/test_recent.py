"""Lists of a moment ago are given again, and never where something may have happened since."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import pytest

from reconciler.engine.door import Door
from reconciler.engine.recent import FRESH_S, IMAGES_FRESH_S, LIST_LAG_S, Recent
from reconciler.model.errors import EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.engine.port import Lists
    from reconciler.engine.wire import Listed, Wire

LISTS: Lists = ((), ())


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Asked:
    """A wire that counts; an engine with nothing on it."""

    def __init__(self) -> None:
        self.count = 0
        self.kinds: list[str] = []
        self.fails = False

    def does(self, *_: object, **__: object) -> None:
        """Do it."""

    @contextmanager
    def asked(self, kind: str, *_: object, **__: object) -> Iterator[Callable[[], Listed]]:
        self.count += 1
        self.kinds.append(kind)
        yield self._answer

    def _answer(self) -> Listed:
        if self.fails:
            msg = "away"
            raise EngineUnavailableError(msg)
        return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recent(clock: Clock) -> Recent[Lists]:
    return Recent(clock=clock)


def test_they_count_for_a_moment(recent: Recent, clock: Clock) -> None:
    recent.keep("i", LISTS, asked_s=recent.now_s())
    clock.now_s += FRESH_S / 2
    assert recent.get("i") == LISTS
    assert recent.get("another") is None
    clock.now_s += FRESH_S
    assert recent.get("i") is None


def test_they_are_as_old_as_the_question(recent: Recent, clock: Clock) -> None:
    asked_s = recent.now_s()
    clock.now_s += FRESH_S * 1.1
    recent.keep("i", LISTS, asked_s=asked_s)
    assert recent.get("i") is None


def test_what_happens_ends_them(recent: Recent[Lists]) -> None:
    recent.keep("i", LISTS, asked_s=recent.now_s())
    recent.disturb()
    assert recent.get("i") is None


def test_lists_that_something_happened_beneath_are_not_kept(recent: Recent, clock: Clock) -> None:
    asked_s = recent.now_s()
    clock.now_s += FRESH_S / 4
    recent.disturb()
    recent.keep("i", LISTS, asked_s=asked_s)
    assert recent.get("i") is None


def test_nor_those_that_may_lag_behind_what_happened(recent: Recent, clock: Clock) -> None:
    recent.disturb()
    clock.now_s += LIST_LAG_S * 0.9
    recent.keep("i", LISTS, asked_s=recent.now_s())
    assert recent.get("i") is None
    clock.now_s += LIST_LAG_S * 0.2
    recent.keep("i", LISTS, asked_s=recent.now_s())
    assert recent.get("i") == LISTS


def test_the_door_asks_once_for_looks_in_a_row_and_never_takes_a_failure_for_lists() -> None:
    wire = Asked()
    door = Door(cast("Wire", wire), timeout_s=1)
    wire.fails = True
    for _ in range(2):
        with door.listing("i") as listed, pytest.raises(EngineUnavailableError):
            listed()
    assert wire.count == 4
    wire.fails = False
    for _ in range(3):
        with door.listing("i") as listed:
            assert listed() == LISTS
    assert wire.count == 6


def test_what_is_done_to_containers_costs_no_further_list_of_images() -> None:
    wire = Asked()
    door = Door(cast("Wire", wire), timeout_s=1)
    for _ in range(3):
        with door.listing("i") as listed:
            listed()
        door.stop("c", timeout_s=1)
    assert wire.kinds == ["containers", "images", "containers", "containers"]
    door._disturb()
    with door.listing("i") as listed:
        listed()
    assert wire.kinds[4:] == ["containers", "images"]


def test_a_list_of_images_counts_for_longer(clock: Clock) -> None:
    recent: Recent[str] = Recent(fresh_s=IMAGES_FRESH_S, clock=clock)
    recent.keep("", "images", asked_s=recent.now_s())
    clock.now_s += IMAGES_FRESH_S * 0.9
    assert recent.get("") == "images"
    clock.now_s += IMAGES_FRESH_S * 0.2
    assert recent.get("") is None
