"""Files become frames."""

from __future__ import annotations

import json
import sys
import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.cli import feed
from reconciler.cli.feed import frames, opened
from reconciler.stream.frame import Audio, Json, Text

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.stream.frame import Frame


def read(path: Path) -> list[Frame]:
    return list(frames(opened(str(path)), str(path), frame_ms=20.0))


def test_wav_becomes_frames_of_the_asked_length_with_media_time(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(np.arange(-400, 400, dtype="<i2").tobytes())
    found = read(path)
    assert [len(frame.samples) for frame in found if isinstance(frame, Audio)] == [320, 320, 160]
    assert [frame.timestamp_ns for frame in found] == [0, 20_000_000, 40_000_000]
    whole = np.concatenate([frame.samples for frame in found if isinstance(frame, Audio)])
    assert np.array_equal(np.round(whole * 32_768), np.arange(-400, 400))


def test_lines_become_text_or_data(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text('hello\n\n{"a": 1}\n{"type": "text", "text": "t", "timestampMs": 1.5}\n{broken\n')
    assert read(path) == [
        Text("hello"),
        Json({"a": 1}),
        Text("t", timestamp_ns=1_500_000),
        Text("{broken"),
    ]


def test_stdin_is_read_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in"
    path.write_text("one\ntwo\n")
    with path.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert list(frames(opened("-"), "-", frame_ms=20.0)) == [Text("one"), Text("two")]


def test_a_line_that_only_looks_like_a_frame_is_data(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    value = {"type": "text", "text": "y", "timestampMs": None}
    path.write_text(json.dumps(value) + "\n")
    assert read(path) == [Json(value)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"RIFFtruncated", "no WAV file"),
        (b"\xff\xfe\x00", "bad:1: neither WAV nor UTF-8"),
        (b"ID3\x03\x00\n", "bad:1: neither WAV nor text: there are bytes of zero"),
        (b"one\ntwo\xff\n", "bad:2: neither WAV nor UTF-8"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "bad"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_directory_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: Is a directory"):
        opened(str(tmp_path))


def test_stdin_that_is_closed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="stdin is closed: name a file with --input"):
        opened("-")


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ('{"n": ', "Expecting value at column 7"),
        ("hello", "Expecting value at column 1"),
        ('{"n": NaN}', "NaN is no number"),
        ('{"n": 1e400}', "Out of range float"),
        ('{"n": "\\ud800"}', ".*surrogates"),
        ("[" * 100_000, ".*recursion"),
    ],
)
def test_a_broken_line_of_json_is_named_after_all_before_it(tmp_path: Path, broken: str, says: str) -> None:
    path = tmp_path / "a"
    path.write_text(f'{{"n": 1}}\n\n[2]\n{broken}\n{{"n": 3}}\n')
    reading = frames(opened(str(path)), str(path), frame_ms=20.0)
    assert [next(reading), next(reading)] == [Json({"n": 1}), Json([2])]
    with pytest.raises(ValueError, match=f"{path}:4: no line of JSON: {says}"):
        next(reading)


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", "hello\n"), ("a.ndjson", "{b\n"), ("a.json", "{\n}\n")])
def test_a_file_that_is_named_json_is_read_as_such(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=f"{path}:1: no line of JSON"):
        read(path)


def test_in_json_lines_any_value_is_data(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('"hello"\n\n  \n1.5\nnull\n {"a": "\\u00e4"}\n')
    assert read(path) == [Json("hello"), Json(1.5), Json(None), Json({"a": "ä"})]


@pytest.mark.parametrize("at_ms", ["1e300", "-1e300", '"1"', "null"])
def test_a_time_that_no_frame_can_carry_is_data(tmp_path: Path, at_ms: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"type": "text", "text": "y", "timestampMs": {at_ms}}}\n')
    (frame,) = read(path)
    assert isinstance(frame, Json)


def test_a_mark_of_byte_order_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfhello\r\n  indented\n")
    assert read(path) == [Text("hello"), Text("  indented")]


def test_a_line_without_end_is_not_collected_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LONGEST_LINE_BYTES", 1 << 20)
    path = tmp_path / "a.txt"
    path.write_bytes(b"short\n" + b"x" * (1 << 21))
    with pytest.raises(ValueError, match=r"a\.txt:2: longer than 1 MiB"):
        read(path)
