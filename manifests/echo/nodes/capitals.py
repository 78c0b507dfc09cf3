"""Write text in capitals."""

from __future__ import annotations

from dataclasses import replace

from reconciler.node import Node, Text


class Capitals(Node):
    """Return text in capitals, and everything else as it came."""

    def process(self, frame):
        """Return the frame, or a new one: frames are never changed."""
        if isinstance(frame, Text):
            return replace(frame, text=frame.text.upper())
        return frame
