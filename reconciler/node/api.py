"""What the author of a node writes: a class with `process`, and what it finds on itself.

class Shout(Node):
    def process(self, frame):
        if isinstance(frame, Text):
            return Text(frame.text.upper(), timestamp_ns=frame.timestamp_ns)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Type, TypeVar

from reconciler.stream.calls import Output

if TYPE_CHECKING:
    from reconciler.stream.frame import Frame

F = TypeVar("F", bound="Frame")


class Node:
    """One step of a pipeline. Every stream through it has an object of its own.

    `process` is called with each frame in order, from one thread. It returns a frame, None or a list of frames, or
    yields any number. At the end of a stream it is called once more, with an `EndOfStream` (after all inputs have
    ended): the time to give out what is left. The runtime itself passes the end on. `frame.port` is the input port
    it came in by.

    Each method may also be a coroutine function, `process` an asynchronous generator too.

    What `process` raises reaches the session as an error frame; the frame it was called with is skipped.
    """

    params: Mapping[str, Any] = {}
    """Parameters of this session, from the manifest."""

    session: str = ""
    """Name of the session."""

    log: logging.Logger = logging.getLogger("node")
    """Where to write: the lines appear in the controller's log."""

    _reserve: Optional[Callable[..., Any]] = None

    def initialize(self) -> Any:
        """Get ready for one stream: called before the first frame, and again for each stream that follows.

        What is dear to load and the same for all sessions belongs into a module-level function under
        `functools.lru_cache`.
        """

    def process(self, frame: Frame) -> Any:
        """Take one frame. Its arrays are read-only; copy what shall be kept for long.

        Raises:
            NotImplementedError: always; every node has its own.
        """
        msg = f"{type(self).__name__} has no process(self, frame)"
        raise NotImplementedError(msg)

    def cleanup(self) -> Any:
        """Let go of what `initialize` took: called after the end of the stream."""

    def output(self, port: str, frame: Frame) -> Output:
        """Return a frame addressed to a named output port, to be returned or yielded by `process`."""
        return Output(port, frame)

    def reserve(
        self, kind: Type[F], shape: Sequence[int], dtype: Any = "float32", *, port: str = "", **content: Any
    ) -> F:
        """Return a frame whose array lies in shared memory already, to be filled in `process` and given back once.

        So what is computed into it (`np.multiply(a, b, out=frame.array)`) is not copied on its way. `port` is the
        output it will leave by; `content` are the frame's other fields. The array must not be touched once the frame
        was given back. At most 4 frames can be reserved at a time; one that is dropped gives its memory back.

        Outside a pipeline, and where nothing is connected to the port, the array lies in ordinary memory.

        Raises:
            FrameInvalid: if frames of that kind hold no array.
            SharedMemoryFull: if it does not fit.
            Backpressure: if too many frames are reserved.
        """
        from reconciler.stream import reserved  # noqa: PLC0415 - it needs numpy, which not every node does

        made: F = (self._reserve or reserved.plain)(kind, shape, dtype, content, port=port)
        return made
