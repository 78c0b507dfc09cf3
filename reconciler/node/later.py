"""numpy on demand: a node that sends no arrays starts without the time and memory it takes to import it.

iceoryx2 imports numpy, through flatbuffers, for what is not used here. Measured: 130 of the 170 ms of processor time
that a start of the runtime takes, and half of its memory.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from types import ModuleType
from typing import Any, Iterator

NUMPY = "numpy"

_importing = threading.RLock()
# A child that is forked while another thread imports would wait for ever for that thread to be done.
os.register_at_fork(before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release)


class _Later(ModuleType):
    """Stands for a module, and imports it when something of it is asked for. Any thread may."""

    def __getattr__(self, name: str) -> Any:
        with _importing:
            found = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, found)  # from now on it is found here
        return found


def load() -> None:
    """Import numpy now. Where it can't be, whoever uses it says why."""
    with _importing, contextlib.suppress(ImportError, RuntimeError):
        importlib.import_module(NUMPY)


@contextlib.contextmanager
def numpy_on_demand() -> Iterator[None]:
    """Let modules imported within have numpy when they use it. Only for a program that has no other threads yet."""
    if NUMPY in sys.modules:
        yield
        return
    later = sys.modules[NUMPY] = _Later(NUMPY)
    try:
        yield
    finally:
        if sys.modules.get(NUMPY) is later:
            del sys.modules[NUMPY]
