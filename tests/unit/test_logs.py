"""Output of host processes: the time that the runtime puts before each line, and what a reader makes of it."""

from __future__ import annotations

import io
import os
import re
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.controller.logs import Followers, read_file
from reconciler.node.stamps import Stamped
from tests.support.model_engine import ModelEngine
from tests.support.place import eventually

if TYPE_CHECKING:
    from pathlib import Path

OLD = "2026-01-02T03:04:05.000006Z"
OLD_NS = int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()) * 10**9 + 6_000


def test_every_line_is_stamped_once_and_the_rest_is_the_stream_s() -> None:
    plain = io.StringIO()
    stamped = Stamped(plain)
    print("one", file=stamped)
    stamped.write("two ")
    stamped.write("parts\n\nfour")
    stamped.flush()
    lines = plain.getvalue().split("\n")
    texts = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (.*)", line) for line in lines]
    assert [text and text[1] for text in texts] == ["one", "two parts", "", "four"]
    assert not stamped.closed


def test_lines_have_their_time_and_can_be_chosen_by_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"{OLD} first\nof native code\n2026-01-02T03:04:06.5Z not ours\n")
    stamped = Stamped(path.open("a"))
    print("new", file=stamped, flush=True)
    stamped.close()
    lines, position = read_file(path, "rc-x-1")
    assert position == path.stat().st_size
    assert [(line.text, line.at_ns == OLD_NS) for line in lines] == [
        ("first", True),
        ("of native code", True),
        ("2026-01-02T03:04:06.5Z not ours", True),
        ("new", False),
    ]
    assert [line.text for line in read_file(path, "rc-x-1", since_ns=OLD_NS + 1)[0]] == ["new"]
    for tail, count in ((0, 0), (1, 1), (9, 4)):
        assert read_file(path, "rc-x-1", tail=tail)[0] == lines[len(lines) - count :]
    assert read_file(tmp_path / "none", "rc-x-1") == ([], 0)


def test_a_file_that_nobody_stamps_has_the_time_of_its_last_change(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("plain\nhalf")
    os.utime(path, ns=(OLD_NS, OLD_NS))
    assert [(line.at_ns, line.text) for line in read_file(path, "rc-x-1")[0]] == [(OLD_NS, "plain")]


class Source:
    """One host process."""

    def __init__(self, path: Path) -> None:
        self.engine = ModelEngine()
        self.path = path

    def log_file(self, name: str) -> Path:
        del name
        return self.path

    def running(self) -> dict[str, tuple[str, ...]]:
        return {"rc-x-1": ("process", "voice/words")}


def test_followed_from_where_a_reader_has_got_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("read already\n")
    said: list[tuple[str, tuple[str, ...]]] = []

    def say(*, at_s: float, instance: str, owners: tuple[str, ...], stream: str, text: str) -> None:
        del at_s, instance, stream
        said.append((text, owners))

    _, position = read_file(path, "rc-x-1")
    with path.open("a") as file:
        file.write("between\n")
    stop = threading.Event()
    thread = threading.Thread(target=Followers(Source(path), say, seen={str(path): position}).run, args=(stop,))
    thread.start()
    try:
        eventually(lambda: said, within_s=10)
        with path.open("a") as file:
            file.write("after\n")
        eventually(lambda: len(said) == 2, within_s=10)
    finally:
        stop.set()
        thread.join()
    assert said == [("between", ("voice/words",)), ("after", ("voice/words",))]
