"""The ends of one node in one session: what it reads, and where it emits.

Rule: an emitted frame carries the epoch and the cause of the frame that made the node emit it, so that a stream keeps
together and a frame emitted twice is recognised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Sequence, Set, Tuple, Type, TypeVar

from reconciler.contract import header as wire
from reconciler.contract import names
from reconciler.contract.files import InputStatus
from reconciler.contract.values import replace
from reconciler.stream import reserved
from reconciler.stream.inbox import Inbox
from reconciler.stream.publisher import Publisher
from reconciler.stream.subscriber import Subscriber

if TYPE_CHECKING:
    import logging

    from reconciler.contract.files import Channel, Served
    from reconciler.stream.channel import Domain
    from reconciler.stream.frame import Frame
    from reconciler.stream.subscriber import Arrival


F = TypeVar("F", bound="Frame")

_NEW = tuple.__new__


class Graph:
    """Opens the ends of one served session; closes all of them, in any order of failure."""

    def __init__(
        self,
        domain: Domain,
        served: Served,
        *,
        running: Callable[[], bool],
        log: logging.Logger,
        inputs: Sequence[Subscriber] = (),
    ) -> None:
        """Open all ends; `inputs` are reading ends that waited. `running` False makes a waiting sender give up.

        Raises:
            TransportError: if iceoryx2 refuses; then all ends are closed.
        """
        self._running = running
        self._log = log
        self._unconnected: Set[str] = set()
        self._outputs: Dict[str, Publisher] = {}
        self._seq: Dict[str, int] = {}
        subscribers = list(inputs)
        try:
            for channel in served.outputs:
                self._outputs[channel.port] = Publisher(domain, channel)
            for end in subscribers:
                end.begin()
            if not subscribers:
                subscribers = open_inputs(domain, served)
            self.inbox = Inbox(subscribers)
        except BaseException:
            for publisher in self._outputs.values():
                publisher.close()
            close_inputs(subscribers)
            raise

    @property
    def inputs(self) -> Tuple[InputStatus, ...]:
        """What has come by each connection."""
        return tuple(
            replace(untouched(end.channel), received=end.received, dropped=end.dropped, doubled=end.doubled)
            for end in self.inbox.subscribers
        )

    @property
    def sent(self) -> int:
        """Frames sent."""
        return sum(end.sent for end in self._outputs.values())

    @property
    def backlog(self) -> int:
        """Frames sent that some reliable reader has not finished."""
        return sum(end.backlog for end in self._outputs.values())

    def restart(self) -> None:
        """Count the frames of a new stream from 0."""
        self._seq.clear()

    def emit(self, port: str, frame: Frame, *, epoch: int, cause: wire.Cause) -> None:
        """Send a frame by a port, waiting for as long as the readers need.

        Raises:
            Closed: if the node is to stop while it waits.
        """
        end = self._outputs.get(port)
        if end is None:
            self._warn(port)
            return
        seq = self._seq.get(port, 0)
        end.send(frame, epoch=epoch, seq=seq, cause=cause, look=self._running)
        self._seq[port] = seq + 1

    def reserve(self, kind: Type[F], shape: Sequence[int], dtype: Any, content: Dict[str, Any], *, port: str) -> F:
        """Return a frame to be filled in the memory of a port; see `Publisher.reserve`."""
        end = self._outputs.get(port)
        if end is None:
            self._warn(port)
            return reserved.plain(kind, shape, dtype, content)
        return end.reserve(kind, shape, dtype, **content)

    @property
    def ports(self) -> Tuple[str, ...]:
        """The output ports that lead somewhere."""
        return tuple(self._outputs)

    def emit_everywhere(self, frame: Frame, *, epoch: int, cause: wire.Cause) -> None:
        """Send a frame by all ports."""
        for port in self._outputs:
            self.emit(port, frame, epoch=epoch, cause=cause)

    def await_mapped(self) -> None:
        """Wait until what was emitted is there for its readers even if this program is killed.

        Raises:
            Closed: if the node is to stop while it waits.
        """
        for end in self._outputs.values():
            if end.unmapped:
                end.await_mapped(running=self._running, look=self._look_after_readers)

    def look(self) -> None:
        """Follow what changes without waking anybody. Call about once a second."""
        self.inbox.renew()
        self._look_after_readers()

    def settled(self) -> bool:
        """Tell whether all readers have acknowledged all that was sent."""
        return all(end.settled() for end in self._outputs.values())

    def wake(self) -> None:
        """Wake the thread that waits here; from any thread."""
        self.inbox.wake()
        for end in self._outputs.values():
            end.wake()

    def close(self) -> None:
        """Close all ends."""
        self.inbox.close()
        for end in self._outputs.values():
            end.close()

    def _look_after_readers(self) -> None:
        for end in self._outputs.values():
            end.refresh()

    def _warn(self, port: str) -> None:
        if port not in self._unconnected:
            self._unconnected.add(port)
            known = ", ".join(repr(known) for known in self._outputs)
            self._log.warning("frames for output %r go nowhere: the pipeline connects %s", port, known)


def untouched(channel: Channel) -> InputStatus:
    """Return the status of a connection by which nothing has come."""
    return InputStatus(channel.node, channel.port, output=names.channel_port(channel.name))


def open_inputs(domain: Domain, served: Served, *, waits: bool = False) -> List[Subscriber]:
    """Open all reading ends of a served session, or none; see `Subscriber` for those that wait.

    Raises:
        TransportError: if iceoryx2 refuses.
    """
    ends: List[Subscriber] = []
    try:
        ends.extend(Subscriber(domain, channel, served.node, waits=waits) for channel in served.inputs)
    except BaseException:
        close_inputs(ends)
        raise
    return ends


def close_inputs(ends: Sequence[Subscriber]) -> None:
    """Close reading ends."""
    for end in ends:
        end.close()


def cause_of(arrival: Arrival, nth: int) -> wire.Cause:
    """Return the cause of the `nth` frame that is emitted for an arrival."""
    header = arrival.header
    return _NEW(wire.Cause, (arrival.end, header.incarnation, header.position, nth))
