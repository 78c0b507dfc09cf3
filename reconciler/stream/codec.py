"""Between frames and what lies in shared memory: kind, element type, shape, payload bytes, metadata bytes.

Rule: what can't be carried exactly is refused in the sender, with what to do instead.
"""

from __future__ import annotations

import json
import math
import sys
from functools import lru_cache
from typing import Any, Callable, Dict, Tuple, Type, Union

import numpy as np

from reconciler.contract import header as wire
from reconciler.stream.errors import FrameInvalid
from reconciler.stream.frame import Audio, Bytes, EndOfStream, Error, Frame, Json, Tensor, Text, Video, assemble

_NO_ARRAY = (0, (), 0.0, b"")

_TO_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_FROM_JSON = json.JSONDecoder().decode
"""Made once: `json.dumps` and `json.loads` make or look for them at every call."""


Encoded = Tuple[int, Any, int, int, Tuple[int, ...], float, bytes]
"""A frame's content, ready to be put into shared memory: kind, payload (an array, or anything like bytes), payload
bytes, code of the element type, shape, rate, layout. A plain tuple: one is made for every frame."""


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


def encode_metadata(metadata: Any) -> bytes:
    """Return metadata as JSON bytes, none for none.

    Raises:
        FrameInvalid: if it is no dict, or JSON can't say it.
    """
    if not metadata:
        return b""
    if not isinstance(metadata, dict):
        msg = f"metadata is a dict, got {type(metadata).__name__}"
        raise FrameInvalid(msg)
    return _json(metadata, "metadata")


def decode(header: wire.Header, payload: Union[bytes, memoryview], metadata: bytes, *, node: str, port: str) -> Frame:
    """Make a frame of what was received; arrays are views of `payload`."""
    decoder = _DECODERS.get(header.kind)
    if decoder is None:
        msg = f"frame of unknown kind {header.kind}: update this end"
        raise wire.FormatError(msg)
    kind, content = decoder
    fields = {
        "seq": header.seq,
        "timestamp_ns": header.timestamp_ns,
        "metadata": _FROM_JSON(metadata.decode()) if metadata else {},
        "node": node,
        "port": port,
    }
    content(fields, header, payload)
    return assemble(kind, fields)


def untimely(frame: Frame) -> FrameInvalid:
    """Return what is wrong with a frame that can be encoded and whose header can't."""
    return FrameInvalid(f"{type(frame).__name__}'s timestamp_ns is an int of 64 bits, got {frame.timestamp_ns!r}")


def is_array(kind: int) -> bool:
    """Tell whether frames of a kind can be views of shared memory."""
    return kind in (wire.AUDIO, wire.VIDEO, wire.TENSOR, wire.BYTES)


def dtype_code(dtype: Any) -> int:
    """Return an element type's code.

    Raises:
        FrameInvalid: if there is none.
    """
    code = _codes().get(np.dtype(dtype))
    if code is None:
        known = ", ".join(str(known) for known in _codes())
        msg = f"arrays of {np.dtype(dtype)} can't be sent: convert to one of {known}"
        raise FrameInvalid(msg)
    return code


# Asked for when the first array comes: a node that gets none need not wait for numpy.


@lru_cache(maxsize=None)
def _codes() -> Dict[np.dtype[Any], int]:
    return {np.dtype(spelling): code for code, spelling in enumerate(wire.DTYPES) if code}


@lru_cache(maxsize=None)
def _dtypes() -> Dict[int, np.dtype[Any]]:
    return {code: dtype for dtype, code in _codes().items()}


def _array(kind: int, array: np.ndarray[Any, Any], rate: float = 0.0, layout: bytes = b"") -> Encoded:
    code = _codes().get(array.dtype) or dtype_code(array.dtype)
    if array.ndim > wire.MAX_DIMENSIONS:
        msg = f"an array of {array.ndim} dimensions can't be sent: reshape it to {wire.MAX_DIMENSIONS} at most"
        raise FrameInvalid(msg)
    return (kind, array, array.nbytes, code, array.shape, rate, layout)


def _tensor(frame: Tensor) -> Encoded:
    try:
        array = np.asarray(frame.array)
    except ValueError as error:
        msg = f"Tensor holds an array, got {type(frame.array).__name__} that is none: {error}"
        raise FrameInvalid(msg) from error
    return _array(wire.TENSOR, array)


def _audio(frame: Audio) -> Encoded:
    samples = np.asarray(frame.samples)
    if samples.dtype.kind != "f" or samples.ndim not in (1, 2):
        msg = (
            f"Audio samples must be float32 of shape (n,) or (n, channels), got {samples.dtype} of {samples.shape}: "
            "divide int16 by 32768"
        )
        raise FrameInvalid(msg)
    return _array(wire.AUDIO, samples.astype(np.float32, copy=False), _rate(frame))


def _video(frame: Video) -> Encoded:
    pixels = np.asarray(frame.pixels)
    layout: Any = frame.layout
    layout_fits = isinstance(layout, str) and layout.isascii() and len(layout) <= wire.MAX_LAYOUT_BYTES
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not layout_fits:
        msg = (
            f"Video pixels must be uint8 of shape (height, width[, channels]), got {pixels.dtype} of {pixels.shape}; "
            f"its layout at most {wire.MAX_LAYOUT_BYTES} ASCII characters, got {frame.layout!r}"
        )
        raise FrameInvalid(msg)
    return _array(wire.VIDEO, pixels, _rate(frame), frame.layout.encode())


def _rate(frame: Union[Audio, Video]) -> float:
    try:
        rate = float(frame.rate)
    except (TypeError, ValueError):
        rate = -1.0
    if not 0 <= rate < math.inf:
        msg = f"{type(frame).__name__}'s rate is a number of 0 or more, got {frame.rate!r}"
        raise FrameInvalid(msg)
    return rate


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
    return (wire.TEXT, raw, len(raw), *_NO_ARRAY)


def _json_frame(frame: Json) -> Encoded:
    raw = _json(frame.value, "value")
    return (wire.JSON, raw, len(raw), *_NO_ARRAY)


def _bytes(frame: Bytes) -> Encoded:
    try:
        data = memoryview(frame.data)
    except TypeError as error:
        msg = f"Bytes holds bytes, bytearray or memoryview, got {type(frame.data).__name__}"
        raise FrameInvalid(msg) from error
    plain = data.cast("B") if data.contiguous else data.tobytes()
    return (wire.BYTES, plain, len(plain), *_NO_ARRAY)


def _error(frame: Error) -> Encoded:
    value = {
        "failed": frame.failed,
        "exception": frame.exception,
        "message": frame.message,
        "frame_seq": frame.frame_seq,
        "fatal": frame.fatal,
    }
    raw = _json(value, "error")
    return (wire.ERROR, raw, len(raw), *_NO_ARRAY)


def _json(value: Any, what: str) -> bytes:
    try:
        return _TO_JSON(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{what} can't be written as JSON ({error}): use dict, list, str, finite numbers, bool and None"
        raise FrameInvalid(msg) from error


def _array_of(header: wire.Header, payload: Union[bytes, memoryview]) -> np.ndarray[Any, Any]:
    dtype = _dtypes()[header.dtype]
    if not payload:
        return np.empty(header.shape, dtype)
    array = np.frombuffer(payload, dtype)
    return array if header.dimensions == 1 else array.reshape(header.shape)


def _into_tensor(fields: Dict[str, Any], header: wire.Header, payload: Any) -> None:
    fields["array"] = _array_of(header, payload)


def _into_audio(fields: Dict[str, Any], header: wire.Header, payload: Any) -> None:
    fields["samples"] = _array_of(header, payload)
    fields["rate"] = int(header.rate)


def _into_video(fields: Dict[str, Any], header: wire.Header, payload: Any) -> None:
    fields["pixels"] = _array_of(header, payload)
    fields["layout"] = header.layout
    fields["rate"] = header.rate


def _into_text(fields: Dict[str, Any], _: wire.Header, payload: Any) -> None:
    fields["text"] = str(payload, "utf-8")


def _into_json(fields: Dict[str, Any], _: wire.Header, payload: Any) -> None:
    fields["value"] = json.loads(payload)


def _into_bytes(fields: Dict[str, Any], _: wire.Header, payload: Any) -> None:
    fields["data"] = payload


def _into_error(fields: Dict[str, Any], _: wire.Header, payload: Any) -> None:
    value = json.loads(payload)
    fields.update({name: value[name] for name in ("failed", "exception", "message", "frame_seq")})
    fields["fatal"] = value.get("fatal", False)


ARRAY_FIELDS: Dict[Type[Frame], str] = {Audio: "samples", Video: "pixels", Tensor: "array"}
"""Kinds that can be filled in place, and the field that is the array."""

_ENCODERS: Dict[Type[Frame], Callable[[Any], Encoded]] = {
    Audio: _audio,
    Video: _video,
    Text: _text,
    Json: _json_frame,
    Tensor: _tensor,
    Bytes: _bytes,
    EndOfStream: lambda _: (wire.END, b"", 0, *_NO_ARRAY),
    Error: _error,
}

_DECODERS: Dict[int, Tuple[Type[Frame], Callable[[Dict[str, Any], wire.Header, Any], None]]] = {
    wire.AUDIO: (Audio, _into_audio),
    wire.VIDEO: (Video, _into_video),
    wire.TEXT: (Text, _into_text),
    wire.JSON: (Json, _into_json),
    wire.TENSOR: (Tensor, _into_tensor),
    wire.BYTES: (Bytes, _into_bytes),
    wire.END: (EndOfStream, lambda *_: None),
    wire.ERROR: (Error, _into_error),
}

if sys.byteorder != "little":  # pragma: no cover
    msg = "frames are little-endian and are read in place: this machine is not"
    raise ImportError(msg)
