"""What a node instance is doing, in a file that outlives it: the runtime maps it, whoever asks why it died reads it.

64 places of 72 bytes, one for each session that is served:

    offset  size  field
    0       8     0: idle; 1: initializing; otherwise 2 + the number of the frame in hand
    8       64    the session's name, zeros behind it

Rule: a place has one writer, and its first word is written whole.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Dict, Optional

if TYPE_CHECKING:
    from pathlib import Path

FILE = "doing"
PLACES = 64
PLACE = struct.Struct("<Q64s")
IDLE, INITIALIZING, FIRST_FRAME = 0, 1, 2


def read(directory: Path) -> Dict[str, Optional[int]]:
    """Return the sessions in hand, each with the number of its frame, or None while it is initialized.

    A file that is missing or damaged says nothing.
    """
    try:
        content = (directory / FILE).read_bytes()
    except OSError:
        return {}
    found: Dict[str, Optional[int]] = {}
    for word, name in PLACE.iter_unpack(content[: len(content) // PLACE.size * PLACE.size]):
        if word != IDLE:
            session = name.rstrip(b"\0").decode("utf-8", "replace")
            found[session] = None if word == INITIALIZING else word - FIRST_FRAME
    return found
