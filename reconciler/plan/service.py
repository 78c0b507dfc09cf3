"""The channels of a session, computed from the graph: names, limits, who reads, who is waited for.

Rule: every end of a channel is told the same limits, since whoever comes first creates it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import names
from reconciler.contract.files import Channel, Endpoints, Served
from reconciler.contract.values import named, replace
from reconciler.plan.again import remembered
from reconciler.plan.canonical import digest

if TYPE_CHECKING:
    from reconciler.model.manifest import Connection, Node, Pipeline

TAPS = 2
"""Subscriber slots kept free on every channel for onlookers, which never slow a stream down."""

SESSION_BUFFER = 32
"""Frames in flight between a session's own program and the graph."""


@remembered
def served(pipeline: Pipeline, node: Node, session: str) -> Served:
    """Return one session as the instance of one node shall serve it."""
    made = Served(
        session=session,
        pipeline=pipeline.name,
        node=node.id,
        params=node.params,
        inputs=_inputs(pipeline, node, session),
        outputs=_outputs(pipeline, node, session),
        on_error=node.on_error,
        stall_timeout_s=node.stall_timeout_s,
    )
    return replace(made, generation=digest("served", named(made))[:12])


@remembered
def endpoints(pipeline: Pipeline, session: str) -> Endpoints:
    """Return where a session begins and ends, not saying yet whether it is ready."""
    return Endpoints(
        session=session,
        pipeline=pipeline.name,
        inputs=tuple(_fed_by_session(node, session) for node in pipeline.entries()),
        outputs=tuple(_output(pipeline, node.id, "", session) for node in pipeline.exits()),
    )


def _inputs(pipeline: Pipeline, node: Node, session: str) -> tuple[Channel, ...]:
    incoming = [connection for connection in pipeline.connections if connection.target == node.id]
    if not incoming:
        return (_fed_by_session(node, session),)
    return tuple(_input(pipeline, connection, session) for connection in incoming)


def _input(pipeline: Pipeline, connection: Connection, session: str) -> Channel:
    whole = _output(pipeline, connection.source, connection.from_output, session)
    return Channel(
        name=whole.name,
        node=connection.source,
        port=connection.to_input,
        delivery=connection.delivery,
        buffer=whole.buffer,
        subscribers=whole.subscribers,
        readers=whole.readers,
    )


def _fed_by_session(node: Node, session: str) -> Channel:
    return Channel(
        name=names.input_channel(session, node.id),
        buffer=SESSION_BUFFER,
        subscribers=1 + TAPS,
        readers=(node.id,),
    )


def _outputs(pipeline: Pipeline, node: Node, session: str) -> tuple[Channel, ...]:
    ports = {connection.from_output for connection in pipeline.connections if connection.source == node.id}
    return tuple(_output(pipeline, node.id, port, session) for port in sorted(ports or {""}))


def _output(pipeline: Pipeline, node: str, port: str, session: str) -> Channel:
    """Return the emitting end of a channel; a node that leads nowhere emits to the session's own program."""
    leaving = [c for c in pipeline.connections if c.source == node]
    outgoing = [c for c in leaving if c.from_output == port]
    readers = sorted({c.target for c in outgoing if c.delivery == "reliable"}) if leaving else [""]
    return Channel(
        name=names.output_channel(session, node, port),
        node=node,
        port=port,
        buffer=max((c.buffer for c in outgoing), default=SESSION_BUFFER),
        subscribers=max(len(outgoing), 1) + TAPS,
        readers=tuple(readers),
    )
