"""What a test sees of an instance's world without our own doors: the engine, files, published conditions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.contract import labels, names
from reconciler.contract.files import parse_assignments, parse_status, read_text
from tests.support.place import SHM, lying

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place


def containers(engine: docker.APIClient, place: Place, **filters: str) -> list[dict[str, Any]]:
    """Return the instance's containers as the engine lists them."""
    found: list[dict[str, Any]] = engine.containers(
        all=True, filters={"label": f"{labels.INSTANCE}={place.instance}", **filters}
    )
    return found


def running(engine: docker.APIClient, place: Place) -> list[str]:
    """Return the ids of the running containers."""
    return sorted(found["Id"] for found in containers(engine, place, status="running"))


def started_at(engine: docker.APIClient, place: Place) -> dict[str, str]:
    """Return when each running container was started, by id."""
    return {found: engine.inspect_container(found)["State"]["StartedAt"] for found in running(engine, place)}


def published(place: Place) -> list[dict[str, Any]]:
    """Return the statuses as the controller last put them in place."""
    text = place.paths.status.read_text() if place.paths.status.exists() else "[]"
    found: list[dict[str, Any]] = json.loads(text)
    return found


def conditions(place: Place, kind: str, condition: str) -> dict[str, dict[str, Any]]:
    """Return one condition of every object of a kind, by the object's name."""
    return {
        status["name"]: found
        for status in published(place)
        if status["kind"] == kind
        for found in status["conditions"]
        if found["type"] == condition
    }


def assigned(place: Place) -> set[str]:
    """Return the sessions that any instance is assigned."""
    texts = [read_text(path) or "" for path in place.paths.nodes.glob("*/assignments.json")]
    documents = [found for text in texts if (found := parse_assignments(text))]
    return {served.session for document in documents for served in document.sessions}


def served(place: Place) -> set[str]:
    """Return the sessions that any instance still serves, those it is letting go of included, as it last said."""
    statuses = [parse_status(read_text(path) or "") for path in place.paths.nodes.glob("*/status.json")]
    return {session.session for status in statuses if status for session in status.sessions}


def has_ended(place: Place, session: str) -> bool:
    """Whether nothing is left of a session: no condition, no endpoints, no instance that serves it or is to."""
    return not (
        session in conditions(place, "Session", "Ready")
        or (place.paths.endpoints / f"{session}.json").exists()
        or session in assigned(place) | served(place)
    )


def is_ready(place: Place) -> bool:
    """Whether there are pipelines and all are ready."""
    found = conditions(place, "Pipeline", "Ready").values()
    return bool(found) and {each["status"] for each in found} == {"True"}


def count_ready(place: Place, reason: str) -> int:
    """Return how many pipelines have a `Ready` condition with a reason."""
    return sum(found["reason"] == reason for found in conditions(place, "Pipeline", "Ready").values())


def rest_of(place: Place) -> tuple[list[str], list[str], list[tuple[str, int]]]:
    """Return what lies in the runtime directory and in shared memory, to be compared before and after.

    Status files carry counters, so names count for files, and names and sizes for shared memory.
    """
    files = sorted(str(path.relative_to(place.paths.runtime)) for path in lying(place.paths.runtime))
    leases = [name for name in files if name.startswith("sessions/")]
    prefix = names.shm_prefix(place.instance)
    shared = [(path.name, stat.st_size) for path, stat in lying(SHM).items() if path.name.startswith(prefix)]
    return ([name for name in files if "/." not in name], leases, sorted(shared))
