"""Turn segments of speech into words. Needs pocketsphinx, whose English model is inside."""

from __future__ import annotations

import numpy as np
from pocketsphinx import Decoder

from reconciler.node import Audio, EndOfStream, Node, Text

RATE = 16_000
TICKS = 100
"""The recogniser counts time in hundredths of a second."""


class RecogniseWords(Node):
    """Emit what has been heard of a segment each time it changes, and a final text when the segment ends.

    Audio that names no `segment` in its metadata is one single segment, as long as the stream.

    The text is the recogniser's own: marks for silence and noise (`<sil>`, `[NOISE]`) are still in it. Metadata:
    `segment`, `final`, and in a final text `words`, each with `word`, `startMs`, `endMs` in the stream's own time.
    A partial text has the time stamp of the newest audio in it, and so has a final one.
    """

    def initialize(self):
        """Load the model (0.3 s): a decoder remembers what it heard, so it is this session's own."""
        self.decoder = Decoder(samprate=RATE, loglevel="FATAL")
        self.heard = []
        self.segment = 0
        self.start_ns = 0
        self.newest_ns = 0
        self.text = ""

    def process(self, frame):
        """Yield texts for audio; the end of the stream ends the segment."""
        if isinstance(frame, EndOfStream):
            yield from self._finish()
        if not isinstance(frame, Audio):
            return
        segment = frame.metadata.get("segment", 1)
        if segment != self.segment:
            yield from self._finish()
            self._begin(frame, segment)
        yield from self._hear(frame)
        if frame.metadata.get("last", False):
            yield from self._finish()

    def cleanup(self):
        """End what is still open, so that the decoder goes in good order."""
        if self.heard:
            self.decoder.end_utt()

    def _begin(self, frame, segment):
        self.segment = segment
        self.start_ns = frame.timestamp_ns
        self.text = ""
        self.decoder.reinit_feat()
        self.decoder.start_utt()

    def _hear(self, frame):
        pcm = np.rint(frame.samples * 32767).astype("<i2").tobytes()
        self.heard.append(pcm)
        self.newest_ns = frame.timestamp_ns
        self.decoder.process_raw(pcm)
        text = " ".join(part.word for part in self.decoder.seg() or ())
        if text and text != self.text:
            self.text = text
            yield Text(text, timestamp_ns=self.newest_ns, metadata={"segment": self.segment, "final": False})

    def _finish(self):
        """Recognise the whole segment once more: with its mean known, the result is better than word by word."""
        if not self.heard:
            return
        pcm, self.heard = b"".join(self.heard), []
        self.decoder.end_utt()
        self.decoder.reinit_feat()
        self.decoder.start_utt()
        self.decoder.process_raw(pcm, full_utt=True)
        self.decoder.end_utt()
        parts = list(self.decoder.seg() or ())
        metadata = {"segment": self.segment, "final": True, "words": [self._timed(part) for part in parts]}
        yield Text(" ".join(part.word for part in parts), timestamp_ns=self.newest_ns, metadata=metadata)

    def _timed(self, part):
        start_ms = self.start_ns / 1e6
        return {
            "word": part.word,
            "startMs": start_ms + part.start_frame * 1000 / TICKS,
            "endMs": start_ms + (part.end_frame + 1) * 1000 / TICKS,
        }
