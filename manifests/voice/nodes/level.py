"""Even out speech: take out the constant offset, then bring its loudness slowly to a target. Needs numpy only."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from reconciler.node import Audio, Node

OFFSET_S = 1.0
LOUDER_S = 0.1
QUIETER_S = 3.0


class Level(Node):
    """Bring speech to one loudness; speech that grows louder is followed at once, pauses are left as they are.

    Parameters: `target` (root mean square, 0 to 1, default 0.08), `maxGain` (default 8), `quiet` (a frame below this
    root mean square is a pause, default 0.004).
    """

    def initialize(self):
        """Start at gain 1; every session has an instance, and so a loudness, of its own."""
        self.target = float(self.params.get("target", 0.08))
        self.max_gain = float(self.params.get("maxGain", 8.0))
        self.quiet = float(self.params.get("quiet", 0.004))
        self.offset = None
        self.loudness = self.target
        self.gain = 1.0

    def process(self, frame):
        """Return audio levelled, with its time stamp and metadata; pass by what is no audio."""
        if not isinstance(frame, Audio) or not len(frame.samples):
            return None
        duration_s = len(frame.samples) / frame.rate
        samples = self._without_offset(frame.samples, duration_s)
        samples = np.clip(samples * self._ramp(samples, duration_s), -1.0, 1.0).astype(np.float32)
        return replace(frame, samples=samples)

    def _without_offset(self, samples, duration_s):
        mean = float(samples.mean())
        if self.offset is None:
            self.offset = mean
        self.offset += (mean - self.offset) * share(duration_s, OFFSET_S)
        return samples - self.offset

    def _ramp(self, samples, duration_s):
        """Lead from the last gain to the new one without a step, which would be heard as a click."""
        loudness = math.sqrt(float(np.mean(samples * samples)))
        if loudness > self.quiet:
            pace_s = LOUDER_S if loudness > self.loudness else QUIETER_S
            self.loudness += (loudness - self.loudness) * share(duration_s, pace_s)
        before, self.gain = self.gain, min(self.target / self.loudness, self.max_gain)
        return np.linspace(before, self.gain, len(samples))


def share(duration_s, pace_s):
    """Return how far a slow follower comes in a time: 0 stays where it is, 1 arrives."""
    return 1.0 - math.exp(-duration_s / pace_s)
