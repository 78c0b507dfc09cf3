"""Objects as `get` and `describe` show them: `kind`, `metadata`, `spec`, `status`, in the manner of Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.cli import specs
from reconciler.cli.console import stamp

if TYPE_CHECKING:
    from reconciler.contract.files import InputStatus
    from reconciler.controller.event import Event
    from reconciler.controller.view import Seen
    from reconciler.model.desired import Desired
    from reconciler.model.status import ObjectStatus

Item = dict[str, Any]


def of_kind(seen: Seen, kind: str) -> list[Item]:
    """Return every `Pipeline`, `Node` or `Session` as an item."""
    found = [_item(status, seen.desired) for status in seen.statuses if status.kind == kind]
    for item in found if kind == "Session" else ():
        item["status"]["connections"] = _connections(seen, item["metadata"]["name"])
    return found


def connection(counted: InputStatus) -> Item:
    """Return what has come over a connection, with the manifest's names for its ends; the session's own is null."""
    return {
        "from": counted.node or None,
        "fromOutput": counted.output or None,
        "toInput": counted.port or None,
        "received": counted.received,
        "dropped": counted.dropped,
        "doubled": counted.doubled,
    }


def _connections(seen: Seen, session: str) -> list[Item]:
    """Return what has come over each connection of a session to a node, as the nodes that serve it have counted."""
    told = [files.status for files in seen.observed.node_files if files.status is not None]
    served = [each for status in told for each in status.sessions if each.session == session]
    served.sort(key=lambda each: each.node)
    return [{"to": each.node, **connection(counted)} for each in served for counted in each.inputs]


def event_item(event: Event) -> Item:
    """Return an event of the journal as an item."""
    status = {"time": stamp(event.at_s), "type": event.kind, "reason": event.reason, "message": event.message}
    return {"kind": "Event", "metadata": {"name": event.object}, "spec": {}, "status": {**status, "conditions": []}}


def images(seen: Seen) -> list[Item]:
    """Return the environment images of the instance."""
    return [
        {
            "kind": "Image",
            "metadata": {"name": image.tags[0] if image.tags else image.id},
            "spec": {},
            "status": {"id": image.id, "envHash": image.env_hash, "base": image.base_id, "conditions": []},
        }
        for image in seen.observed.images
        if image.env_hash
    ]


def services(seen: Seen) -> list[Item]:
    """Return the iceoryx2 services of the instance."""
    return [
        {
            "kind": "Service",
            "metadata": {"name": service.name},
            "spec": {},
            "status": {"nodes": service.nodes, "pattern": service.id.split(":", 1)[0], "conditions": []},
        }
        for service in seen.observed.shm_services
    ]


def _item(status: ObjectStatus, desired: Desired) -> Item:
    spec, metadata = _written(status, desired)
    shown: dict[str, Any] = {"conditions": [_condition(condition) for condition in status.conditions]}
    if status.kind == "Node":
        shown |= {
            "instance": status.instance,
            "container": status.container,
            "owners": list(status.owners),
            "restarts": status.restarts,
            "sessions": list(status.sessions),
        }
    return {"kind": status.kind, "metadata": {"name": status.name, **metadata}, "spec": spec, "status": shown}


def _condition(condition: Any) -> Item:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": stamp(condition.transition_s),
        "observedGeneration": condition.generation[:12],
    }


def all_of(seen: Seen, kind: str) -> list[Item]:
    """Return every object of a kind, by its name in the singular and without capitals."""
    match kind:
        case "image":
            return images(seen)
        case "service":
            return services(seen)
        case _:
            return of_kind(seen, kind.capitalize())


def _written(status: ObjectStatus, desired: Desired) -> tuple[Item, Item]:
    """Return spec and further metadata of an object."""
    pipeline = next((found for found in desired.pipelines if found.name == status.pipeline), None)
    if status.kind == "Session":
        kind = next((session.kind for session in desired.sessions if session.name == status.name), "")
        return {"pipeline": status.pipeline, "kind": kind}, {}
    if pipeline is None:
        return {}, {}
    if status.kind == "Pipeline":
        marks = {"labels": dict(pipeline.labels), "annotations": dict(pipeline.annotations)}
        return specs.of_pipeline(pipeline), {
            **marks,
            "generation": pipeline.generation[:12],
            "origin": str(pipeline.origin),
        }
    node = next(node for node in pipeline.nodes if f"{pipeline.name}/{node.id}" == status.name)
    return specs.of_node(node), {"pipeline": pipeline.name}


def ready(item: Item) -> Item:
    """Return an item's `Ready` condition, or an empty one."""
    found = [condition for condition in item["status"]["conditions"] if condition["type"] == "Ready"]
    return found[0] if found else {"status": "Unknown", "reason": "", "message": "", "lastTransitionTime": ""}
