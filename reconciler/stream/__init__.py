"""Streams through pipelines: frames, sessions and their errors."""

from __future__ import annotations

from reconciler.stream.errors import (
    Backpressure,
    Closed,
    FrameInvalid,
    NodeFailed,
    PipelineNotFound,
    SessionNotFound,
    SessionNotReady,
    SharedMemoryFull,
    StreamError,
    TimedOut,
    TransportError,
)
from reconciler.stream.frame import Audio, Bytes, EndOfStream, Error, Frame, Json, Tensor, Text, Video
from reconciler.stream.session import Session

__all__ = [
    "Audio",
    "Backpressure",
    "Bytes",
    "Closed",
    "EndOfStream",
    "Error",
    "Frame",
    "FrameInvalid",
    "Json",
    "NodeFailed",
    "PipelineNotFound",
    "Session",
    "SessionNotFound",
    "SessionNotReady",
    "SharedMemoryFull",
    "StreamError",
    "Tensor",
    "Text",
    "TimedOut",
    "TransportError",
    "Video",
]
