"""A bell is rung by signal handlers, whatever the thread they interrupt is doing to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

from reconciler.controller.bell import Bell

INTERRUPTED = """
import signal, time
from reconciler.controller.bell import Bell

bell, until = Bell(), time.monotonic() + 0.5
signal.signal(signal.SIGALRM, lambda *_: bell.ring())
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
while time.monotonic() < until:
    bell.ring()
    bell.muffle()
    bell.wait(0.0)
    bell.rings()
signal.setitimer(signal.ITIMER_REAL, 0)
print("through")
"""


def test_it_may_be_rung_by_a_handler_within_any_of_its_steps() -> None:
    """With `threading.Event` handlers pile up, each waiting for the lock that the thread below it has."""
    program = [sys.executable, "-c", INTERRUPTED]
    said = subprocess.run(program, capture_output=True, text=True, timeout=30, check=False)
    assert said.stdout == "through\n", said.stderr


def test_it_rings_until_it_is_muffled() -> None:
    bell = Bell()
    assert not bell.wait(0.0)
    bell.ring()
    bell.ring()
    assert bell.wait(0.0)
    assert bell.wait(0.0)
    bell.muffle()
    assert not bell.rings()
    assert not bell.wait(0.0)


def test_a_ring_ends_a_wait() -> None:
    bell = Bell()
    began = time.monotonic()
    ringing = threading.Timer(0.01, bell.ring)
    ringing.start()
    assert bell.wait(10.0)
    assert time.monotonic() - began < 5
    ringing.join()


def test_a_signal_ends_a_wait() -> None:
    bell = Bell()
    before = signal.signal(signal.SIGALRM, lambda *_: bell.ring())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert bell.wait(10.0)
    finally:
        signal.signal(signal.SIGALRM, before)
