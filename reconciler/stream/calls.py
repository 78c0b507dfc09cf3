"""Calling a node's methods, whatever kind they are: plain, coroutine, generator or asynchronous generator.

Rule: whatever a node gives back becomes outputs or a clear error, never a guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Optional, Type

from reconciler.stream.errors import FrameInvalid
from reconciler.stream.frame import Frame

if TYPE_CHECKING:
    import asyncio
    import logging


_NEW = tuple.__new__


class Output(NamedTuple):
    """A frame and the port it leaves by; made by `Node.output`."""

    port: str
    frame: Frame


class Calls:
    """One node object of one class, and the event loop of its coroutines if it has any.

    The loop runs only while a method of the node is called.
    """

    def __init__(
        self,
        kind: Type[Any],
        *,
        params: Mapping[str, Any],
        session: str,
        log: logging.Logger,
        reserve: Optional[Callable[..., Frame]] = None,
    ) -> None:
        """Make the object; `initialize` is still to be called. `reserve` is what `Node.reserve` calls."""
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._node = kind()
        self._node.params = params
        self._node.session = session
        self._node.log = log
        self._node._reserve = reserve  # noqa: SLF001 - a name that no author's own class is likely to have

    def initialize(self) -> None:
        """Call `initialize`, where the node has it."""
        self._call("initialize")

    def process(self, frame: Frame) -> Iterable[Output]:
        """Call `process` and return what it gives back; what a generator yields, as it comes.

        Raises:
            FrameInvalid: if it gives back what is no frame.
        """
        result = self._node.process(frame)
        if result is None:
            return ()
        if isinstance(result, Frame):
            return (_NEW(Output, ("", result)),)
        return self._outputs(result)

    def cleanup(self) -> None:
        """Call `cleanup`, where the node has it, and end its event loop."""
        try:
            self._call("cleanup")
        finally:
            if self._loop is not None:
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
                self._loop.close()
                self._loop = None

    def _call(self, method: str) -> None:
        result = getattr(self._node, method, lambda: None)()
        if hasattr(result, "__await__"):
            self._wait(result)

    def _outputs(self, result: Any) -> Iterator[Output]:
        if hasattr(result, "__await__"):
            result = self._wait(result)
        if result is None:
            return
        if isinstance(result, (Frame, Output)):
            yield self._output(result)
        elif isinstance(result, (list, tuple)) or hasattr(result, "__next__"):
            for each in result:
                if each is not None:
                    yield self._output(each)
        elif hasattr(result, "__anext__"):
            yield from self._drain(result)
        else:
            yield self._output(result)

    def _drain(self, results: Any) -> Iterator[Output]:
        while True:
            try:
                each = self._wait(results.__anext__())
            except StopAsyncIteration:
                return
            if each is not None:
                yield self._output(each)

    def _output(self, result: Any) -> Output:
        if isinstance(result, Frame):
            return Output("", result)
        if isinstance(result, Output) and isinstance(result.frame, Frame):
            return result
        msg = (
            f"{type(self._node).__name__}.process gave back {_what(result)}: return a frame, None, or yield frames; "
            'self.output("port", frame) for a named port'
        )
        raise FrameInvalid(msg)

    def _wait(self, coroutine: Any) -> Any:
        if self._loop is None:
            import asyncio  # noqa: PLC0415 - most nodes need none, and it takes memory

            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(_awaited(coroutine))


async def _awaited(coroutine: Any) -> Any:
    return await coroutine


def _what(result: Any) -> str:
    inner = result.frame if isinstance(result, Output) else result
    return f"a {type(inner).__module__}.{type(inner).__name__}".replace("builtins.", "")
