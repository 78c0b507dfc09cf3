"""Write text in capitals."""

from __future__ import annotations

from reconciler.node import EndOfStream, Node, Text


class Capitals(Node):
    """Return text in capitals, and everything else as it came."""

    def process(self, frame):
        """Return the frame, or a new one: frames are never changed."""
        if isinstance(frame, EndOfStream):
            return None
        if isinstance(frame, Text):
            return Text(frame.text.upper(), timestamp_ns=frame.timestamp_ns, metadata=frame.metadata)
        return frame
