"""Sound in WAV files: read as it comes, also from a pipe, and written so that what is there can always be read.

Rule: a header is not believed further than it must be. What a file holds less than it says is told, after all that it
does hold; a header that gives no length (a recorder that writes into a pipe can't know it) means: to the end.

Source: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991), and for `EXTENSIBLE`
Multiple Channel Audio Data and WAVE Files (Microsoft, 2007).
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from reconciler.stream.frame import Audio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
MAGIC = b"RIFF"
NO_LENGTH = 0xFFFF_FFFF
LEAST_OPEN = 0x7FFF_F000
"""Lengths from here on are what recorders write that don't know it (sox, arecord, ffmpeg, in this order)."""

CHUNK = struct.Struct("<4sI")
FORMAT = struct.Struct("<HHIIHH")
SUBFORMAT = struct.Struct("<24xH")
KEPT_BYTES = 64
SKIPPED_AT_ONCE_BYTES = 1 << 16
MOST_CHANNELS = 0x7FFF
"""Two bytes of each are counted in 16 bits."""
LONGEST_FRAME_BYTES = 256 << 20

KINDS = {
    (PCM, 8): ("u1", 128.0, 128.0),
    (PCM, 16): ("<i2", 0.0, 32_768.0),
    (PCM, 24): ("<i4", 0.0, 2_147_483_648.0),
    (PCM, 32): ("<i4", 0.0, 2_147_483_648.0),
    (FLOAT, 32): ("<f4", 0.0, 1.0),
    (FLOAT, 64): ("<f8", 0.0, 1.0),
}
"""Format and bits of a sample to dtype, zero level and full scale. 24 bits become the upper ones of 32."""


class Sound(NamedTuple):
    """What a header says. `size` is how many bytes of samples follow."""

    kind: tuple[int, int]
    channels: int
    rate: int
    size: int

    @property
    def block(self) -> int:
        """How many bytes the samples of one moment take."""
        return self.channels * self.kind[1] // 8


def audio(file: IO[bytes], name: str, *, frame_ms: float) -> Iterator[Audio]:
    """Yield a file's sound in frames of `frame_ms` milliseconds, the last one maybe shorter.

    Raises:
        ValueError: if it is no WAV, holds what is not supported, or ends before its header says.
    """
    sound = _header(file, name)
    at_once = max(round(sound.rate * frame_ms / 1000), 1) * sound.block
    left, sent = sound.size, 0
    is_open = sound.size == NO_LENGTH or (sound.size >= LEAST_OPEN and not file.seekable())
    if min(at_once, left) > LONGEST_FRAME_BYTES:
        msg = f"{name}: {frame_ms:g} ms of {sound.channels} channels at {sound.rate} Hz are too much for one frame"
        raise ValueError(msg)
    while left > 0:
        asked = min(at_once, left)
        raw = file.read(asked)
        whole = len(raw) // sound.block * sound.block
        if whole:
            samples = _samples(raw[:whole], sound)
            yield Audio(samples, rate=sound.rate, timestamp_ns=sent * 1_000_000_000 // sound.rate)
            sent += len(samples)
        if len(raw) < asked:
            break
        left = left if is_open else left - asked
    else:
        return
    if sound.size < LEAST_OPEN:
        msg = f"{name}: cut short: its header tells of {sound.size // sound.block} samples, {sent} are there"
        raise ValueError(msg)


def _header(file: IO[bytes], name: str) -> Sound:
    """Read up to the first sample."""
    opening = file.read(CHUNK.size + 4)
    if opening[:4] != MAGIC or opening[CHUNK.size :] != b"WAVE":
        msg = f"{name}: no WAV file: it holds something else in a RIFF file"
        raise ValueError(msg)
    behind = CHUNK.size + int.from_bytes(opening[4 : CHUNK.size], "little")
    position, form = len(opening), b""
    while len(head := file.read(CHUNK.size)) == CHUNK.size:
        kind, size = CHUNK.unpack(head)
        position += CHUNK.size + size + size % 2
        if kind == b"data":
            # Nothing, and nothing behind it: a recorder that did not come back to write how much there is.
            unknown = size == 0 and behind <= position
            return _understood(form, NO_LENGTH if unknown else size, name)
        kept = _pass(file, size + size % 2)
        form = kept if kind == b"fmt " else form
    msg = f"{name}: no WAV file that can be read: it ends before its sound begins"
    raise ValueError(msg)


def _pass(file: IO[bytes], size: int) -> bytes:
    """Read over a chunk, and return its beginning."""
    kept = b""
    while size > 0 and (raw := file.read(min(size, SKIPPED_AT_ONCE_BYTES))):
        kept += raw[: KEPT_BYTES - len(kept)]
        size -= len(raw)
    return kept


def _understood(form: bytes, size: int, name: str) -> Sound:
    if len(form) < FORMAT.size:
        msg = f"{name}: no WAV file that can be read: it does not say what its samples are"
        raise ValueError(msg)
    code, channels, rate, _, _, bits = FORMAT.unpack_from(form)
    if code == EXTENSIBLE and len(form) >= SUBFORMAT.size:
        (code,) = SUBFORMAT.unpack_from(form)
    if (code, bits) not in KINDS:
        msg = (
            f"{name}: samples of {bits} bits in format {code} are not supported; integers (format {PCM}) of 8, 16, 24 "
            f"and 32 bits and floats (format {FLOAT}) of 32 and 64 are"
        )
        raise ValueError(msg)
    if not channels or not rate:
        msg = f"{name}: no WAV file that can be read: its header says {channels} channels at {rate} Hz"
        raise ValueError(msg)
    return Sound((code, bits), channels, rate, size)


def _samples(raw: bytes, sound: Sound) -> NDArray[np.float32]:
    dtype, zero, full = KINDS[sound.kind]
    if sound.kind == (PCM, 24):
        wide = np.zeros((len(raw) // 3, 4), "u1")
        wide[:, 1:] = np.frombuffer(raw, "u1").reshape(-1, 3)
        raw = wide.tobytes()
    samples = (np.frombuffer(raw, dtype).astype(np.float32) - np.float32(zero)) / np.float32(full)
    return samples if sound.channels == 1 else samples.reshape(-1, sound.channels)


class Recording:
    """Writes one sound into a file, as integers of 16 bits.

    Until it is closed its header gives no length, so that what a killed program leaves can be read to its end.
    """

    def __init__(self, file: IO[bytes], first: Audio) -> None:
        """Write a header.

        Raises:
            ValueError: if no header can say what sound it is.
        """
        self._file = file
        self._is_of = form(first)
        self._bytes = 0
        node, _, channels, rate = self._is_of
        if not 0 < rate * channels * 2 <= NO_LENGTH or channels > MOST_CHANNELS:
            msg = f"no WAV file can hold {channels} channels at {rate} Hz, which node {node} sends"
            raise ValueError(msg)
        file.write(self._header(NO_LENGTH))

    def take(self, frame: Audio) -> None:
        """Write one frame.

        Raises:
            ValueError: if it is of another node, rate or number of channels.
        """
        if form(frame) != self._is_of:
            said = " and ".join(
                f"{channels} channel{'s' if channels > 1 else ''} at {rate} Hz from {f'{node}.{port}'.rstrip('.')}"
                for node, port, channels, rate in (self._is_of, form(frame))
            )
            msg = f"a WAV file holds one sound, and there are {said}: name no .wav with --output, or connect a mixer"
            raise ValueError(msg)
        samples = np.clip(np.nan_to_num(np.asarray(frame.samples, np.float32)), -1, 1)
        raw = np.minimum(np.rint(samples * 32_768), 32_767).astype("<i2").tobytes()
        self._file.write(raw)
        self._bytes += len(raw)

    def close(self) -> None:
        """Write how much there is, where the file lets one go back."""
        if self._file.seekable() and self._bytes < LEAST_OPEN:
            self._file.seek(0)
            self._file.write(self._header(self._bytes))

    def _header(self, size: int) -> bytes:
        _, _, channels, rate = self._is_of
        about = FORMAT.pack(PCM, channels, rate, rate * channels * 2, channels * 2, 16)
        chunks = CHUNK.pack(b"fmt ", len(about)) + about + CHUNK.pack(b"data", size)
        all_of_it = min(4 + len(chunks) + size, NO_LENGTH)
        return CHUNK.pack(MAGIC, all_of_it) + b"WAVE" + chunks


def form(frame: Audio) -> tuple[str, str, int, int]:
    """Return who sent a sound, its number of channels, and its rate."""
    return frame.node, frame.port, 1 if frame.samples.ndim == 1 else frame.samples.shape[1], frame.rate
