"""A node is told at once that its assignments have changed, and takes no watch of the kernel's for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from reconciler.contract import doorbell
from reconciler.contract.doorbell import Doorbell

if TYPE_CHECKING:
    from pathlib import Path


def _waited_s(bell: Doorbell, timeout_s: float = 1.0) -> float:
    began = time.monotonic()
    bell.wait(timeout_s)
    return time.monotonic() - began


def test_a_ring_ends_a_wait_and_counts_once(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path)
    for _ in range(3):
        doorbell.ring(tmp_path)
    assert _waited_s(bell) < 0.5
    assert _waited_s(bell, 0.02) >= 0.02


def test_another_process_is_heard_while_one_waits(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path)
    said = f"from reconciler.contract import doorbell; from pathlib import Path; doorbell.ring(Path({str(tmp_path)!r}))"
    ringing = threading.Timer(0.01, lambda: subprocess.run([sys.executable, "-c", said], check=True))
    ringing.start()
    heard = any(_waited_s(bell) < 0.9 for _ in range(10))
    ringing.join()
    assert heard


def test_its_own_process_rings_however_often(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path)
    for _ in range(70_000):
        bell.ring()
    assert _waited_s(bell) < 0.5


@pytest.mark.parametrize("there", ["nothing", "a file", "nobody who hears"])
def test_ringing_where_nobody_hears_does_nothing(tmp_path: Path, there: str) -> None:
    place = tmp_path / doorbell.FILE
    if there == "a file":
        place.write_text("kept")
    elif there == "nobody who hears":
        os.mkfifo(place)
    doorbell.ring(tmp_path)
    assert there != "a file" or place.read_text() == "kept"


def test_it_takes_the_place_of_one_that_was_left(tmp_path: Path) -> None:
    (tmp_path / doorbell.FILE).write_text("left")
    bell = Doorbell(tmp_path)
    doorbell.ring(tmp_path)
    assert _waited_s(bell) < 0.5


def test_where_it_cannot_be_hung_up_its_own_process_is_heard(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path / "missing")
    bell.ring()
    assert _waited_s(bell) < 0.5
