"""Nodes for tests."""

from __future__ import annotations

import os
from dataclasses import replace

from reconciler.node import Audio, EndOfStream, Json, Node, Text


class Pass(Node):
    """Pass everything on as it is."""

    def process(self, frame):
        return None if isinstance(frame, EndOfStream) else frame


class Add(Node):
    """Add a number to audio; say who did it."""

    def initialize(self):
        self.count = 0

    def process(self, frame):
        if isinstance(frame, EndOfStream):
            yield Json({"count": self.count})
        elif isinstance(frame, Audio):
            self.count += 1
            by = [*frame.metadata.get("by", []), os.getpid()]
            yield replace(frame, samples=frame.samples + 1, metadata={"by": by})
        else:
            yield frame


class Fragile(Node):
    """Raise when told to."""

    def process(self, frame):
        if isinstance(frame, Text) and frame.text == "raise":
            message = "told to"
            raise ValueError(message)
        if isinstance(frame, Text) and frame.text == "rubbish":
            return 42
        return None if isinstance(frame, EndOfStream) else frame


class Slow(Node):
    """Wait until a file is there before each frame."""

    def process(self, frame):
        import time
        from pathlib import Path

        while not Path(self.params["gate"]).exists():
            time.sleep(0.01)
        return None if isinstance(frame, EndOfStream) else frame


class Broken(Node):
    """Never ready."""

    def initialize(self):
        message = "no model"
        raise RuntimeError(message)


class Suicide(Node):
    """Be killed once, in the middle of a frame: after giving out the first half."""

    def process(self, frame):
        from pathlib import Path

        if isinstance(frame, EndOfStream):
            return
        yield Text(f"{frame.text} first")
        marker = Path(self.params["marker"])
        if frame.text == self.params["at"] and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), 9)
        yield Text(f"{frame.text} second")


class Coroutines(Node):
    """Everything asynchronous."""

    async def initialize(self):
        self.ready = True

    async def process(self, frame):
        import asyncio

        await asyncio.sleep(0)
        if isinstance(frame, Text):
            yield Text(frame.text + "!" * self.ready)

    async def cleanup(self):
        self.ready = False


class Fork(Node):
    """Send to two ports."""

    def process(self, frame):
        if not isinstance(frame, EndOfStream):
            yield self.output("left", frame)
            yield self.output("right", frame)


class Ports(Node):
    """Say by which port each frame came, and how many ends there were."""

    def initialize(self):
        self.ends = 0

    def process(self, frame):
        if isinstance(frame, EndOfStream):
            self.ends += 1
            return Json({"ends": self.ends})
        return Json({"port": frame.port, "text": frame.text})


class Stamp(Node):
    """Put two texts for one, each with a mark of its own; one without a mark is never ready."""

    def initialize(self):
        self.mark = self.params["mark"]

    def process(self, frame):
        if isinstance(frame, Text):
            yield Text(f"{frame.text}{self.mark}")
            yield Text(f"{frame.text}.")


TRIES = {}


class Moody(Node):
    """Give out one text, then raise on `bad1` the first time, on `bad2` the first two times, then give out another."""

    def initialize(self):
        self.count = 0

    def process(self, frame):
        if not isinstance(frame, Text):
            return
        self.count += 1
        yield Text(f"{frame.text} {self.count}")
        TRIES[frame.text] = TRIES.get(frame.text, 0) + 1
        if frame.text.startswith("bad") and TRIES[frame.text] <= int(frame.text[3:]):
            message = f"try {TRIES[frame.text]}"
            raise ValueError(message)
        yield Text(f"{frame.text}.")


class Hang(Node):
    """Never come back from a frame that says so."""

    def process(self, frame):
        import time

        while isinstance(frame, Text) and frame.text == "hang":
            time.sleep(0.01)
        return None if isinstance(frame, EndOfStream) else frame


class Few(Node):
    """Pass on what begins with an exclamation mark."""

    def process(self, frame):
        return frame if isinstance(frame, Text) and frame.text.startswith("!") else None
