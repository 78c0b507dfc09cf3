"""Nodes of a graph that forks and joins, each of which says by which way a frame came."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from reconciler.node import EndOfStream, Json, Node


def await_gate(params):
    while not Path(params["gate"]).exists():
        time.sleep(0.01)


class Fork(Node):
    """Send by two ports."""

    def process(self, frame):
        if not isinstance(frame, EndOfStream):
            yield self.output("left", replace(frame, metadata={"way": ["left"]}))
            yield self.output("right", replace(frame, metadata={"way": ["right"]}))


class Mark(Node):
    """Pass on, with a mark of its own and the port by which it came; begin when a file is there."""

    def process(self, frame):
        await_gate(self.params)
        if isinstance(frame, EndOfStream):
            return None
        return replace(frame, metadata={"way": [*frame.metadata["way"], f"{self.params['mark']}:{frame.port}"]})


class Join(Node):
    """Say the whole way of each frame and count the ends; begin when a file is there."""

    def initialize(self):
        self.ends = 0

    def process(self, frame):
        await_gate(self.params)
        if isinstance(frame, EndOfStream):
            self.ends += 1
            return Json({"ends": self.ends})
        return Json({"way": " ".join([*frame.metadata["way"], f"join:{frame.port}"]), "text": frame.text})
