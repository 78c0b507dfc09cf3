"""Frames from files: WAV as audio frames, JSON lines, text lines; and what comes back as JSON lines or WAV.

Source: WAVE as Python's `wave` reads it (PCM of 8, 16 or 32 bits).
"""

from __future__ import annotations

import io
import json
import os
import sys
import wave
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from reconciler.stream.frame import Audio, Error, Json, Tensor, Text, Video

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from reconciler.stream.frame import Frame

WIDTHS = {1: ("u1", 128.0, 128.0), 2: ("<i2", 0.0, 32_768.0), 4: ("<i4", 0.0, 2_147_483_648.0)}
"""Sample width in bytes to dtype, zero level and full scale."""


def frames(name: str, *, frame_ms: float) -> Iterator[Frame]:
    """Yield the frames of a file; `-` is stdin. What it holds is told by its first bytes, then line by line.

    Raises:
        ValueError: if the file can't be read as what it says it is.
    """
    try:
        file: IO[bytes] = _stdin() if name == "-" else open(name, "rb")  # noqa: PTH123, SIM115 - closed below
    except OSError as error:
        msg = f"{name}: {error.strerror or error}"
        raise ValueError(msg) from error
    with file:
        head = file.peek(4)[:4] if isinstance(file, io.BufferedReader) else b""
        if head == b"RIFF":
            yield from _audio(file, name, frame_ms=frame_ms)
        else:
            yield from _lines(file, name)


def _stdin() -> IO[bytes]:
    """Return stdin as a file of our own: the interpreter's can't be let go of at exit while a thread reads it."""
    return open(os.dup(sys.stdin.fileno()), "rb")  # noqa: PTH123 - closed by whoever reads it


def _audio(file: IO[bytes], name: str, *, frame_ms: float) -> Iterator[Audio]:
    source = file if file.seekable() else io.BytesIO(file.read())
    try:
        with wave.open(source) as sound:
            rate, channels, width = sound.getframerate(), sound.getnchannels(), sound.getsampwidth()
            if width not in WIDTHS:
                msg = f"{name}: samples of {8 * width} bits are not supported, 8, 16 and 32 are"
                raise ValueError(msg)
            size, sent = max(round(rate * frame_ms / 1000), 1), 0
            while raw := sound.readframes(size):
                samples = _float(raw, width, channels)
                yield Audio(samples, rate=rate, timestamp_ns=sent * 1_000_000_000 // rate)
                sent += len(samples)
    except (wave.Error, EOFError) as error:
        msg = f"{name}: no WAV file that can be read: {error}"
        raise ValueError(msg) from error


def _float(raw: bytes, width: int, channels: int) -> NDArray[np.float32]:
    dtype, zero, full = WIDTHS[width]
    samples = (np.frombuffer(raw, dtype).astype(np.float32) - np.float32(zero)) / np.float32(full)
    return samples if channels == 1 else samples.reshape(-1, channels)


def _lines(file: IO[bytes], name: str) -> Iterator[Frame]:
    for number, raw in enumerate(file, start=1):
        try:
            line = raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            msg = f"{name}:{number}: neither WAV nor UTF-8 text"
            raise ValueError(msg) from error
        if line:
            yield _frame(line)


def _frame(line: str) -> Frame:
    """Read a line: a JSON object or array is data, anything else is text."""
    if line[0] not in "{[":
        return Text(line)
    try:
        value = json.loads(line)
    except ValueError:
        return Text(line)
    at_ms = value.get("timestampMs", 0) if isinstance(value, dict) else 0
    if not isinstance(at_ms, int | float):
        return Json(value)  # not written by us, so it is data like any other
    if isinstance(value, dict) and value.get("type") == "text" and isinstance(value.get("text"), str):
        return Text(value["text"], timestamp_ns=int(at_ms * 1e6))
    if isinstance(value, dict) and value.get("type") == "json" and "value" in value:
        return Json(value["value"], timestamp_ns=int(at_ms * 1e6))
    return Json(value)


def shown(frame: Frame) -> dict[str, Any]:
    """Return a frame as the object printed for it."""
    kind = type(frame).__name__.lower()
    milliseconds = round(frame.timestamp_ns / 1e6, 3)
    head = {"type": kind, "node": frame.node, "port": frame.port, "seq": frame.seq, "timestampMs": milliseconds}
    return head | _content(frame) | ({"metadata": frame.metadata} if frame.metadata else {})


def _content(frame: Frame) -> dict[str, Any]:
    match frame:
        case Text(text=text):
            return {"text": text}
        case Json(value=value):
            return {"value": value}
        case Audio(samples=samples, rate=rate):
            return {"rate": rate, "shape": list(samples.shape)}
        case Video(pixels=pixels, layout=layout):
            return {"layout": layout, "shape": list(pixels.shape)}
        case Tensor(array=array):
            return {"dtype": str(array.dtype), "shape": list(array.shape)}
        case Error(failed=failed, exception=exception, message=message, frame_seq=seq):
            return {"node": failed, "message": message, "exception": exception, "frameSeq": seq}
        case _:
            return {}


class Sink:
    """Takes what comes back: audio into a WAV file where one is named, all else as JSON lines."""

    def __init__(self, name: str | None) -> None:
        self._wav = name if name and name.lower().endswith(".wav") else None
        self._text = open(name, "w", encoding="utf-8") if name and not self._wav else sys.stdout  # noqa: PTH123, SIM115 - close() closes it
        self._sound: wave.Wave_write | None = None

    def take(self, frame: Frame) -> None:
        """Write one frame."""
        if self._wav and isinstance(frame, Audio):
            self._write(self._wav, frame)
        else:
            print(json.dumps(shown(frame), ensure_ascii=False), file=self._text, flush=True)

    def close(self) -> None:
        """Finish the files."""
        if self._sound is not None:
            self._sound.close()
        if self._text is not sys.stdout:
            self._text.close()

    def _write(self, name: str, frame: Audio) -> None:
        if self._sound is None:
            self._sound = wave.open(name, "wb")  # noqa: SIM115 - closed by `close`
            self._sound.setnchannels(1 if frame.samples.ndim == 1 else frame.samples.shape[1])
            self._sound.setsampwidth(2)
            self._sound.setframerate(frame.rate)
        self._sound.writeframes((np.clip(frame.samples, -1, 1) * 32_767).astype("<i2").tobytes())
