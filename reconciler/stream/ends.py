"""The ends of a session in the program that opened it, and their opening while the nodes still open theirs.

The controller tells where a session's ends are as soon as it has assigned it, and that it is ready once all nodes have
said so. Opening takes a while, so it is done in between.

Rule: opening early promises nothing: what could not be opened, or is not as it was told first, is opened once the
session is ready, and that counts.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Callable, List, Optional, Tuple

from reconciler.contract.values import replace
from reconciler.stream.errors import StreamError
from reconciler.stream.inbox import Inbox
from reconciler.stream.publisher import Publisher
from reconciler.stream.subscriber import Subscriber

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.contract.files import Endpoints
    from reconciler.stream.channel import Domain


class Ends:
    """What a program sends by and receives by. Whoever made it closes it."""

    def __init__(self, domain: Domain, endpoints: Endpoints) -> None:
        """Open all ends; on failure none stays open. The domain is taken over, and stays open then.

        Raises:
            TransportError: if iceoryx2 refuses.
        """
        self.domain = domain
        self.publishers: List[Publisher] = []
        subscribers: List[Subscriber] = []
        try:
            # In this order, since nodes make the channels they send on first: who meets another in the making of one
            # waits for 20 ms and more.
            self.publishers.extend(Publisher(domain, channel) for channel in endpoints.inputs)
            subscribers.extend(Subscriber(domain, channel, "") for channel in endpoints.outputs)
            self.inbox = Inbox(subscribers)
        except BaseException:
            for publisher in self.publishers:
                publisher.close()
            for subscriber in subscribers:
                subscriber.close()
            raise

    def close(self) -> None:
        """Close all ends, and the domain."""
        self.inbox.close()
        for publisher in self.publishers:
            publisher.close()
        self.domain.close()


class Opening:
    """Ends on their way. `root` says in which shared memory a session's channels lie, `join` makes a domain there."""

    def __init__(self, root: Callable[[Endpoints], Path], join: Callable[[Path], Domain]) -> None:
        """Begin with nothing open."""
        self._root = root
        self._join = join
        self._domain: Optional[Tuple[Path, Domain]] = None
        self._ends: Optional[Ends] = None
        self._told: Optional[Endpoints] = None

    def prepare(self, root: Path) -> None:
        """Make the domain, where it is likely to be needed."""
        with contextlib.suppress(StreamError, OSError):
            self._enter(root)

    def begin(self, endpoints: Endpoints) -> None:
        """Open what a session that is not ready yet is told to have, once."""
        if self._told is None and endpoints.inputs:
            self._told = _places(endpoints)
            with contextlib.suppress(StreamError, OSError):
                self._ends = Ends(self._enter(self._root(endpoints)), endpoints)

    def finish(self, endpoints: Endpoints) -> Ends:
        """Return the ends of a session that is ready.

        Raises:
            SessionNotReady: if its shared memory is another one than this program's.
            TransportError: if iceoryx2 refuses.
        """
        root = self._root(endpoints)
        ends, self._ends = self._ends, None
        if ends is not None and self._told == _places(endpoints):
            self._domain = None
            return ends
        if ends is not None:
            ends.close()
            self._domain = None
        ends = Ends(self._enter(root), endpoints)
        self._domain = None
        return ends

    def close(self) -> None:
        """Close what was opened and not handed out."""
        ends, self._ends = self._ends, None
        domain, self._domain = self._domain, None
        if ends is not None:
            ends.close()
        elif domain is not None:
            domain[1].close()

    def _enter(self, root: Path) -> Domain:
        """Return the domain at a root directory, made when it is not there."""
        if self._domain is not None and self._domain[0] != root:
            self._domain[1].close()
            self._domain = None
        if self._domain is None:
            self._domain = (root, self._join(root))
        return self._domain[1]


def _places(endpoints: Endpoints) -> Endpoints:
    """Return what decides which ends there are."""
    return replace(endpoints, ready=True, reason="", message="")
