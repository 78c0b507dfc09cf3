"""numpy on demand: the runtime starts without it, and whoever uses it has the real one."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _said(program: str) -> list[str]:
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


START = "import sys, reconciler.node.__main__; "
USES = {
    "by the node's own code": "import numpy as np; print(np.ndarray.__name__)",
    "by an array frame": (
        "import numpy as np; from reconciler.stream import codec, Tensor; "
        "print(type(codec.encode(Tensor(np.zeros(3)))[1]).__name__)"
    ),
    "by flatbuffers": "import flatbuffers.encode as e; print(e.np.ndarray.__name__)",
    "by flatbuffers first": (
        "import flatbuffers; b = flatbuffers.Builder(64); import numpy as np; "
        "b.CreateNumpyVector(np.arange(3)); print(np.ndarray.__name__)"
    ),
}


def test_the_runtime_starts_without_numpy() -> None:
    assert _said(f"{START}print('numpy' in sys.modules)") == ["False"]


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_who_uses_numpy_has_it(use: str) -> None:
    assert _said(f"{START}{use}") == ["ndarray"]


def test_frames_without_arrays_do_not_ask_for_it() -> None:
    text = (
        "from reconciler.stream import codec, Text, Json, Bytes; "
        "[codec.encode(frame) for frame in (Text('a'), Json([1]), Bytes(b'x'))]; print('numpy' in sys.modules)"
    )
    assert _said(f"{START}{text}") == ["False"]


FORKED = """
import os, threading, time
from reconciler.node import later

importing = threading.Event()

def load():
    with later._importing:
        importing.set()
        time.sleep(0.1)

thread = threading.Thread(target=load)
thread.start()
importing.wait()
child = os.fork()
if not child:
    later.load()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""


def test_a_fork_while_another_thread_imports_it_does_not_wait_for_that_thread() -> None:
    assert _said(f"{START}{FORKED}".replace("; \n", "\n", 1)) == ["7"]


def test_programs_of_users_are_left_as_they_are() -> None:
    assert _said("import reconciler.stream, sys; print(type(sys.modules['numpy']).__name__)") == ["module"]
