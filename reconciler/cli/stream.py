"""`reconcile stream PIPELINE`: open a session, send a file, print what comes back, end when the stream ends."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.feed import Sink, frames
from reconciler.stream import Session
from reconciler.stream.errors import PipelineNotFound, StreamError
from reconciler.stream.frame import Audio, Error

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.stream.frame import Frame


def run(options: Namespace) -> int:
    """Stream, and say on stderr what went wrong on the way."""
    sink = Sink(options.output)
    try:
        with _open(options) as session:
            feeder = Feeder(session, options)
            feeder.start()
            failed = _print(session, sink, options)
            feeder.join(options.timeout)
        if feeder.error is not None:
            raise feeder.error
    except PipelineNotFound as error:
        raise ValueError(str(error)) from error
    except StreamError as error:
        print(f"reconcile: {error}", file=sys.stderr)
        return codes.UNFINISHED
    finally:
        sink.close()
    return codes.UNFINISHED if failed else codes.DONE


def _open(options: Namespace) -> Session:
    return Session.open(
        options.pipeline,
        session=options.session,
        timeout_s=options.timeout,
        raise_errors=False,
        instance=options.instance,
        runtime_dir=options.runtime_dir,
    )


def _print(session: Session, sink: Sink, options: Namespace) -> bool:
    """Take what comes until the stream ends; whether an error was among it."""
    failed = False
    while (frame := session.receive(options.timeout)) is not None:
        failed |= isinstance(frame, Error)
        sink.take(frame)
    return failed


class Feeder(threading.Thread):
    """Sends the input while the main thread receives. `error` is what ended it early."""

    def __init__(self, session: Session, options: Namespace) -> None:
        super().__init__(daemon=True, name="feed")
        self._session = session
        self._options = options
        self.error: Exception | None = None

    def run(self) -> None:
        """Send all frames, then the end; after an error the end too, so that nobody waits for more."""
        started_s = time.monotonic()
        try:
            for frame in frames(self._options.input, frame_ms=self._options.frame_ms):
                if self._options.realtime:
                    _pace(frame, started_s)
                self._session.send(frame, timeout_s=self._options.timeout)
        except (StreamError, ValueError, OSError) as error:
            self.error = error
        try:
            self._session.end(timeout_s=self._options.timeout)
        except StreamError as error:
            self.error = self.error or error


def _pace(frame: Frame, started_s: float) -> None:
    """Wait until a frame's sound would have been recorded whole."""
    if isinstance(frame, Audio):
        due_s = started_s + frame.timestamp_ns / 1e9 + len(frame.samples) / frame.rate
        time.sleep(max(due_s - time.monotonic(), 0))
