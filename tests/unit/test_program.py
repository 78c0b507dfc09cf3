"""`reconcile` as a program: its end takes nothing apart, which would take longer than many a command."""

from __future__ import annotations

import subprocess
import sys

ENDS = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count() > 10_000))
from reconciler.cli.__main__ import program
sys.argv[1:] = {arguments}
sys.exit(program())
"""


def test_what_a_command_made_is_left_to_the_system_whatever_it_returns() -> None:
    for arguments, code in ((["--help"], 0), (["--no-such-option"], 2)):
        said = subprocess.run(
            [sys.executable, "-c", ENDS.format(arguments=arguments)], capture_output=True, text=True, check=False
        )
        assert said.returncode == code
        assert said.stdout.endswith("True\n")
