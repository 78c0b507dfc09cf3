"""Trying a node in a plain test, without Docker, shared memory or a controller.

    def test_shout():
        assert [frame.text for frame in run(Shout, [Text("hello")])] == ["HELLO"]

Rule: frames go through the same encoding as in a pipeline, so a node sees here what it will see there: read-only
arrays, metadata as JSON gives them back, and a clear error for what can't be sent.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Type

import numpy as np

from reconciler.contract import header as wire
from reconciler.stream import codec
from reconciler.stream.calls import Calls, Output
from reconciler.stream.frame import EndOfStream

if TYPE_CHECKING:
    from reconciler.stream.frame import Frame


def run(
    kind: Type[Any], frames: Iterable[Frame], *, params: Optional[Mapping[str, Any]] = None, session: str = "test"
) -> List[Frame]:
    """Run one stream of frames through a node and return what it emits, with the output port in `port`.

    The node is initialized, gets the frames and then an `EndOfStream`, and is cleaned up. What it raises is raised
    here. A frame's `port` is the input port it comes in by.

    Raises:
        FrameInvalid: if a frame, given or emitted, can't be sent.
    """
    calls = Calls(kind, params=dict(params or {}), session=session, log=logging.getLogger(f"{kind.__name__}/{session}"))
    emitted: List[Frame] = []
    counts: Dict[str, int] = {}
    calls.initialize()
    try:
        for seq, frame in enumerate([*frames, EndOfStream()]):
            outputs = calls.process(_carried(frame, seq=seq, node="", port=frame.port))
            kept = (output for output in outputs if not isinstance(output.frame, EndOfStream))
            emitted.extend(_sent(output, counts, kind.__name__) for output in kept)
    finally:
        calls.cleanup()
    return emitted


def _sent(output: Output, counts: Dict[str, int], node: str) -> Frame:
    seq = counts[output.port] = counts.get(output.port, -1) + 1
    return _carried(output.frame, seq=seq, node=node, port=output.port)


def _carried(frame: Frame, *, seq: int, node: str, port: str) -> Frame:
    """Return a frame as it comes out at the other end of a channel."""
    kind, payload, payload_bytes, dtype, shape, rate, layout = codec.encode(frame)
    metadata = codec.encode_metadata(frame.metadata)
    common = (0, seq, 0, seq, frame.timestamp_ns, 0, *wire.NO_CAUSE[1:])
    try:
        head = wire.encode_head(wire.FORMAT, kind, dtype, 0, len(shape), 0, *common, len(metadata), payload_bytes)
    except wire.OUT_OF_RANGE as error:
        raise codec.untimely(frame) from error
    raw = head + wire.encode_tail(shape, rate, layout, b"")
    plain = np.ascontiguousarray(payload).tobytes() if isinstance(payload, np.ndarray) else bytes(payload)
    return codec.decode(wire.decode(raw), plain, metadata, node=node, port=port)
