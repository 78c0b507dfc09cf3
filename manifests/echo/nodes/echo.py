"""Send on what comes in: the smallest node there is."""

from __future__ import annotations

from reconciler.node import Node


class Echo(Node):
    """Return every frame as it came."""

    def process(self, frame):
        """Return the frame; an `EndOfStream` too: the runtime passes that on once, whatever comes back."""
        return frame
