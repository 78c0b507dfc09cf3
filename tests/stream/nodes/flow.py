"""Nodes for tests of whole streams: what they give depends on the frame alone, so a second run gives the same."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

from reconciler.node import Audio, EndOfStream, Json, Node


class Relay(Node):
    """Pass on, and say by which machine each frame came."""

    def process(self, frame):
        if isinstance(frame, EndOfStream):
            return None
        return replace(
            frame, metadata={**frame.metadata, "way": [*frame.metadata.get("way", []), socket.gethostname()]}
        )


class Gain(Node):
    """Multiply audio, as real nodes do: new samples for each frame."""

    def process(self, frame):
        return replace(frame, samples=frame.samples * self.params["gain"]) if isinstance(frame, Audio) else None


class Pass(Node):
    """Pass on what came, untouched."""

    def process(self, frame):
        return None if isinstance(frame, EndOfStream) else frame


class Hang(Node):
    """Never come back from a frame that says so."""

    def process(self, frame):
        while isinstance(frame, Json) and frame.value == "hang":
            time.sleep(0.01)
        return None if isinstance(frame, EndOfStream) else frame
