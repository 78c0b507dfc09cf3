"""The streams of `tests/engine/test_streams.py` for minutes instead of seconds: `make soak`."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.edits import Edited, undisturbed_whatever_happens
from tests.support.flow import Plant, docker_node
from tests.support.marathon import crowd, ravage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CROWD_S = 600.0
KILLS = 12
KILL_EVERY_S = 5.0
EDITS_S = 60.0


@pytest.fixture
def plant() -> Iterator[Plant]:
    made = Plant()
    try:
        made.put("gains", *(docker_node(f"gain{number}", "Gain", gain=1 + number / 8) for number in range(3)))
        made.put("chain", *(docker_node(f"relay{number}", "Relay") for number in range(3)))
        made.watch()
        yield made
    finally:
        made.close()


def test_a_minute_of_kills_costs_no_frame_and_doubles_none(plant: Plant) -> None:
    """EC-11, SC-004."""
    victims = list(itertools.islice(itertools.cycle(("gain1", "gain0", "gain2")), KILLS))
    assert ravage(plant, "gains", victims, every_s=KILL_EVERY_S) > 10_000


def test_a_minute_of_kills_and_new_versions_is_not_felt() -> None:
    """BY-04: containers are killed and replaced all the time, in turns and all at once, under three sessions."""
    plant = Plant()
    try:
        edited = Edited(plant)
        plant.watch()
        until = time.monotonic() + EDITS_S

        def ravaged() -> Iterator[Callable[[], object]]:
            turns = itertools.cycle(
                (
                    lambda: edited.replace(0),
                    lambda: edited.kill(2),
                    lambda: edited.replace(1),
                    lambda: edited.kill(1),
                    lambda: edited.kill(0),
                    lambda: edited.replace(0, 1, 2),
                )
            )
            while time.monotonic() < until:
                yield next(turns)

        assert undisturbed_whatever_happens(plant, ravaged(), sessions=3) > 3_000
    finally:
        plant.close()


def test_five_sessions_for_ten_minutes_keep_every_frame_to_themselves(plant: Plant) -> None:
    """SC-007."""
    assert min(crowd([plant.open("chain") for _ in range(5)], seconds=CROWD_S)) > 10_000
