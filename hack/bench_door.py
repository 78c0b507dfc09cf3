"""A door between a controller and its engine that notes when the first container was asked for."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PIECE_BYTES = 1 << 18
CREATE = b"/containers/create"


class Door:
    """Passes on what is said in both directions; `with Door(path) as door:` opens it, `door.url` is where."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._folder = Path(tempfile.mkdtemp(prefix="rc-door-"))
        self._listening = socket.socket(socket.AF_UNIX)
        self.url = f"unix://{self._folder}/engine.sock"
        self._asked = threading.Event()
        self._asked_ns = 0

    def __enter__(self) -> Self:
        """Open it."""
        self._listening.bind(self.url.removeprefix("unix://"))
        self._listening.listen(64)
        threading.Thread(target=self._let_in, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; what is still said ends with who says it."""
        self._listening.close()
        shutil.rmtree(self._folder)

    def expect(self) -> None:
        """Wait for a container to be asked for from now on."""
        self._asked.clear()

    def asked_ns(self, *, timeout_s: float) -> int:
        """Return when that was, by the clock of the day.

        Raises:
            TimeoutError: if none was in time.
        """
        if not self._asked.wait(timeout_s):
            msg = f"no container was asked for within {timeout_s:g} s"
            raise TimeoutError(msg)
        return self._asked_ns

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._engine)
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other, one is near), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, asks: bool) -> None:  # noqa: FBT001 - a thread's argument
        with contextlib.suppress(OSError):
            while piece := one.recv(PIECE_BYTES):
                if asks and not self._asked.is_set() and CREATE in piece:
                    self._asked_ns = time.time_ns()
                    self._asked.set()
                other.sendall(piece)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)
