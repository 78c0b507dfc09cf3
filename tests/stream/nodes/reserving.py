"""Nodes that compute where their frames are sent from."""

from __future__ import annotations

import numpy as np

from reconciler.node import Json, Node, Tensor


class InPlace(Node):
    """Give out `gain` times what came; without `gain` there is nothing to compute, and the content is anything."""

    def process(self, frame):
        if not isinstance(frame, Tensor):
            return None
        made = self.reserve(Tensor, frame.array.shape, frame.array.dtype, timestamp_ns=frame.timestamp_ns)
        if "gain" in self.params:
            np.multiply(frame.array, self.params["gain"], out=made.array)
        return made


class Hoard(Node):
    """Reserve `count` frames for a port that is connected, and one for another, and send them."""

    def process(self, frame):
        if isinstance(frame, Tensor):
            made = [self.reserve(Tensor, (5_000,)) for _ in range(self.params.get("count", 1))]
            shared = ["_loan" in vars(each) for each in made]
            nowhere = self.reserve(Tensor, (5_000,), port="nowhere")
            yield Json([*shared, "_loan" in vars(nowhere)])
            yield self.output("nowhere", nowhere)
            yield from made


class Holding(Node):
    """Reserve `count` frames, then raise if that is what was asked for, or send something else before them."""

    def process(self, frame):
        if isinstance(frame, Tensor):
            made = [self.reserve(Tensor, (5_000,)) for _ in range(self.params["count"])]
            if self.params.get("raises"):
                msg = "boom"
                raise ValueError(msg)
            yield Json("first")
            yield from made


class Early(Node):
    """Reserve before there is anything to send by."""

    def initialize(self):
        self.reserve(Tensor, (1,))
