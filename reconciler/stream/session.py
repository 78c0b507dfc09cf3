"""Sessions: how a program streams through a pipeline.

    with Session.open("voice") as session:
        session.send(Audio(samples, rate=16_000))
        session.end()
        for frame in session:
            print(frame)

One opening is one stream: it has an epoch of its own, so what an earlier program left in a standing session never
mixes with it. One thread may send while another receives; several senders, or several receivers, take turns.

Rule: every wait has a time limit or ends with the session, and can be interrupted by a signal.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, AsyncIterator, Iterator, Optional, Sequence, Type, TypeVar

from reconciler.contract import names
from reconciler.contract import paths as locations
from reconciler.stream.errors import Closed, StreamError
from reconciler.stream.link import Link

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from reconciler.stream.frame import Frame

F = TypeVar("F", bound="Frame")

SEND_TIMEOUT_S = 10.0


class Session:
    """A program's end of a session. Make one with `Session.open`.

    Threads may share it: one may send while another receives, several take turns. It belongs to the process that opened
    it. Inside an event loop use the methods that end in `_async`, `async with` and `async for`.
    """

    def __init__(
        self,
        pipeline: str,
        *,
        session: Optional[str],
        timeout_s: float,
        receive_timeout_s: Optional[float],
        raise_errors: bool,
        where: Any,
    ) -> None:
        """Remember what to open."""
        self.pipeline = pipeline
        self._wanted = session
        self._timeout_s = timeout_s
        self._receive_timeout_s = receive_timeout_s
        self._raise_errors = raise_errors
        self._where = where
        self._link: Optional[Link] = None
        self._closed = False

    @classmethod
    def open(
        cls,
        pipeline: str,
        *,
        timeout_s: float = 10.0,
        session: Optional[str] = None,
        instance: Optional[str] = None,
        runtime_dir: Optional[str] = None,
        raise_errors: bool = True,
        receive_timeout_s: Optional[float] = None,
    ) -> Session:
        """Open a session of a pipeline and wait until it is ready, `timeout_s` seconds at most.

        Where a controller runs, it makes a new session for this program. Otherwise the program attaches to the
        pipeline's standing session, if nobody else has; `session` names a standing one to attach to in any case.
        Inside a running event loop nothing is opened before `async with`.

        `raise_errors`: whether an error frame raises `NodeFailed` on receipt; otherwise it is received like others.
        `receive_timeout_s`: for how many seconds at most iteration (`for`, `async for`) waits for each frame and for
        the end, after which it raises `TimedOut`; None: no limit. It holds for iteration only: `receive` and
        `receive_async` go by their own `timeout_s` alone.
        `instance` and `runtime_dir` default to `RECONCILE_INSTANCE` and `RECONCILE_RUNTIME_DIR`.

        Raises:
            PipelineNotFound: if there is no such pipeline.
            SessionNotFound: if no `session` of that name stands; where a controller runs it has two seconds to appear.
            SessionNotReady: if it is not ready in time, or another program has it.
            ValueError: if a name is not valid.
        """
        where = locations.resolve(instance=instance, runtime_dir=runtime_dir)
        for what, name in (("pipeline", pipeline), ("session", session)):
            if name is not None and not names.NAME.fullmatch(name):
                msg = f"{what} name {name!r} must be lower-case letters, digits and inner hyphens, 63 at most"
                raise ValueError(msg)
        opened = cls(
            pipeline,
            session=session,
            timeout_s=timeout_s,
            receive_timeout_s=receive_timeout_s,
            raise_errors=raise_errors,
            where=where,
        )
        if not _in_event_loop():
            opened.connect()
        return opened

    def connect(self) -> None:
        """Open now, where `open` left it for later.

        Raises:
            StreamError: as `open` does.
        """
        if self._closed:
            msg = f"session of {self.pipeline} is closed: open a new one"
            raise Closed(msg)
        if self._link is None:
            self._link = Link.open(self._where, self.pipeline, session=self._wanted, timeout_s=self._timeout_s)

    @property
    def name(self) -> str:
        """The session's name."""
        return self._need().name

    @property
    def dropped(self) -> int:
        """How many frames on their way to this program were lost."""
        return self._need().dropped

    def send(self, frame: Frame, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Send a frame to every node that the session feeds.

        Waits for room while a reliable reader is a whole buffer behind. The frame's arrays are copied, unless
        `reserve` made it. Don't send an `EndOfStream`: call `end`.

        Raises:
            Backpressure: if there was no room within `timeout_s` seconds; the frame was not sent.
            FrameInvalid: if the frame can't be carried.
            SharedMemoryFull: if it does not fit.
            Closed: if the session is closed or ended.
            NodeFailed: if a node has failed the stream (`onError: Fail`).
        """
        self._need().send(frame, timeout_s)

    def reserve(self, kind: Type[F], shape: Sequence[int], dtype: Any = "float32", **content: Any) -> F:
        """Return a frame whose array lies in shared memory, to be filled in place and sent once.

        The array must not be touched after sending. At most 4 frames can be reserved at a time. Where the session
        feeds several nodes, all but the first get a copy.

        Raises:
            FrameInvalid: if frames of that kind hold no array.
            SharedMemoryFull: if it does not fit.
            Backpressure: if too many frames are reserved.
        """
        return self._need().reserve(kind, shape, dtype, content)

    def end(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Say that nothing follows. What is on its way can still be received. A second call does nothing.

        Raises:
            Backpressure: if there was no room in time.
            Closed: if the session is closed.
        """
        self._need().end(timeout_s)

    def receive(self, timeout_s: Optional[float] = None) -> Optional[Frame]:
        """Return the next frame, or None when the stream has ended.

        Raises:
            TimedOut: if nothing came within `timeout_s` seconds (None: no limit).
            NodeFailed: if a node raised; the session goes on, unless it is `fatal`.
            Closed: if the session is closed.
        """
        return self._need().receive(timeout_s, raise_errors=self._raise_errors)

    def close(self) -> None:
        """Leave: what was not received is lost to this program. A second call does nothing."""
        self._closed = True
        if self._link is not None:
            self._link.close()

    def __iter__(self) -> Iterator[Frame]:
        """Receive until the stream has ended.

        Raises:
            TimedOut: if nothing came within the `receive_timeout_s` of `open`; iterating again goes on.
            NodeFailed: as `receive` does.
            Closed: if the session is closed.
        """
        while True:
            frame = self.receive(self._receive_timeout_s)
            if frame is None:
                return
            yield frame

    def __enter__(self) -> Self:
        """Open, where that is still to be done."""
        self.connect()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Close."""
        self.close()

    async def send_async(self, frame: Frame, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Send as `send` does, without blocking the event loop."""
        link = self._need()
        if not link.has_room():
            await _in_thread(lambda: link.ready(timeout_s))
        link.send(frame, timeout_s)

    async def end_async(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """End as `end` does, without blocking the event loop."""
        link = self._need()
        if not link.has_room():
            await _in_thread(lambda: link.ready(timeout_s))
        link.end(timeout_s)

    async def receive_async(self, timeout_s: Optional[float] = None) -> Optional[Frame]:
        """Receive as `receive` does, without blocking the event loop. Cancelling loses nothing."""
        link = self._need()
        deadline = link.deadline(timeout_s)
        while True:
            there, frame = link.poll(raise_errors=self._raise_errors)
            if there:
                return frame
            left_s = link.left(deadline, timeout_s)
            await _in_thread(lambda left_s=left_s: link.wait(left_s))

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """Receive as iteration does, without blocking the event loop."""
        while True:
            frame = await self.receive_async(self._receive_timeout_s)
            if frame is None:
                return
            yield frame

    async def __aenter__(self) -> Self:
        """Open without blocking the event loop."""
        await _in_thread(self.connect)
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Close."""
        self.close()

    def _need(self) -> Link:
        if self._link is None:
            self.connect()
        if self._link is None:  # pragma: no cover - connect raises instead
            raise StreamError
        return self._link


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 - the public one raises instead


async def _in_thread(call: Any) -> Any:
    import asyncio  # noqa: PLC0415 - most programs need none

    return await asyncio.get_running_loop().run_in_executor(None, call)
