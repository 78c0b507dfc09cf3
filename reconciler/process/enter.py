"""A way into the shared memory of a container, for a program of the host.

Rule: the program sees the host as it is, but for `/dev/shm`, in a mount namespace of its own that ends with it. That
takes root: nobody else may look into a container's mounts.

Source: open_tree(2), move_mount(2), setns(2), mount_namespaces(7); Linux 5.2 and newer.
"""

from __future__ import annotations

import ctypes
import os

from reconciler.model.errors import ProcessError

SHARED_MEMORY = b"/dev/shm"

_NEW_MOUNTS = 0x00020000
_PRIVATE_ALL = (1 << 18) | 0x4000
_OPEN_TREE, _MOVE_MOUNT = 428, 429
_CLONE_TREE = 1
_FROM_DESCRIPTOR = 4
_HERE = -100

_LIBC = ctypes.CDLL(None, use_errno=True)


def enter_shared_memory(pid: int) -> None:
    """Put the `/dev/shm` of a process in place of this process's own, for it and what it starts.

    Raises:
        ProcessError: if that is not allowed or the process is gone.
    """
    try:
        theirs = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
        _done(_LIBC.unshare(_NEW_MOUNTS))
        # Else what is mounted here would show up in the host's own namespace.
        _done(_LIBC.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE_ALL), None))
        ours = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        _done(_LIBC.setns(theirs, _NEW_MOUNTS))
        tree = _done(_LIBC.syscall(_OPEN_TREE, _HERE, SHARED_MEMORY, _CLONE_TREE | os.O_CLOEXEC))
        _done(_LIBC.setns(ours, _NEW_MOUNTS))
        _done(_LIBC.syscall(_MOVE_MOUNT, tree, b"", _HERE, SHARED_MEMORY, _FROM_DESCRIPTOR))
        os.fchdir(here)
        for each in (theirs, here, ours, tree):
            os.close(each)
    except OSError as error:
        msg = f"can't enter the shared memory of process {pid}: {error.strerror}; it needs root, and Linux 5.2 or newer"
        raise ProcessError(msg) from error


def _done(result: int) -> int:
    """Return what a call returned.

    Raises:
        OSError: if it failed.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
