"""What comes back is shown as lines, and written where it was asked for."""

from __future__ import annotations

import io
import json
import os
import sys
import wave
from typing import IO, TYPE_CHECKING

import numpy as np
import pytest

from reconciler.cli.sink import Sink, line, shown
from reconciler.stream.frame import Audio, Bytes, Error, Json, Tensor, Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Iterator[IO[bytes]]:
    path = tmp_path / "in.wav"
    path.write_bytes(b"input")
    with path.open("rb") as file:
        yield file


def test_frames_are_shown_as_the_contract_says() -> None:
    assert shown(Text("go", seq=3, timestamp_ns=1_250_000, node="words")) == {
        "type": "text",
        "node": "words",
        "port": "",
        "seq": 3,
        "timestampMs": 1.25,
        "text": "go",
    }
    assert shown(Audio(np.zeros(3, np.float32), rate=8_000))["shape"] == [3]
    assert shown(Tensor(np.zeros((2, 3), np.int16)))["dtype"] == "int16"
    assert shown(Json([1]))["value"] == [1]
    assert shown(Bytes(b"x"))["type"] == "bytes"
    assert shown(Error("words", "ValueError", "bad"))["message"] == "bad"


def test_lines_are_utf_8_and_half_a_character_is_its_number() -> None:
    assert '"text": "häß"'.encode() in line(Text("häß"))
    assert b'"value": "\\ud800"' in line(Json("\ud800"))


def test_audio_goes_into_a_wav_and_the_rest_to_stdout(
    tmp_path: Path, source: IO[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"x" * 1_000)
    sink = Sink(str(path), apart_from=source)
    assert path.stat().st_size == 1_000, "an earlier output stays until a stream begins"
    sink.begin()
    sink.take(Audio(np.full(10, 0.5, np.float32), rate=8_000))
    sink.take(Text("hello"))
    sink.close()
    with wave.open(str(path)) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (8_000, 10)
    assert path.stat().st_size == 64
    assert json.loads(capsys.readouterr().out)["text"] == "hello"


def test_a_file_of_another_name_takes_all_as_lines_at_once(
    tmp_path: Path, source: IO[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.jsonl"
    sink = Sink(str(path), apart_from=source)
    sink.begin()
    sink.take(Audio(np.zeros(10, np.float32), rate=8_000))
    sink.take(Text("hello"))
    assert [json.loads(each)["type"] for each in path.read_text().splitlines()] == ["audio", "text"]
    sink.close()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", [None, "-"])
def test_without_a_file_all_goes_to_stdout(
    name: str | None, source: IO[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    sink = Sink(name, apart_from=source)
    sink.begin()
    sink.take(Text("hello"))
    sink.close()
    assert json.loads(capsys.readouterr().out)["text"] == "hello"


def test_what_cannot_be_written_is_said_before_anything_is(tmp_path: Path, source: IO[bytes]) -> None:
    with pytest.raises(ValueError, match=r"none/out.wav: No such file or directory"):
        Sink(str(tmp_path / "none" / "out.wav"), apart_from=source)
    with pytest.raises(ValueError, match="Is a directory"):
        Sink(str(tmp_path), apart_from=source)


def test_the_input_is_not_written_over(tmp_path: Path, source: IO[bytes]) -> None:
    link = tmp_path / "link.wav"
    link.symlink_to(tmp_path / "in.wav")
    with pytest.raises(ValueError, match=r"link\.wav: is the input, too"):
        Sink(str(link), apart_from=source)
    assert (tmp_path / "in.wav").read_bytes() == b"input"


def test_stdout_that_is_closed_is_said(tmp_path: Path, source: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    for name in (None, str(tmp_path / "out.wav")):
        with pytest.raises(ValueError, match="stdout is closed: name a file with --output"):
            Sink(name, apart_from=source)
    Sink(str(tmp_path / "out.jsonl"), apart_from=source).close()


def test_a_disk_that_is_full_is_named(source: IO[bytes]) -> None:
    sink = Sink("/dev/full", apart_from=source)
    sink.begin()
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        sink.take(Text("hello"))
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        sink.close()


def test_a_pipe_takes_sound_too(tmp_path: Path, source: IO[bytes]) -> None:
    path = tmp_path / "out.wav"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = Sink(str(path), apart_from=source)
    sink.begin()
    sink.take(Audio(np.full(10, 0.5, np.float32), rate=8_000))
    sink.close()
    raw = os.read(reading, 1_000)
    os.close(reading)
    with wave.open(io.BytesIO(raw)) as sound:
        assert len(sound.readframes(100)) == 20
