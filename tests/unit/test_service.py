"""The channels of a graph that is no chain: who reads, by which port, how much is kept, and who is waited for."""

from __future__ import annotations

from reconciler.contract.files import LATEST, Channel
from reconciler.model.manifest import Connection, Pipeline
from reconciler.plan.service import endpoints, served
from tests.support.worlds import docker_node

FORK, ONE, TWO, JOIN, ASIDE = (docker_node(name) for name in ("fork", "one", "two", "join", "aside"))
GRAPH = Pipeline(
    "graph",
    "g1",
    (FORK, ONE, TWO, JOIN, ASIDE),
    (
        Connection("fork", "two", "left", "a", buffer=16),
        Connection("fork", "one", "left", buffer=4),
        Connection("fork", "join", "left", "newest", "latest", buffer=8),
        Connection("fork", "two", "right", "b", buffer=2),
        Connection("one", "join", to_input="first", buffer=64),
        Connection("two", "join", to_input="second"),
        Connection("two", "aside", "peeked", delivery="latest", buffer=1),
    ),
)
"""Two readers of a port that are waited for and one that is not; two ports of a node, two inputs, two ends."""

TO_FORK = Channel("s_fork_input", buffer=32, subscribers=3, readers=("fork",))
LEFT = Channel("s_fork_output.left", "fork", "left", buffer=16, subscribers=5, readers=("one", "two"))
RIGHT = Channel("s_fork_output.right", "fork", "right", buffer=2, subscribers=3, readers=("two",))
FROM_ONE = Channel("s_one_output", "one", buffer=64, subscribers=3, readers=("join",))
FROM_TWO = Channel("s_two_output", "two", buffer=32, subscribers=3, readers=("join",))
PEEKED = Channel("s_two_output.peeked", "two", "peeked", buffer=1, subscribers=3, readers=())
FROM_JOIN = Channel("s_join_output", "join", buffer=32, subscribers=3, readers=("",))
FROM_ASIDE = Channel("s_aside_output", "aside", buffer=32, subscribers=3, readers=("",))


def _read(channel: Channel, port: str = "", delivery: str = "reliable") -> Channel:
    """The receiving end of a channel: all limits are those of the sender."""
    return Channel(
        channel.name, channel.node, port, delivery, channel.buffer, channel.subscribers, readers=channel.readers
    )


def test_every_end_of_a_channel_is_told_the_same_limits_and_its_own_port() -> None:
    found = {node.id: (made.inputs, made.outputs) for node in GRAPH.nodes for made in [served(GRAPH, node, "s")]}
    assert found == {
        "fork": ((TO_FORK,), (LEFT, RIGHT)),
        "one": ((_read(LEFT),), (FROM_ONE,)),
        "two": ((_read(LEFT, "a"), _read(RIGHT, "b")), (FROM_TWO, PEEKED)),
        "join": ((_read(LEFT, "newest", LATEST), _read(FROM_ONE, "first"), _read(FROM_TWO, "second")), (FROM_JOIN,)),
        "aside": ((_read(PEEKED, delivery=LATEST),), (FROM_ASIDE,)),
    }


def test_a_session_begins_where_nothing_leads_to_and_ends_where_nothing_leads_on() -> None:
    found = endpoints(GRAPH, "s")
    assert (found.inputs, found.outputs) == ((TO_FORK,), (FROM_JOIN, FROM_ASIDE))


def test_two_ways_from_one_port_into_one_node_are_two_subscribers_and_one_reader() -> None:
    """Both are read, and the sender waits for the one node."""
    connections = (Connection("fork", "join", to_input="first"), Connection("fork", "join", to_input="second"))
    graph = Pipeline("graph", "g1", (FORK, JOIN), connections)
    (out,) = served(graph, FORK, "s").outputs
    assert (out.subscribers, out.readers) == (4, ("join",))
    assert [each.port for each in served(graph, JOIN, "s").inputs] == ["first", "second"]
