"""What comes back from a stream: JSON lines on stdout or in a file, and sound in a WAV file.

Rule: an earlier output is kept until there is something to put in its place, and what is written is whole at any time.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from reconciler.cli.wav import Recording
from reconciler.stream.frame import Audio, Error, Frame, Json, Tensor, Text, Video

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sink:
    """Takes what comes back: audio into a WAV file where one is named, all else as JSON lines."""

    def __init__(self, name: str | None, *, apart_from: IO[bytes]) -> None:
        """Open the output, and leave what is in it.

        Raises:
            ValueError: if it can't be written, or is the input, too.
        """
        self._name = name if name and name != "-" else "stdout"
        self._is_wav = self._name.lower().endswith(".wav")
        self._recording: Recording | None = None
        if sys.stdout is None and (self._is_wav or self._name == "stdout"):
            msg = "stdout is closed: name a file with --output"
            raise ValueError(msg)
        self._file = _writable(name, apart_from) if name and name != "-" else None

    def begin(self) -> None:
        """Empty the file: what is in it is from an earlier time."""
        if self._file is not None and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.truncate(0)

    @property
    def missed(self) -> str:
        """What is to be said of a WAV file into which no sound came."""
        return f"no sound came back, so {self._name} is empty" if self._is_wav and self._recording is None else ""

    def take(self, frame: Frame) -> None:
        """Write one frame.

        Raises:
            OSError: if it can't be written; `filename` says where.
            ValueError: if it does not fit to the sound before it.
        """
        with self._named_in_errors():
            if self._file is not None and self._is_wav and isinstance(frame, Audio):
                self._record(self._file, frame)
            else:
                self._print(frame)

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: as `take` does.
        """
        if self._file is None:
            return
        with self._named_in_errors(), self._file:
            if self._recording is not None:
                self._recording.close()

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = error.filename or self._name
            raise

    def _record(self, file: IO[bytes], frame: Audio) -> None:
        self._recording = self._recording or Recording(file, frame)
        self._recording.take(frame)
        file.flush()

    def _print(self, frame: Frame) -> None:
        to = sys.stdout.buffer if self._file is None or self._is_wav else self._file
        to.write(line(frame) + b"\n")
        to.flush()


def _writable(name: str, apart_from: IO[bytes]) -> IO[bytes]:
    try:
        file = os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666), "wb")
    except OSError as error:
        msg = f"{name}: {error.strerror or error}"
        raise ValueError(msg) from error
    there, given = os.fstat(file.fileno()), os.fstat(apart_from.fileno())
    if stat.S_ISREG(there.st_mode) and os.path.samestat(there, given):
        file.close()
        msg = f"{name}: is the input, too: name another --output"
        raise ValueError(msg)
    return file


def line(frame: Frame) -> bytes:
    """Return a frame as the line printed for it, UTF-8 whatever the locale says."""
    value = shown(frame)
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a pair of surrogates, which JSON can say only by its number
        return json.dumps(value).encode()


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
