"""WAV files as they are found: every width, headers that lie, pipes, and what is left of a program that was killed."""

from __future__ import annotations

import io
import struct
import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.cli import wav
from reconciler.stream.frame import Audio

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RATE = 8_000
WAVE = np.linspace(-1, 1, 400, endpoint=False, dtype=np.float64)
GUID = bytes.fromhex("000000001000800000aa00389b71")


def about(code: int, bits: int, *, channels: int = 1, rate: int = RATE) -> bytes:
    block = channels * bits // 8
    return struct.pack("<HHIIHH", code, channels, rate, rate * block % 2**32, block % 2**16, bits)


def riff(form: bytes, data: bytes, *, says: int | None = None, before: bytes = b"", whole: int | None = None) -> bytes:
    """Return a WAV file, whose header may say another size of its data and of itself."""
    size = len(data) if says is None else says
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + before + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body) if whole is None else whole) + body


def read(content: bytes, *, frame_ms: float = 20.0) -> list[Audio]:
    return list(wav.audio(io.BytesIO(content), "a.wav", frame_ms=frame_ms))


def whole(frames: Iterable[Audio]) -> np.ndarray:
    return np.concatenate([frame.samples for frame in frames])


PCM16 = (WAVE * 32_768).astype("<i2").tobytes()
PCM24 = (WAVE * 2**23).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()


@pytest.mark.parametrize(
    ("form", "data", "within"),
    [
        (about(1, 8), np.rint(WAVE * 128 + 128).astype("u1").tobytes(), 2**-8),
        (about(1, 16), PCM16, 2**-15),
        (about(1, 24), PCM24, 2**-22),
        (about(1, 32), (WAVE * 2**31).astype("<i4").tobytes(), 2**-23),
        (about(3, 32), WAVE.astype("<f4").tobytes(), 2**-23),
        (about(3, 64), WAVE.tobytes(), 2**-23),
        (about(0xFFFE, 24) + struct.pack("<HHIH", 22, 24, 4, 1) + GUID, PCM24, 2**-22),
    ],
    ids=["8", "16", "24", "32", "float", "double", "extensible"],
)
def test_every_width_is_the_same_sound(form: bytes, data: bytes, within: float) -> None:
    frames = read(riff(form, data))
    assert [len(frame.samples) for frame in frames] == [160, 160, 80]
    assert {frame.samples.dtype for frame in frames} == {np.dtype(np.float32)}
    assert np.abs(whole(frames) - WAVE).max() <= within


def test_channels_stay_beside_each_other_at_any_rate() -> None:
    both = np.stack([WAVE, -WAVE], axis=1)
    frames = read(riff(about(3, 32, channels=2, rate=11_025), both.astype("<f4").tobytes()))
    assert [(frame.samples.shape, frame.rate) for frame in frames] == [((220, 2), 11_025), ((180, 2), 11_025)]
    assert frames[1].timestamp_ns == 220 * 10**9 // 11_025
    assert np.abs(whole(frames) - both).max() < 2**-22


def test_what_stands_before_the_sound_is_passed_over() -> None:
    odd = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    assert len(whole(read(riff(about(1, 16), PCM16, before=odd)))) == 400
    behind = riff(about(1, 16), PCM16) + b"LIST" + struct.pack("<I", 2) + b"ab"
    assert len(whole(read(behind))) == 400, "nor is what stands behind it sound"


@pytest.mark.parametrize(
    ("says", "all_of_it"), [(0xFFFF_FFFF, 0xFFFF_FFFF), (0x7FFF_F000, 0x7FFF_F024), (0, 0), (0, 36)]
)
def test_a_recorder_that_could_not_know_the_length_is_read_to_the_end(says: int, all_of_it: int) -> None:
    content = riff(about(1, 16), PCM16, says=says, whole=all_of_it)
    assert len(whole(read(content))) == 400
    assert len(whole(read(content + b"\0"))) == 400, "half a sample at the end is none"


def test_no_sound_is_no_error() -> None:
    assert read(riff(about(1, 16), b"")) == []
    followed = riff(about(1, 16), b"", says=0, whole=100) + b"LIST" + bytes(60)
    assert read(followed) == [], "what is behind it is not sound"


@pytest.mark.parametrize(("cut", "there"), [(-1, 399), (-3, 398), (44 + 2 * 161, 161)])
def test_a_file_that_was_cut_short_gives_all_it_has_and_then_says_so(cut: int, there: int) -> None:
    frames = wav.audio(io.BytesIO(riff(about(1, 16), PCM16)[:cut]), "a.wav", frame_ms=20.0)
    assert sum(len(next(frames).samples) for _ in range(-(-there // 160))) == there
    with pytest.raises(ValueError, match=f"a.wav: cut short: its header tells of 400 samples, {there} are there"):
        next(frames)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"RIFF" + struct.pack("<I", 4) + b"AVI ", "something else in a RIFF file"),
        (b"RIFF", "something else in a RIFF file"),
        (riff(about(1, 16), b"")[:20], "ends before its sound begins"),
        (riff(about(1, 16), b"")[:36], "ends before its sound begins"),
        (riff(b"", b"xx"), "does not say what its samples are"),
        (riff(about(6, 8), b"xx"), "samples of 8 bits in format 6 are not supported"),
        (riff(about(1, 12), b"xx"), "samples of 12 bits in format 1 are not supported"),
        (riff(about(1, 16, rate=0), b"xx"), "1 channels at 0 Hz"),
        (riff(about(1, 16, channels=0), b"xx"), "0 channels at 8000 Hz"),
        (riff(about(3, 64, channels=8_000, rate=2**32 - 1), b"", says=2**31), "too much for one frame"),
    ],
)
def test_a_header_that_makes_no_sense_is_told_with_what_it_says(content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=f"a.wav: .*{says}"):
        read(content)


def test_a_pipe_gives_its_frames_as_they_come() -> None:
    """Nobody waits for the end of a microphone."""
    content = riff(about(1, 16), PCM16, says=0xFFFF_FFFF)

    class Pipe(io.BytesIO):
        taken = 0

        def seekable(self) -> bool:
            return False

        def read(self, size: int | None = -1) -> bytes:
            raw = super().read(size)
            self.taken += len(raw)
            return raw

    pipe = Pipe(content)
    frames = wav.audio(pipe, "-", frame_ms=20.0)
    next(frames)
    assert pipe.taken == 44 + 320


def test_sixteen_bits_pass_through_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    every = riff(about(1, 16), np.arange(-(2**15), 2**15).astype("<i2").tobytes())
    frames = read(every)
    with path.open("wb") as file:
        recording = wav.Recording(file, frames[0])
        for frame in frames:
            recording.take(frame)
        recording.close()
    assert path.read_bytes() == every


def test_what_is_out_of_bounds_is_cut_and_no_number_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    loud = Audio(np.array([2.0, -2.0, np.nan, np.inf], np.float32), rate=RATE)
    with path.open("wb") as file:
        recording = wav.Recording(file, loud)
        recording.take(loud)
        recording.close()
    with wave.open(str(path)) as sound:
        assert np.frombuffer(sound.readframes(9), "<i2").tolist() == [32_767, -32_768, 0, 32_767]


def test_what_a_killed_program_leaves_can_be_read_to_its_end() -> None:
    file = io.BytesIO()
    frames = read(riff(about(1, 16), PCM16))
    recording = wav.Recording(file, frames[0])
    for frame in frames[:2]:
        recording.take(frame)
    assert np.array_equal(whole(read(file.getvalue())), whole(frames[:2]))
    file.seek(0)
    with wave.open(file) as sound:
        assert len(sound.readframes(1_000)) == 640


@pytest.mark.parametrize(
    "other",
    [
        Audio(np.zeros(9, np.float32), rate=16_000, node="a"),
        Audio(np.zeros((9, 2), np.float32), rate=RATE, node="a"),
        Audio(np.zeros(9, np.float32), rate=RATE, node="b"),
        Audio(np.zeros(9, np.float32), rate=RATE, node="a", port="high"),
    ],
)
def test_a_file_holds_one_sound(other: Audio) -> None:
    first = Audio(np.zeros(9, np.float32), rate=RATE, node="a")
    recording = wav.Recording(io.BytesIO(), first)
    recording.take(first)
    with pytest.raises(ValueError, match="a WAV file holds one sound, and there are 1 channel at 8000 Hz from a and "):
        recording.take(other)


@pytest.mark.parametrize(("channels", "rate"), [(1, 0), (1, 2**32), (40_000, RATE)])
def test_what_no_header_can_say_is_not_written(channels: int, rate: int) -> None:
    frame = Audio(np.zeros((1, channels), np.float32), rate=rate, node="a")
    with pytest.raises(ValueError, match=f"no WAV file can hold {channels} channels at {rate} Hz, which node a sends"):
        wav.Recording(io.BytesIO(), frame)
