"""Where a simulation starts: node source that is really there, an engine with base images, a directory of its own."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reconciler import sources
from reconciler.model.manifest import Source
from tests.support.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.desired import Desired

TAGS = ("python:3.9-slim", "python:3.11-slim")

Found = TypeVar("Found")


@cache
def source(letter: str) -> Source:
    """Node source that is really there."""
    place = Path(tempfile.gettempdir(), "rc-simulated-source", letter)
    place.mkdir(parents=True, exist_ok=True)
    (place / "nodes.py").write_text(f"LETTER = {letter!r}\n")
    return Source(str(place), sources.digest(place))


def simulated(desired: Desired, check: Callable[[Simulation], Found]) -> Found:
    """Return what `check` finds in a simulation that starts from an engine with two base images."""
    directory = Path(tempfile.mkdtemp(prefix="rc-sim-"))
    try:
        with Simulation(directory, desired, tags=TAGS) as simulation:
            return check(simulation)
    finally:
        shutil.rmtree(directory)
