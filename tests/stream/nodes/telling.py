"""Nodes that tell what is done with them, or do what nodes are not to do."""

from __future__ import annotations

import time
from pathlib import Path

from reconciler.node import EndOfStream, Json, Node, Tensor, Text


class Diary(Node):
    """Write down each call."""

    def initialize(self):
        self.note("initialize")

    def process(self, frame):
        self.note("end" if isinstance(frame, EndOfStream) else frame.text)
        return frame

    def cleanup(self):
        self.note("cleanup")

    def note(self, what):
        with Path(self.params["diary"]).open("a") as diary:
            diary.write(f"{what}\n")


class Late(Node):
    """Ready at the second attempt; write down when each was made."""

    def initialize(self):
        diary = Path(self.params["diary"])
        first = not diary.exists()
        with diary.open("a") as attempts:
            attempts.write(f"{time.monotonic()}\n")
        if first:
            message = "not yet"
            raise RuntimeError(message)

    def process(self, frame):
        return frame


class Ends(Node):
    """Emit an end of its own before and after each frame."""

    def process(self, frame):
        yield EndOfStream()
        yield frame
        yield EndOfStream()


class Pause(Node):
    """Work for a second on a frame that says so."""

    def process(self, frame):
        if isinstance(frame, Text) and frame.text == "slow":
            Path(self.params["begun"]).touch()
            time.sleep(1.0)
        return frame


class Weigh(Node):
    """Hold what came until a file is there; then say what each frame was, and how many ends there were."""

    def initialize(self):
        self.ends = 0

    def process(self, frame):
        while not Path(self.params["gate"]).exists():
            time.sleep(0.01)
        self.ends += isinstance(frame, EndOfStream)
        return Json(int(frame.array[-1]) if isinstance(frame, Tensor) else {"ends": self.ends})
