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
    encoded = codec.encode(frame)
    metadata = codec.encode_metadata(frame.metadata)
    head = wire.Header(
        kind=encoded.kind,
        incarnation=0,
        position=seq,
        epoch=0,
        seq=seq,
        timestamp_ns=frame.timestamp_ns,
        payload_bytes=encoded.payload_bytes,
        metadata_bytes=len(metadata),
        dtype=encoded.dtype,
        shape=encoded.shape,
        rate=encoded.rate,
        layout=encoded.layout,
    )
    payload = encoded.payload
    plain = np.ascontiguousarray(payload).tobytes() if isinstance(payload, np.ndarray) else bytes(payload)
    return codec.decode(wire.decode(wire.encode(head)), plain, metadata, node=node, port=port)
