"""The node runtime as it goes into images: the files of this very installation, so that both planes always fit."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

import reconciler
from reconciler.contract import RUNTIME_VERSION

PACKAGES = ("contract", "stream", "node")
REQUIREMENTS = ("iceoryx2==0.10.*", "numpy")
"""What the runtime needs. A user's own pin of one of them is resolved together with these."""

DEVELOPMENT = ".dev0"


@functools.cache
def runtime_files() -> tuple[tuple[str, bytes], ...]:
    """Return the runtime's files: paths relative to a directory on Python's path, and their content, sorted."""
    above = os.path.split(os.path.split(reconciler.__file__)[0])[0]
    modules = ["reconciler/__init__.py"]
    for package in PACKAGES:
        for folder, _, names in os.walk(f"{above}/reconciler/{package}"):
            modules += [f"{folder.removeprefix(f'{above}/')}/{name}" for name in names if name.endswith(".py")]
    return tuple((module, _content(f"{above}/{module}")) for module in sorted(modules))


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - every start reads them all: a third of pathlib's time
        return file.read()


@functools.cache
def resolver() -> Path | None:
    """Return the uv of this installation, which is handed to builds; None where there is none for this machine."""
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - only a build needs it
    except ImportError:
        return None
    try:
        return Path(find_uv_bin())
    except FileNotFoundError:
        return None


@functools.cache
def runtime_version() -> str:
    """Return the runtime's version. One under development names no fixed content, so a digest of its files is added."""
    if not RUNTIME_VERSION.endswith(DEVELOPMENT):
        return RUNTIME_VERSION
    whole = hashlib.sha256("\n".join(REQUIREMENTS).encode())
    for path, content in runtime_files():
        whole.update(path.encode() + b"\0" + hashlib.sha256(content).digest())
    return f"{RUNTIME_VERSION}+{whole.hexdigest()[:8]}"
