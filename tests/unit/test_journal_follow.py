"""A followed journal: what is there, then what comes, through a journal that is started afresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.controller import journal
from reconciler.controller.journal import Event, Journal

if TYPE_CHECKING:
    from pathlib import Path


def _event(number: int) -> Event:
    return Event(float(number), "Normal", f"container/{number}", "StartContainer", "why")


def test_follow_yields_what_is_there_and_then_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    waits = 0
    written: list[Journal] = []

    def wait(_: float) -> None:
        """What happens between looks: nothing is there; a journal; more; another journal with less in it."""
        nonlocal waits
        waits += 1
        if waits == 1:
            written.append(Journal(path))
            written[0].write(_event(1))
            written[0].write(_event(2))
        elif waits == 2:
            written[0].write(_event(3))
        elif waits == 4:
            written[0].close()
            for file in tmp_path.iterdir():
                file.unlink()
            written.append(Journal(path))
            written[1].write(_event(4))

    found = journal.follow(path, wait=wait)
    assert [next(found) for _ in range(4)] == [_event(number) for number in (1, 2, 3, 4)]
    assert waits == 4
    written[1].close()
