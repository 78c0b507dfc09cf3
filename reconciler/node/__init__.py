"""What a node's author imports, and what runs nodes inside containers and host processes."""

from __future__ import annotations

from reconciler.node.api import Node
from reconciler.stream.calls import Output
from reconciler.stream.frame import Audio, Bytes, EndOfStream, Error, Frame, Json, Tensor, Text, Video

__all__ = [
    "Audio",
    "Bytes",
    "EndOfStream",
    "Error",
    "Frame",
    "Json",
    "Node",
    "Output",
    "Tensor",
    "Text",
    "Video",
]
