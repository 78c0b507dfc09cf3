"""A runtime looks for garbage while it serves, and neither in its own modules nor at its end."""

from __future__ import annotations

import subprocess
import sys

from reconciler.contract import exits

STARTS = (
    "import gc, reconciler.node.__main__; print(gc.isenabled(), gc.get_freeze_count() > 10_000, gc.get_threshold()[0])"
)
ENDS = """
import atexit, gc, runpy
counted = lambda: sum(1 for _ in gc.get_objects())
atexit.register(lambda: print(counted() < 100))
runpy.run_module("reconciler.node", run_name="__main__")
"""


def test_what_a_start_brings_is_no_garbage_and_what_comes_later_may_be() -> None:
    said = subprocess.run([sys.executable, "-c", STARTS], capture_output=True, text=True, check=True)
    assert said.stdout == "True True 700\n"


def test_nothing_is_looked_through_at_the_end() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, env={}, check=False)
    assert ended.returncode == exits.BROKEN, ended.stderr
    assert ended.stdout == "True\n"
