"""What the author of a node writes: a class with `process`, and what it finds on itself.

class Shout(Node):
    def process(self, frame):
        if isinstance(frame, Text):
            return Text(frame.text.upper(), timestamp_ns=frame.timestamp_ns)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Mapping

from reconciler.stream.calls import Output

if TYPE_CHECKING:
    from reconciler.stream.frame import Frame


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
