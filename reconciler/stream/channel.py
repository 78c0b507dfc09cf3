"""Channels: a publish-subscribe service for frames and an event service of the same name to wake readers.

Rule: every end opens a channel with the same limits, computed from the graph, because whoever comes first creates it.
Overflow drops the oldest; that a reliable reader is never overrun is the sender's business (`credit.py`), and so is
to keep what a reader may want again (`keeper.py`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Optional, TypeVar

import iceoryx2 as iox

from reconciler.contract import names
from reconciler.contract.header import BLOCK_BYTES, Block, FrameHeader
from reconciler.stream import forks, position
from reconciler.stream.errors import TransportError

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.contract.files import Channel

T = TypeVar("T")

MAX_BORROWED = 16
"""Samples one subscriber can hold at once; beyond, received payloads are copied."""

MAX_LOANS = 4
"""Frames that can be reserved at once; one more loan is for what is sent meanwhile."""

MAX_PUBLISHERS = 4
"""One sends; a second may be starting in its place, and killed ones count until they are swept."""

SPARE_SUBSCRIBERS = 4
"""Room for readers that were killed and are not swept yet, and for those that start in their place."""

OVERFLOW = True
OPEN_TIMEOUT_S = 5.0

_PASSING = (
    "AlreadyExists",
    "CorruptedState",
    "DoesNotExist",
    "HangsInCreation",
    "IsBeingCreatedByAnotherInstance",
    "MarkedForDestruction",
    "SystemInFlux",
)
"""iceoryx2's names for what passes by itself: its errors carry no other code than the name of the variant."""

iox.set_log_level(iox.LogLevel.Fatal)


@dataclass(frozen=True)
class Services:
    """The two services of an open channel."""

    frames: iox.PortFactoryPublishSubscribe
    event: iox.PortFactoryEvent


class Domain:
    """A program's iceoryx2 node within one instance's root directory and file prefix.

    The node's name tells who it was when it is found dead. Ends are opened and used from any thread.
    """

    def __init__(self, root: Path, prefix: str, name: str, *, sweeps: bool = True) -> None:
        """Create the node. Where it `sweeps`, iceoryx2 cleans up after the dead now and when it is closed.

        For that it looks at every node there is, each time, which takes 16 ms where there are a hundred. Where a
        controller does it, programs need not. In a pipeline's own shared memory it does not, and all sweep.

        Raises:
            TransportError: if iceoryx2 refuses.
        """
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._config = config = iox.config.default()
        config.global_cfg.prefix = iox.FileName.new(prefix)
        config.global_cfg.root_path = iox.Path.new(str(root))
        sweeps = sweeps or str(root) == names.PRIVATE_SHM_ROOT
        config.global_cfg.node.cleanup_dead_nodes_on_creation = sweeps
        config.global_cfg.node.cleanup_dead_nodes_on_destruction = sweeps
        builder = iox.NodeBuilder.new().name(iox.NodeName.new(name[:128])).config(config)
        builder = builder.signal_handling_mode(iox.SignalHandlingMode.Disabled)
        self._node: Optional[iox.Node] = _patiently(lambda: builder.create(iox.ServiceType.Ipc), f"node {name}")
        forks.guard(self)

    @property
    def positions(self) -> Path:
        """Directory of the readers' positions."""
        return self.root / "positions"

    def open(self, channel: Channel) -> Services:
        """Open a channel, or create it.

        Raises:
            TransportError: if iceoryx2 refuses.
        """
        return _patiently(lambda: self._open(channel), f"channel {channel.name}")

    def left(self, channel: Channel) -> None:
        """Note that an end was closed: where it was the last, the readers' positions have no meaning any more."""
        pattern = iox.MessagingPattern.PublishSubscribe
        try:
            name = iox.ServiceName.new(channel.name)
            there = iox.Service.does_exist(name, self._config, pattern, iox.ServiceType.Ipc)
        except iox.ServiceDetailsError:
            return
        if not there:
            for kept in self.positions.glob(position.path(self.positions, channel.name, "*").name):
                kept.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the node. Ends that are still open keep what they need."""
        self._node = None

    def _open(self, channel: Channel) -> Services:
        if self._node is None:
            msg = f"channel {channel.name} asked for after the end: open a new session"
            raise TransportError(msg)
        name = iox.ServiceName.new(channel.name)
        subscribers = channel.subscribers + SPARE_SUBSCRIBERS
        keepers = MAX_PUBLISHERS if keeps(channel) else 0
        frames = self._node.service_builder(name).publish_subscribe(iox.Slice[Block])
        frames = frames.user_header(FrameHeader).payload_alignment(iox.Alignment.new(BLOCK_BYTES))
        frames = frames.max_publishers(MAX_PUBLISHERS).max_subscribers(subscribers + keepers)
        frames = frames.subscriber_max_buffer_size(depth(channel)).history_size(0)
        frames = frames.subscriber_max_borrowed_samples(MAX_BORROWED).enable_safe_overflow(OVERFLOW)
        event = self._node.service_builder(name).event().max_listeners(subscribers)
        event = event.max_notifiers(subscribers + 2 * MAX_PUBLISHERS)
        nodes = subscribers + 2 * MAX_PUBLISHERS
        return Services(frames.max_nodes(nodes).open_or_create(), event.max_nodes(nodes).open_or_create())


def keeps(channel: Channel) -> bool:
    """Tell whether a sender keeps frames for readers that come back: a program that is gone does not."""
    return any(channel.readers)


def depth(channel: Channel) -> int:
    """Return how many frames lie in a reader's queue before the oldest is dropped.

    What is sent again comes behind what is still there, so where that can happen there is room for both.
    """
    return 2 * channel.buffer if keeps(channel) else channel.buffer


def slots(channel: Channel) -> int:
    """Return how many frames one sender's memory has to hold: in queues the last ones, and what readers borrow."""
    readers = channel.subscribers + SPARE_SUBSCRIBERS
    return depth(channel) + (readers + 1) * MAX_BORROWED + MAX_LOANS + 1


def _patiently(create: Callable[[], T], what: str) -> T:
    """Create something that another program may be cleaning up or creating at the same time."""
    deadline = time.monotonic() + OPEN_TIMEOUT_S
    pause_s = 0.001
    while True:
        try:
            return create()
        except _REFUSALS as error:
            passing = any(name in str(error) for name in _PASSING)
            if not passing or time.monotonic() > deadline:
                msg = f"iceoryx2 refuses {what}: {error}"
                raise TransportError(msg) from error
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.1)


def interrupted(error: iox.ListenerWaitError) -> bool:
    """Tell whether a wait ended because the program received a signal."""
    return "Interrupt" in str(error)


_REFUSALS = (
    iox.NodeCreationFailure,
    iox.PublishSubscribeOpenOrCreateError,
    iox.EventOpenOrCreateError,
)
