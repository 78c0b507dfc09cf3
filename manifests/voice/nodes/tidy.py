"""Clean up recognised text. Standard library only: this one runs as a plain process on the host."""

from __future__ import annotations

import re
from dataclasses import replace

from reconciler.node import Node, Text

NOISE = re.compile(r"<[^>]*>|\[[^\]]*\]|\+\+[^+]*\+\+")
"""Marks that are no words: `<sil>`, `[NOISE]`, `++UM++`."""

VARIANT = re.compile(r"\(\d+\)")
"""`the(2)` is `the`, said in its second way."""


class TidyText(Node):
    """Take out what was not said, and texts that say nothing new."""

    def initialize(self):
        """Remember what went out last."""
        self.last = ""

    def process(self, frame):
        """Return the text cleaned, or None where nothing of it is left or it only repeats a partial one."""
        if not isinstance(frame, Text):
            return None
        text = clean(frame.text)
        final = bool(frame.metadata.get("final"))
        if not text or (text == self.last and not final):
            return None
        self.last = "" if final else text
        return replace(frame, text=text, metadata=spoken(frame.metadata))


def clean(text):
    """Return a text's words, one space between two."""
    return " ".join(VARIANT.sub("", NOISE.sub(" ", text)).split())


def spoken(metadata):
    """Return metadata whose `words`, if any, are spoken ones."""
    if "words" not in metadata:
        return metadata
    words = [{**entry, "word": clean(entry["word"])} for entry in metadata["words"]]
    return {**metadata, "words": [entry for entry in words if entry["word"]]}
