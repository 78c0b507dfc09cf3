"""`reconcile stream PIPELINE`: open a session, send a file, print what comes back, end when the stream ends.

Rule: whatever ends it, an error, a signal or a reader that leaves, what came back until then is written whole.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from typing import IO, TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.feed import frames, opened
from reconciler.cli.sink import Sink
from reconciler.stream import Session
from reconciler.stream.errors import PipelineNotFound, SessionNotFound, StreamError, TimedOut
from reconciler.stream.frame import Audio, Error

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from reconciler.stream.frame import Frame


def run(options: Namespace) -> int:
    """Stream, and say on stderr what went wrong on the way.

    Raises:
        ValueError: if the input can't be read or the output not be written, or there is no such pipeline or session.
    """
    with _told_to_end(), ExitStack() as unread:
        source = unread.enter_context(opened(options.input))
        sink = Sink(options.output, apart_from=source)
        if source.isatty():
            print("reconcile: every line typed here is sent; Ctrl-D ends the stream", file=sys.stderr)
        try:
            with closing(sink), _open(options) as session:
                unread.pop_all()  # closed by the thread that reads it: nobody else could while it waits there
                return _stream(session, source, sink, options)
        except (PipelineNotFound, SessionNotFound) as error:
            raise ValueError(str(error)) from error
        except BrokenPipeError:
            raise
        except StreamError as error:
            return _broken(str(error))
        except OSError as error:
            return _broken(f"{error.filename or options.input}: {error.strerror or error}")


def _open(options: Namespace) -> Session:
    return Session.open(
        options.pipeline,
        session=options.session,
        timeout_s=options.timeout,
        raise_errors=False,
        instance=options.instance,
        runtime_dir=options.runtime_dir,
    )


def _stream(session: Session, source: IO[bytes], sink: Sink, options: Namespace) -> int:
    """Send the input and take what comes until the stream ends."""
    sink.begin()
    feeder = Feeder(session, source, options)
    feeder.start()
    first: Error | None = None
    count = 0
    try:
        while (frame := _next(session, feeder, options.timeout)) is not None:
            if isinstance(frame, Error):
                first, count = first or frame, count + 1
            sink.take(frame)
    except StreamError as error:
        raise feeder.error or error from error  # what kept the input from being sent is why nothing came
    if feeder.error is not None and not isinstance(feeder.error, StreamError):
        raise feeder.error
    if first is not None:
        more = f" (and {count - 1} errors after it)" if count > 1 else ""
        return _broken(f"node {first.failed}: {first.exception} on frame {first.frame_seq}: {first.message}{more}")
    if feeder.error is not None:
        return _broken(str(feeder.error))
    if sink.missed:
        print(f"reconcile: {sink.missed}", file=sys.stderr)
    return codes.DONE


def _next(session: Session, feeder: Feeder, timeout_s: float) -> Frame | None:
    """Wait for a frame, with a limit that counts only while nothing is read or sent."""
    while True:
        try:
            return session.receive(timeout_s)
        except TimedOut:
            if not feeder.is_busy(within_s=timeout_s):
                raise


def _broken(message: str) -> int:
    print(f"reconcile: {message}", file=sys.stderr)
    return codes.UNFINISHED


class Feeder(threading.Thread):
    """Sends the input while the main thread receives. `error` is what ended it early."""

    def __init__(self, session: Session, source: IO[bytes], options: Namespace) -> None:
        super().__init__(daemon=True, name="feed")
        self._session = session
        self._source = source
        self._options = options
        self._waits = True
        self._sent_s = 0.0
        self.error: Exception | None = None

    def is_busy(self, *, within_s: float) -> bool:
        """Whether it waits for its input, or has sent something lately."""
        return self._waits or time.monotonic() - self._sent_s < within_s

    def run(self) -> None:
        """Send all frames, then the end; after an error the end too, so that nobody waits for more."""
        try:
            for frame in self._paced():
                self._waits = False
                self._session.send(frame, timeout_s=self._options.timeout)
                self._sent_s = time.monotonic()
                self._waits = True
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told by who waits for the stream
            self.error = error
        self._waits, self._sent_s = False, time.monotonic()
        try:
            self._session.end(timeout_s=self._options.timeout)
        except StreamError as error:
            self.error = self.error or error

    def _paced(self) -> Iterator[Frame]:
        """Yield the input, sound no sooner than it would have been recorded whole, counted from the first frame."""
        began_s: float | None = None
        for frame in frames(self._source, self._options.input, frame_ms=self._options.frame_ms):
            if self._options.realtime and isinstance(frame, Audio):
                began_s = time.monotonic() if began_s is None else began_s
                due_s = began_s + frame.timestamp_ns / 1e9 + len(frame.samples) / frame.rate
                time.sleep(max(due_s - time.monotonic(), 0))
            yield frame


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the program as Ctrl-C does; where they are ignored, they stay so."""
    usual = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in usual:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)
