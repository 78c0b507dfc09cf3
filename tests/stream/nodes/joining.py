"""Nodes of a graph that forks and joins, each of which says by which way a frame came."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from reconciler.node import EndOfStream, Json, Node


class Gated(Node):
    """Go on behind the first frame of each input when a file is there.

    Whoever sends waits once until its readers have mapped its memory, which they do with the first frame.
    """

    def initialize(self):
        self.met = set()

    def await_gate(self, port):
        while port in self.met and not Path(self.params["gate"]).exists():
            time.sleep(0.01)
        self.met.add(port)


class Fork(Node):
    """Send by two ports."""

    def process(self, frame):
        if not isinstance(frame, EndOfStream):
            yield self.output("left", replace(frame, metadata={"way": ["left"]}))
            yield self.output("right", replace(frame, metadata={"way": ["right"]}))


class Mark(Gated):
    """Pass on, with a mark of its own and the port by which it came."""

    def process(self, frame):
        self.await_gate(frame.port)
        if isinstance(frame, EndOfStream):
            return None
        return replace(frame, metadata={"way": [*frame.metadata["way"], f"{self.params['mark']}:{frame.port}"]})


class Join(Gated):
    """Say the whole way of each frame and count the ends."""

    def initialize(self):
        super().initialize()
        self.ends = 0

    def process(self, frame):
        self.await_gate(frame.port)
        if isinstance(frame, EndOfStream):
            self.ends += 1
            return Json({"ends": self.ends})
        return Json({"way": " ".join([*frame.metadata["way"], f"join:{frame.port}"]), "text": frame.text})
