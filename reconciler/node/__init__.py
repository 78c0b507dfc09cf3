"""What a node's author imports, and what runs nodes inside containers and host processes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_ELSEWHERE = {"Node": "reconciler.node.api", "Output": "reconciler.stream.calls"}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562): `python -m reconciler.node` passes here before it can say how."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = getattr(importlib.import_module(_ELSEWHERE.get(name, "reconciler.stream.frame")), name)
    globals()[name] = found
    return found
