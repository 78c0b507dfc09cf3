"""Between frames and what lies in shared memory: kind, element type, shape, payload bytes, metadata bytes.

Rule: what can't be carried exactly is refused in the sender, with what to do instead.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Callable, Dict, NamedTuple, Tuple, Type, Union

import numpy as np

from reconciler.contract import header as wire
from reconciler.stream.errors import FrameInvalid
from reconciler.stream.frame import Audio, Bytes, EndOfStream, Error, Frame, Json, Tensor, Text, Video

DTYPE_CODES = {np.dtype(spelling): code for code, spelling in enumerate(wire.DTYPES) if code}
DTYPES = {code: dtype for dtype, code in DTYPE_CODES.items()}


class Encoded(NamedTuple):
    """A frame's content, ready to be put into shared memory. `payload` is an array, or anything like bytes."""

    kind: int
    payload: Any
    payload_bytes: int
    dtype: int = 0
    shape: Tuple[int, ...] = ()
    rate: float = 0.0
    layout: str = ""


def encode(frame: Frame) -> Encoded:
    """Return a frame's content.

    Raises:
        FrameInvalid: if it is no frame, or holds what no frame can carry.
    """
    encoder = _ENCODERS.get(type(frame))
    if encoder is None:
        kinds = ", ".join(kind.__name__ for kind in _ENCODERS)
        msg = f"{type(frame).__name__} is no frame: send one of {kinds}"
        raise FrameInvalid(msg)
    return encoder(frame)


def encode_metadata(metadata: Dict[str, Any]) -> bytes:
    """Return metadata as JSON bytes, none for none.

    Raises:
        FrameInvalid: if JSON can't say it.
    """
    return _json(metadata, "metadata") if metadata else b""


def decode(header: wire.Header, payload: Union[bytes, memoryview], metadata: bytes, *, node: str, port: str) -> Frame:
    """Make a frame of what was received; arrays are views of `payload`."""
    common: Dict[str, Any] = {
        "seq": header.seq,
        "timestamp_ns": header.timestamp_ns,
        "metadata": json.loads(metadata) if metadata else {},
        "node": node,
        "port": port,
    }
    decoder = _DECODERS.get(header.kind)
    if decoder is None:
        msg = f"frame of unknown kind {header.kind}: update this end"
        raise wire.FormatError(msg)
    return decoder(header, payload, common)


def is_array(kind: int) -> bool:
    """Tell whether frames of a kind can be views of shared memory."""
    return kind in (wire.AUDIO, wire.VIDEO, wire.TENSOR, wire.BYTES)


def dtype_code(dtype: Any) -> int:
    """Return an element type's code.

    Raises:
        FrameInvalid: if there is none.
    """
    code = DTYPE_CODES.get(np.dtype(dtype))
    if code is None:
        known = ", ".join(str(known) for known in DTYPE_CODES)
        msg = f"arrays of {np.dtype(dtype)} can't be sent: convert to one of {known}"
        raise FrameInvalid(msg)
    return code


def _array(kind: int, value: Any, *, rate: float = 0.0, layout: str = "") -> Encoded:
    array = np.asarray(value)
    if array.ndim > wire.MAX_DIMENSIONS:
        msg = f"an array of {array.ndim} dimensions can't be sent: reshape it to {wire.MAX_DIMENSIONS} at most"
        raise FrameInvalid(msg)
    code = dtype_code(array.dtype)
    return Encoded(kind, array, array.nbytes, code, array.shape, rate, layout)


def _audio(frame: Audio) -> Encoded:
    samples = np.asarray(frame.samples)
    if samples.dtype.kind != "f" or samples.ndim not in (1, 2):
        msg = (
            f"Audio samples must be float32 of shape (n,) or (n, channels), got {samples.dtype} of {samples.shape}: "
            "divide int16 by 32768"
        )
        raise FrameInvalid(msg)
    return _array(wire.AUDIO, samples.astype(np.float32, copy=False), rate=float(frame.rate))


def _video(frame: Video) -> Encoded:
    pixels = np.asarray(frame.pixels)
    layout_fits = frame.layout.isascii() and len(frame.layout) <= wire.MAX_LAYOUT_BYTES
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not layout_fits:
        msg = (
            f"Video pixels must be uint8 of shape (height, width[, channels]), got {pixels.dtype} of {pixels.shape}; "
            f"its layout at most {wire.MAX_LAYOUT_BYTES} ASCII characters, got {frame.layout!r}"
        )
        raise FrameInvalid(msg)
    return _array(wire.VIDEO, pixels, rate=frame.rate, layout=frame.layout)


def _text(frame: Text) -> Encoded:
    text: Any = frame.text
    if not isinstance(text, str):
        msg = f"Text holds a str, got {type(text).__name__}: use Bytes or Json"
        raise FrameInvalid(msg)
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        msg = f"Text can't be encoded as UTF-8 ({error.reason} at {error.start}): use Bytes"
        raise FrameInvalid(msg) from error
    return Encoded(wire.TEXT, raw, len(raw))


def _json_frame(frame: Json) -> Encoded:
    raw = _json(frame.value, "value")
    return Encoded(wire.JSON, raw, len(raw))


def _bytes(frame: Bytes) -> Encoded:
    try:
        data = memoryview(frame.data)
    except TypeError as error:
        msg = f"Bytes holds bytes, bytearray or memoryview, got {type(frame.data).__name__}"
        raise FrameInvalid(msg) from error
    plain = data.cast("B") if data.contiguous else data.tobytes()
    return Encoded(wire.BYTES, plain, len(plain))


def _error(frame: Error) -> Encoded:
    value = {
        "failed": frame.failed,
        "exception": frame.exception,
        "message": frame.message,
        "frame_seq": frame.frame_seq,
    }
    raw = _json(value, "error")
    return Encoded(wire.ERROR, raw, len(raw))


def _json(value: Any, what: str) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{what} can't be written as JSON ({error}): use dict, list, str, finite numbers, bool and None"
        raise FrameInvalid(msg) from error


def _view(header: wire.Header, payload: Union[bytes, memoryview]) -> Any:
    array = np.frombuffer(payload, DTYPES[header.dtype]) if payload else np.empty(0, DTYPES[header.dtype])
    return array.reshape(header.shape)


ARRAY_FIELDS: Dict[Type[Frame], str] = {Audio: "samples", Video: "pixels", Tensor: "array"}
"""Kinds that can be filled in place, and the field that is the array."""

_ENCODERS: Dict[Type[Frame], Callable[[Any], Encoded]] = {
    Audio: _audio,
    Video: _video,
    Text: _text,
    Json: _json_frame,
    Tensor: lambda frame: _array(wire.TENSOR, frame.array),
    Bytes: _bytes,
    EndOfStream: lambda _: Encoded(wire.END, b"", 0),
    Error: _error,
}

_DECODERS: Dict[int, Callable[[wire.Header, Any, Dict[str, Any]], Frame]] = {
    wire.AUDIO: lambda header, payload, common: Audio(_view(header, payload), int(header.rate), **common),
    wire.VIDEO: lambda header, payload, common: Video(_view(header, payload), header.layout, header.rate, **common),
    wire.TEXT: lambda _, payload, common: Text(str(payload, "utf-8"), **common),
    wire.JSON: lambda _, payload, common: Json(json.loads(payload), **common),
    wire.TENSOR: lambda header, payload, common: Tensor(_view(header, payload), **common),
    wire.BYTES: lambda _, payload, common: Bytes(payload, **common),
    wire.END: lambda _, __, common: EndOfStream(**common),
    wire.ERROR: lambda _, payload, common: Error(**json.loads(payload), **common),
}

if sys.byteorder != "little":  # pragma: no cover
    msg = "frames are little-endian and are read in place: this machine is not"
    raise ImportError(msg)
