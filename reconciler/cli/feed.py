"""Frames from files: WAV as audio frames, JSON lines as data, any other text as a frame for each line.

Rule: all that stands before what can't be read has become frames when it is told, with file and line.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from reconciler.cli import wav
from reconciler.stream.frame import Json, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.stream.frame import Frame

LONGEST_LINE_BYTES = 64 << 20
JSON_NAMES = frozenset({".json", ".jsonl", ".ndjson"})
LATEST_MS = (2**63 - 1) / 1e6
"""The latest media time that a frame can carry."""


def opened(name: str) -> IO[bytes]:
    """Open a file to be read; `-` is stdin.

    Raises:
        ValueError: if it can't be opened.
    """
    try:
        return _stdin() if name == "-" else open(name, "rb")  # noqa: PTH123 - closed by who reads it
    except OSError as error:
        msg = f"{name}: {error.strerror or error}"
        raise ValueError(msg) from error


def frames(file: IO[bytes], name: str, *, frame_ms: float) -> Iterator[Frame]:
    """Yield the frames of a file, and close it. What it holds is told by its first bytes and its name.

    Raises:
        ValueError: if the file can't be read as what it is.
    """
    with file:
        head = file.peek(4)[:4] if isinstance(file, io.BufferedReader) else b""
        name = "stdin" if name == "-" else name
        if head == wav.MAGIC:
            yield from wav.audio(file, name, frame_ms=frame_ms)
        else:
            yield from _lines(file, name)


def _stdin() -> IO[bytes]:
    """Return stdin as a file of our own: the interpreter's can't be let go of at exit while a thread reads it."""
    if sys.stdin is None:
        msg = "stdin is closed: name a file with --input"
        raise ValueError(msg)
    return open(os.dup(sys.stdin.fileno()), "rb")  # noqa: PTH123 - closed by whoever reads it


def _lines(file: IO[bytes], name: str) -> Iterator[Frame]:
    """Yield a frame for each line. In JSON lines, which begin as such, every line must be JSON."""
    is_json = True if Path(name).suffix.lower() in JSON_NAMES else None
    number = 0
    while raw := file.readline(LONGEST_LINE_BYTES + 1):
        number += 1
        line = _text(raw, f"{name}:{number}", first=number == 1)
        if not line or (is_json and line.isspace()):
            continue
        value, broken = _parsed(line) if is_json or line.lstrip()[:1] in {"{", "["} else (None, "text")
        is_json = not broken if is_json is None else is_json
        if is_json and broken:
            msg = f"{name}:{number}: no line of JSON: {broken}"
            raise ValueError(msg)
        yield Text(line) if broken else _data(value)


def _text(raw: bytes, where: str, *, first: bool) -> str:
    if len(raw) > LONGEST_LINE_BYTES:
        msg = f"{where}: longer than {LONGEST_LINE_BYTES >> 20} MiB: is that text?"
        raise ValueError(msg)
    try:
        text = raw.decode("utf-8-sig" if first else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        msg = f"{where}: neither WAV nor UTF-8 text"
        raise ValueError(msg) from error
    if "\0" in text:
        msg = f"{where}: neither WAV nor text: there are bytes of zero in it"
        raise ValueError(msg)
    return text


def _parsed(line: str) -> tuple[Any, str]:
    """Return the value of a line of JSON, and what is wrong with it; `""` if nothing is."""
    try:
        value = json.loads(line, parse_constant=_refused)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # half characters, and numbers without bounds
    except json.JSONDecodeError as error:
        return None, f"{error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:
        return None, str(error)
    return value, ""


def _refused(constant: str) -> Any:
    msg = f"{constant} is no number in JSON"
    raise ValueError(msg)


def _data(value: Any) -> Frame:
    """Return the frame of a value: data, but for text and data that we printed ourselves."""
    if not isinstance(value, dict):
        return Json(value)
    at_ms = value.get("timestampMs", 0)
    if not isinstance(at_ms, int | float) or abs(at_ms) > LATEST_MS:
        return Json(value)  # not written by us, so it is data like any other
    if value.get("type") == "text" and isinstance(value.get("text"), str):
        return Text(value["text"], timestamp_ns=int(at_ms * 1e6))
    if value.get("type") == "json" and "value" in value:
        return Json(value["value"], timestamp_ns=int(at_ms * 1e6))
    return Json(value)
