"""Random histories on the real engine, a small sample: whatever happened, the world comes to match and stays so.

The thousands are in `tests/sim/test_histories.py`, on a model engine. `make chaos` runs more of both; the seed of each
is in the test's name.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.place import eventually
from tests.support.real_history import RealHistory

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place

FIRST_SEED = int(os.environ.get("REAL_SEED", "1"))
HISTORIES = int(os.environ.get("REAL_HISTORIES", "2"))
HAPPENINGS = 10
LONGEST_PAUSE_S = 1.0
MATCHES_S = 120.0
"""Backoff included: what a history killed again and again is started after some seconds only."""


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + HISTORIES))
def test_whatever_happened_the_world_comes_to_match_and_stays_so(
    place: Place, client: docker.APIClient, seed: int
) -> None:
    history = RealHistory(place, client, random.Random(seed))
    eventually(lambda: place.paths.status.exists() and not history.differences(), within_s=240)
    for _ in range(HAPPENINGS):
        history.happen()
        time.sleep(history.random.uniform(0.0, LONGEST_PAUSE_S))  # not to be in time: it is part of the history

    def diff() -> str:
        return place.reconcile("diff", "--allow-empty", "-f", str(place.manifests)).stdout

    def matches() -> bool:  # what happened last may not be told of yet, and not all of it is seen without the planner
        return not history.differences() and diff() == "no difference\n"

    try:
        eventually(matches, within_s=MATCHES_S)
    except AssertionError as error:
        raise AssertionError(f"{history.told}: {history.differences()} {diff()}\n{place.log()[-3_000:]}") from error
    acted = place.events()
    assert diff() == "no difference\n", history.told
    assert place.events() == acted, history.told
    assert history.differences() == [], history.told
