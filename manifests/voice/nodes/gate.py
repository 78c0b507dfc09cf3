"""Decide where speech begins and ends. Standard library only, so that its rule can be tested anywhere."""

from __future__ import annotations

from collections import deque


class Gate:
    """Hold frames back until speech is sure, then let them out, those from shortly before its beginning included.

    Speech opens the gate at `threshold`; it closes after `linger_s` below `threshold - 0.15`, so that a short
    pause, or a probability that wavers, cuts no word in two.
    """

    def __init__(self, *, threshold, lead_s, linger_s):
        """Make a closed gate; probabilities are 0 to 1, times in seconds."""
        self.threshold = threshold
        self.lead_s = lead_s
        self.linger_s = linger_s
        self.segment = 0
        self.open = False
        self.silence_s = 0.0
        self.held = deque()
        self.held_s = 0.0

    def step(self, frame, *, probability, duration_s):
        """Take one frame and yield `(frame, segment, last)` for each one that may pass."""
        if self.open:
            yield frame, self.segment, self._closes(probability, duration_s)
            return
        self._hold(frame, duration_s)
        if probability >= self.threshold:
            self.open = True
            self.silence_s = 0.0
            self.segment += 1
            yield from self._release()

    def _closes(self, probability, duration_s):
        quiet = probability < self.threshold - 0.15
        self.silence_s = self.silence_s + duration_s if quiet else 0.0
        self.open = self.silence_s < self.linger_s
        return not self.open

    def _hold(self, frame, duration_s):
        self.held.append((frame, duration_s))
        self.held_s += duration_s
        while self.held_s > self.lead_s and len(self.held) > 1:
            self.held_s -= self.held.popleft()[1]

    def _release(self):
        while self.held:
            yield self.held.popleft()[0], self.segment, False
        self.held_s = 0.0
