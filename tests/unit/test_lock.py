"""Locked files: whoever removes one that nobody holds removes no other."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Any

from reconciler.contract import lock

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_file_that_was_made_anew_and_locked_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "seat"
    path.touch()
    really = os.open
    held = []

    def opened(where: Path, flags: int, *mode: int) -> Any:
        file = really(where, flags, *mode)
        monkeypatch.undo()
        path.unlink()  # who had it leaves, and the next one comes
        held.append(really(path, os.O_RDWR | os.O_CREAT, 0o600))
        fcntl.flock(held[0], fcntl.LOCK_EX)
        return file

    monkeypatch.setattr(lock.os, "open", opened)
    lock.remove_unheld(path)
    try:
        assert lock.held(path)
        assert lock.is_at(held[0], path)
    finally:
        os.close(held[0])
    lock.remove_unheld(path)
    assert not path.exists()
