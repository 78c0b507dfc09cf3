"""Files become frames, frames become lines."""

from __future__ import annotations

import json
import sys
import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.cli.feed import Sink, frames, shown
from reconciler.stream.frame import Audio, Bytes, Error, Json, Tensor, Text

if TYPE_CHECKING:
    from pathlib import Path


def _wav(path: Path, samples: np.ndarray, *, rate: int = 16_000) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        sound.setsampwidth(samples.dtype.itemsize)
        sound.setframerate(rate)
        sound.writeframes(samples.tobytes())


def test_wav_becomes_frames_of_the_asked_length_with_media_time(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    _wav(path, np.arange(-400, 400, dtype="<i2"))
    found = list(frames(str(path), frame_ms=20.0))
    assert [len(frame.samples) for frame in found if isinstance(frame, Audio)] == [320, 320, 160]
    assert [frame.timestamp_ns for frame in found] == [0, 20_000_000, 40_000_000]
    whole = np.concatenate([frame.samples for frame in found if isinstance(frame, Audio)])
    assert np.array_equal(np.round(whole * 32_768), np.arange(-400, 400))


@pytest.mark.parametrize(("dtype", "middle"), [("u1", 128), ("<i2", 0), ("<i4", 0)])
def test_silence_is_zero_in_every_width(tmp_path: Path, dtype: str, middle: int) -> None:
    path = tmp_path / "a.wav"
    _wav(path, np.full((64, 2), middle, dtype=dtype))
    (frame,) = frames(str(path), frame_ms=20.0)
    assert isinstance(frame, Audio)
    assert frame.samples.shape == (64, 2)
    assert not frame.samples.any()


def test_lines_become_text_or_data(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('hello\n\n{"a": 1}\n{"type": "text", "text": "t", "timestampMs": 1.5}\n{broken\n')
    assert list(frames(str(path), frame_ms=20.0)) == [
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
        assert list(frames("-", frame_ms=20.0)) == [Text("one"), Text("two")]


def test_a_line_that_only_looks_like_a_frame_is_data(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    value = {"type": "text", "text": "y", "timestampMs": None}
    path.write_text(json.dumps(value) + "\n")
    assert list(frames(str(path), frame_ms=20.0)) == [Json(value)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"RIFFtruncated", "no WAV file"),
        (b"\xff\xfe\x00", "neither WAV nor UTF-8"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "bad"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        list(frames(str(path), frame_ms=20.0))
    assert str(path) in str(caught.value)


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


def test_audio_goes_into_a_wav_and_the_rest_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.wav"
    sink = Sink(str(path))
    sink.take(Audio(np.full(10, 0.5, np.float32), rate=8_000))
    sink.take(Text("hello"))
    sink.close()
    with wave.open(str(path)) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (8_000, 10)
    assert json.loads(capsys.readouterr().out)["text"] == "hello"
