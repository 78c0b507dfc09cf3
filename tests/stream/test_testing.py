"""`reconciler.stream.testing`: what a node's author sees in a plain test is what a pipeline would do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reconciler.node import Audio, EndOfStream, Json, Node, Tensor, Text
from reconciler.stream import FrameInvalid
from reconciler.stream.calls import Output
from reconciler.stream.testing import run

sys.path.insert(0, str(Path(__file__).parent / "nodes"))
import plain


def test_a_generator_gets_the_end_and_may_give_out_what_is_left() -> None:
    frames = run(plain.Add, [Audio(np.zeros(2, np.float32), 8_000), Audio(np.ones(2, np.float32), 8_000)])
    assert [type(frame) for frame in frames] == [Audio, Audio, Json]
    assert [frame.seq for frame in frames] == [0, 1, 2]
    last = frames[-1]
    assert isinstance(last, Json)
    assert last.value == {"count": 2}


def test_everything_may_be_asynchronous() -> None:
    assert [frame.text for frame in run(plain.Coroutines, [Text("a")]) if isinstance(frame, Text)] == ["a!"]


def test_a_frame_may_be_reserved() -> None:
    class Double(Node):
        def process(self, frame: Tensor) -> Tensor | None:
            if isinstance(frame, EndOfStream):
                return None
            made = self.reserve(Tensor, frame.array.shape, metadata={"a": 1})
            np.multiply(frame.array, 2, out=made.array)
            return made

    (frame,) = run(Double, [Tensor(np.ones(3, np.float32))])
    assert isinstance(frame, Tensor)
    assert frame.array.tolist() == [2.0, 2.0, 2.0]
    assert frame.metadata == {"a": 1}
    with pytest.raises(FrameInvalid, match="Text can't be filled in place"):
        Double().reserve(Text, (1,))


def test_named_ports_show_in_what_comes_out() -> None:
    assert [frame.port for frame in run(plain.Fork, [Text("a")])] == ["left", "right"]


def test_received_arrays_are_read_only() -> None:
    class Write(Node):
        def process(self, frame: Tensor) -> None:
            if not isinstance(frame, EndOfStream):
                frame.array[0] = 1

    with pytest.raises(ValueError, match="read-only"):
        run(Write, [Tensor(np.zeros(3))])


@pytest.mark.parametrize(
    ("rubbish", "says"),
    [
        (42, "process gave back a int: return a frame, None, or yield frames"),
        ("words", "gave back a str"),
        ({"text": "words"}, "gave back a dict"),
        (Text, "gave back a type"),
        ([Text("good"), b"bad"], "gave back a bytes"),
        ((None, object()), "gave back a object"),
        (Output("port", "words"), "gave back a str"),  # type: ignore[arg-type]
        (Tensor(np.array([object()])), "arrays of object can't be sent"),
        (Text("x", timestamp_ns=0.5), "timestamp_ns is an int of 64 bits"),  # type: ignore[arg-type]
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__,
)
def test_rubbish_is_named_however_it_is_given_back(rubbish: Any, says: str) -> None:
    pieces = rubbish if type(rubbish) in {list, tuple} else (rubbish,)

    class Plain(Node):
        def process(self, _: object) -> Any:
            return rubbish

    class Later(Node):
        def process(self, _: object) -> Any:
            yield Text("good")
            yield from pieces

    class Awaited(Node):
        async def process(self, _: object) -> Any:
            return rubbish

    class AwaitedLater(Node):
        async def process(self, _: object) -> Any:
            yield Text("good")
            for each in pieces:
                yield each

    for kind in (Plain, Later, Awaited, AwaitedLater):
        with pytest.raises(FrameInvalid, match=says):
            run(kind, [Text("x")])


def test_metadata_come_back_as_json_gives_them() -> None:
    (frame,) = run(plain.Pass, [Text("a", metadata={"pair": (1, 2)})])
    assert frame.metadata == {"pair": [1, 2]}
    with pytest.raises(FrameInvalid, match="metadata can't be written as JSON"):
        run(plain.Pass, [Text("a", metadata={"what": object()})])
