"""Frames: what travels through a pipeline, as values.

Every frame has, beside its content:

* `timestamp_ns`: media time in nanoseconds, set by who makes the frame; 0 where nobody did.
* `metadata`: small facts beside the content, anything JSON can say.
* `seq`: its place among the frames its sender emitted in this stream, from 0; set when it is sent. A sender whose
  process was started anew counts from 0 again.
* `node`, `port`: who emitted it and on which port, set on receipt. A node reads in `port` the input port instead.

Rule: frames are values and don't change. Arrays of received frames are read-only. Those above 4 KiB lie in shared
memory, which stays theirs for as long as the array (or any view of it) lives; smaller ones are copies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Type, TypeVar, Union

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Frame:
    """What all frames have in common."""

    seq: int
    timestamp_ns: int
    metadata: Dict[str, Any]
    node: str
    port: str


@dataclass(frozen=True, eq=False)
class Audio(Frame):
    """Sound: `samples` is float32, shape `(n,)` or `(n, channels)`, nominally -1.0 to 1.0; `rate` in Hz."""

    samples: NDArray[np.float32]
    rate: int
    seq: int = 0
    timestamp_ns: int = 0
    metadata: Dict[str, Any] = field(default_factory=dict)
    node: str = ""
    port: str = ""

    def __repr__(self) -> str:
        """Show the shape, not the samples."""
        return f"Audio({_shape(self.samples)}, rate={self.rate}, seq={self.seq})"


@dataclass(frozen=True, eq=False)
class Video(Frame):
    """One picture: `pixels` is uint8, shape `(height, width, channels)` or `(height, width)`.

    `layout` names the channels in at most 15 ASCII characters (`rgb24`, `bgr24`, `gray8`); `rate` is pictures per
    second, 0 where unknown.
    """

    pixels: NDArray[Any]
    layout: str = "rgb24"
    rate: float = 0.0
    seq: int = 0
    timestamp_ns: int = 0
    metadata: Dict[str, Any] = field(default_factory=dict)
    node: str = ""
    port: str = ""

    def __repr__(self) -> str:
        """Show the shape, not the pixels."""
        return f"Video({_shape(self.pixels)}, layout={self.layout!r}, seq={self.seq})"


@dataclass(frozen=True)
class Text(Frame):
    """A piece of text."""

    text: str
    seq: int = 0
    timestamp_ns: int = 0
    metadata: Dict[str, Any] = field(default_factory=dict)
    node: str = ""
    port: str = ""


@dataclass(frozen=True)
class Json(Frame):
    """A value of plain JSON: dict, list, str, int, float, bool or None."""

    value: Any
    seq: int = 0
    timestamp_ns: int = 0
    metadata: Dict[str, Any] = field(default_factory=dict)
    node: str = ""
    port: str = ""


@dataclass(frozen=True, eq=False)
class Tensor(Frame):
    """An array of up to 8 dimensions: bool, integers, float16 to float64, complex64, complex128."""

    array: NDArray[Any]
    seq: int = 0
    timestamp_ns: int = 0
    metadata: Dict[str, Any] = field(default_factory=dict)
    node: str = ""
    port: str = ""

    def __repr__(self) -> str:
        """Show dtype and shape, not the elements."""
        return f"Tensor({self.array.dtype}, {_shape(self.array)}, seq={self.seq})"


@dataclass(frozen=True)
class Bytes(Frame):
    """Uninterpreted bytes. `data` is `bytes`, or a read-only `memoryview` of a large received frame."""

    data: Union[bytes, bytearray, memoryview]
    seq: int = 0
    timestamp_ns: int = 0
    metadata: Dict[str, Any] = field(default_factory=dict)
    node: str = ""
    port: str = ""

    def __repr__(self) -> str:
        """Show the length, not the content."""
        return f"Bytes({len(self.data)} bytes, seq={self.seq})"


@dataclass(frozen=True)
class EndOfStream(Frame):
    """Nothing follows. Sent by `Session.end()`; the runtime passes it on once, after all inputs of a node ended."""

    seq: int = 0
    timestamp_ns: int = 0
    metadata: Dict[str, Any] = field(default_factory=dict)
    node: str = ""
    port: str = ""


@dataclass(frozen=True)
class Error(Frame):
    """A node raised. `failed` is that node's id, `exception` what it raised, `frame_seq` the frame it raised on.

    `fatal`: the stream has failed with it (`onError: Fail`).
    """

    failed: str
    exception: str
    message: str
    frame_seq: int = 0
    fatal: bool = False
    seq: int = 0
    timestamp_ns: int = 0
    metadata: Dict[str, Any] = field(default_factory=dict)
    node: str = ""
    port: str = ""


F = TypeVar("F", bound=Frame)


def assemble(kind: Type[F], fields: Dict[str, Any]) -> F:
    """Return a frame of all its fields, which it takes over. A frozen dataclass's constructor takes twice as long."""
    frame = object.__new__(kind)
    object.__setattr__(frame, "__dict__", fields)
    return frame


def _shape(array: Any) -> str:
    return "x".join(str(size) for size in getattr(array, "shape", ()))
