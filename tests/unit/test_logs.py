"""Output of host processes: the time that the runtime puts before each line, and what a reader makes of it."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import re
import sys
import threading
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest

from reconciler.cli.logs import Output
from reconciler.contract.paths import resolve
from reconciler.controller import logs
from reconciler.controller.logs import Followers, _lines, read_file
from reconciler.node import bounded
from reconciler.node.stamps import Stamped
from tests.support.model_engine import ModelEngine
from tests.support.place import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.mark.parametrize("length", [3, 5, 180, 200, 201, 210, 3_000, 3_001])
def test_last_lines_are_the_last_whatever_their_length(tmp_path: Path, length: int) -> None:
    path = tmp_path / "log"
    stamps = (f"{OLD} ", "", "") if length % 2 else (f"{OLD} ",)
    texts = (f"{stamps[number % len(stamps)]}{number:04} {'x' * length}\n" for number in range(100))
    path.write_text("".join(texts) + "half")
    every, end = read_file(path, "rc-x-1")
    assert len(every) == 100
    for tail in (0, 1, 3, 99, 100, 101, 10_000):
        assert read_file(path, "rc-x-1", tail=tail) == (every[max(100 - tail, 0) :], end)


def test_a_file_that_nobody_stamps_has_the_time_of_its_last_change(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("plain\nhalf")
    os.utime(path, ns=(OLD_NS, OLD_NS))
    assert [(line.at_ns, line.text) for line in read_file(path, "rc-x-1")[0]] == [(OLD_NS, "plain")]


def _no_holes(*_: object) -> int:
    ctypes.set_errno(errno.EOPNOTSUPP)
    return -1


@pytest.fixture(params=[True, False], ids=["holes", "no holes"])
def log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BinaryIO]:
    """A log as a host process has it, on a file system that makes holes and on one that does not."""
    if not request.param:
        monkeypatch.setattr(bounded, "_FALLOCATE", _no_holes)
    monkeypatch.setattr(bounded, "LONGEST_BYTES", 1 << 20)
    with (tmp_path / "log").open("ab", buffering=0) as file:
        yield file


def test_a_log_stays_below_its_bound_and_keeps_its_last_lines(log: BinaryIO) -> None:
    path = Path(log.name)
    line = f"{OLD} {'x' * 100} ".encode()
    written = 0
    for _ in range(7):
        log.write(b"".join(line + b"%06d\n" % number for number in range(written, written + 2_000)))
        written += 2_000
        bounded.bound(log.fileno())
        assert path.stat().st_blocks * 512 <= bounded.LONGEST_BYTES + 4_096
    lines, position = read_file(path, "rc-x-1")
    numbers = [int(line.text[-6:]) for line in lines]
    assert numbers == list(range(numbers[0], written)), "from some line on it is whole"
    assert bounded.LONGEST_BYTES / 3 < len(lines) * (len(line) + 7) < bounded.LONGEST_BYTES
    assert {(line.at_ns, len(line.text)) for line in lines} == {(OLD_NS, 107)}
    assert position == path.stat().st_size
    assert read_file(path, "rc-x-1", tail=1)[0][0].text.endswith(f"{written - 1:06}")


def test_who_follows_a_log_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "LONGEST_BYTES", 1 << 20)
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as log:
        log.write((b"x" * 99 + b"\n") * 10_000)
        near, far = 999_900, 100
        log.write((b"y" * 99 + b"\n") * 1_000)
        bounded.bound(log.fileno())
        log.write(b"new\n")
        assert [line.text[:3] for line in _lines(path, near)] == ["xxx", *["yyy"] * 1_000, "new"]
        late = [line.text for line in _lines(path, far)]
        assert set(late) == {"x" * 99, "y" * 99, "new"}, "who is far behind loses whole lines"
        assert 5_000 < len(late) < 6_000
        assert [line.text for line in _lines(path, path.stat().st_size - 4)] == ["new"]


def test_what_is_small_or_no_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as log:
        log.write(b"x" * bounded.LONGEST_BYTES)
        bounded.bound(log.fileno())
    assert path.read_bytes() == b"x" * bounded.LONGEST_BYTES
    reading, writing = os.pipe()
    bounded.bound(writing)
    os.close(reading)
    os.close(writing)


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


def test_followed_from_where_a_reader_has_got_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOOK_S", 0.01)
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


def test_following_ends_when_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `| head -1`; the lines are printed by another thread than the one that waits."""

    class Left(io.StringIO):
        def write(self, text: str) -> int:
            del text
            raise BrokenPipeError

    paths = resolve(state_dir=str(tmp_path), runtime_dir="/none")
    output = Output(paths, Namespace(pipeline="voice", follow=True))
    output.nodes["rc-x-1"] = ("process", "voice/words")
    monkeypatch.setattr(output, "_still_there", lambda: True)
    monkeypatch.setattr(logs, "LOOK_S", 0.01)
    monkeypatch.setattr(sys, "stdout", Left())
    output.log_file("rc-x-1").parent.mkdir(parents=True)
    output.log_file("rc-x-1").write_text("one\n")
    output.seen[str(output.log_file("rc-x-1"))] = 0
    with pytest.raises(BrokenPipeError):
        output.follow()
