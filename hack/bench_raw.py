"""An echo in plain iceoryx2, as somebody would write it in Python who wants speed and nothing else.

Rule: it waits as our streams do in the mode that is measured, and copies the payload once each way, as they do. The
payload is never looked at, and nothing is kept. The echo that polls is stopped while it is not its turn, or it would
take the others' core.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import TYPE_CHECKING

import iceoryx2 as iox
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

BUFFER = 8
OVERFLOW = True
LARGEST_BYTES = 4 << 20


class Raw:
    """One end of a raw echo: sends on one service, receives on the other."""

    def __init__(self, config: iox.config.Config, name: str, *, server: bool, poll: bool) -> None:
        builder = iox.NodeBuilder.new().config(config).signal_handling_mode(iox.SignalHandlingMode.Disabled)
        self._node = builder.create(iox.ServiceType.Ipc)
        self._poll = poll
        there, back = (f"{name}_{way}" for way in (("back", "there") if server else ("there", "back")))
        frames, event = self._open(there)
        self._sender = frames.publisher_builder().initial_max_slice_len(LARGEST_BYTES).create()
        self._notifier = event.notifier_builder().create()
        frames, event = self._open(back)
        self._receiver = frames.subscriber_builder().create()
        self._listener = event.listener_builder().create()

    def _open(self, name: str) -> tuple[iox.PortFactoryPublishSubscribe, iox.PortFactoryEvent]:
        service = iox.ServiceName.new(name)
        frames = self._node.service_builder(service).publish_subscribe(iox.Slice[ctypes.c_uint8])
        frames = frames.subscriber_max_buffer_size(BUFFER).enable_safe_overflow(OVERFLOW)
        return frames.open_or_create(), self._node.service_builder(service).event().open_or_create()

    def send(self, address: int, size_bytes: int) -> None:
        """Copy and send."""
        sample = self._sender.loan_slice_uninit(size_bytes)
        ctypes.memmove(sample.payload_ptr, address, size_bytes)
        sample.assume_init().send()
        if not self._poll:
            self._notifier.notify()

    def receive(self) -> iox.Sample:
        """Wait for a sample."""
        while True:
            sample = self._receiver.receive()
            if sample is not None:
                return sample
            if not self._poll:
                self._listener.timed_wait(iox.Duration.from_secs(1))

    def serve(self) -> None:
        """Echo until it is ended. The first four bytes of a payload are its size."""
        while True:
            sample = self.receive()
            self.send(sample.payload_ptr, ctypes.c_uint32.from_address(sample.payload_ptr).value)


def start(
    config: iox.config.Config, name: str, *, poll: bool
) -> tuple[Callable[[int], None], Callable[[], None], Callable[[bool], None]]:
    """Start an echo in a process of its own; return one round trip, the end, and what stops it and lets it go on."""
    parent, ready = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        try:
            server = Raw(config, name, server=True, poll=poll)
            os.write(ready, b"!")
            server.serve()
        finally:
            os._exit(1)  # what the parent would clean up is the parent's
    os.read(parent, 1)
    end = Raw(config, name, server=False, poll=poll)

    def trip(size: int) -> None:
        array = content.setdefault(size, np.zeros(size, np.uint8))
        array[:4].view(np.uint32)[0] = size
        end.send(array.ctypes.data, size)
        end.receive()

    content: dict[int, np.ndarray[tuple[int], np.dtype[np.uint8]]] = {}

    def stop() -> None:
        os.kill(child, signal.SIGCONT)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        vars(end).clear()

    def turn(mine: bool) -> None:  # noqa: FBT001 - whose turn it is
        if poll:
            os.kill(child, signal.SIGCONT if mine else signal.SIGSTOP)

    turn(mine=False)
    return trip, stop, turn
