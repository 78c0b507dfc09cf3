"""What a fork takes along and must not touch: ends of channels, and samples that views hold.

A child that ends in good order lets go of all its objects. iceoryx2's would then remove in shared memory what the
parent goes on using. So in a child they are never let go of: its copies stay until its memory goes.

Rule: whatever holds an object of iceoryx2 for longer than a call is guarded.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any

_guarded: weakref.WeakSet[Any] = weakref.WeakSet()
_keep = ctypes.pythonapi.Py_IncRef
_keep.argtypes = (ctypes.py_object,)
_keep.restype = None


class Forks:
    """How many forks lie between this process and the one that was started."""

    count = 0


def guard(owner: object) -> None:
    """Keep an object and all it holds for good in every child that is forked from now on."""
    _guarded.add(owner)


def leak(held: object) -> None:
    """Never let go of an object."""
    _keep(held)


def _in_child() -> None:
    Forks.count += 1
    for owner in tuple(_guarded):
        leak(owner)
    _guarded.clear()


os.register_at_fork(after_in_child=_in_child)
