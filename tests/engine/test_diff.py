"""`diff` says what is then really done and why: same objects, same actions, in the same order for each object.

A cause is held for the first action on an object; later ones are those of the moment in which they are seen. Endpoints
are written again as a session comes closer to being ready, so an action repeated at once counts as one.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import typing
from typing import TYPE_CHECKING

from reconciler.contract import labels, names
from reconciler.model import action
from tests.support.place import SHM, lying
from tests.support.world import containers, started_at

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from tests.support.place import Place

Done = dict[str, list[str]]
"""By object: why the first action on it, then the actions in order."""


def _folded(found: list[tuple[str, str, str]]) -> Done:
    """Return what is done to each object and why at first, repetitions folded. Each is object, action, cause."""
    by_object: Done = {}
    for name, verb, cause in found:
        by_object.setdefault(name, [cause]).append(verb)
    return {name: [verb for verb, _ in itertools.groupby(verbs)] for name, verbs in by_object.items()}


def _foretold(place: Place) -> Done:
    said = place.reconcile("diff", "--allow-empty", "-f", str(place.manifests), "-o", "json")
    assert said.returncode == 1, said.stderr
    return _folded([(found["object"], found["action"], found["cause"]) for found in json.loads(said.stdout)["actions"]])


def _events(place: Place) -> list[dict[str, str]]:
    lines = place.reconcile("events", "-o", "json").stdout.splitlines()
    return [{"object": item["metadata"]["name"], **item["status"]} for item in map(json.loads, lines)]


def _done(place: Place) -> Done:
    """Converge, and return what the journal says was done."""
    before = len(_events(place))
    said = place.reconcile("--once", "--allow-empty", "-f", str(place.manifests))
    assert said.returncode == 0, said.stderr
    events = _events(place)[before:]
    assert not [event for event in events if event["type"] == "Warning"]
    actions = {kind.__name__ for kind in typing.get_args(action.Action)}
    told = [(e["object"], _spaced(e["reason"]), _cause(e["message"])) for e in events if e["reason"] in actions]
    return _folded(told)


def _cause(message: str) -> str:
    return message.partition(", because ")[2]


def _spaced(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


Tree = dict[str, tuple[int, int, int]]


def _on_disk(place: Place) -> Tree:
    """Return inode, size and time of change of all that the instance has on disk and in shared memory.

    Nodes write their own status whenever they like.
    """
    there = {**lying(place.base), **{path: stat for path, stat in lying(SHM).items() if _is_ours(place, path)}}
    stats = {str(path): stat for path, stat in there.items() if not _is_written_by_nodes(place, path)}
    return {path: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def _is_written_by_nodes(place: Place, path: Path) -> bool:
    """Whether nodes write it while they run: status, its directory (whose time of change moves), mapped positions."""
    nodes = place.paths.nodes
    return path.parent in {nodes, place.paths.shm_root / "positions"} or (
        nodes in path.parents and "status.json" in path.name
    )


def _is_ours(place: Place, path: Path) -> bool:
    return path.name.startswith(names.shm_prefix(place.instance))


def test_diff_writes_nothing_anywhere(place: Place, client: docker.APIClient) -> None:
    manifest = place.copy("echo") / "echo.yaml"
    before = _on_disk(place)
    assert _foretold(place)
    assert _on_disk(place) == before
    assert place.once().returncode == 0
    code = manifest.parent / "nodes" / "echo.py"
    code.write_text(code.read_text() + "\n# edited\n")
    before, running = _on_disk(place), started_at(client, place)
    assert _foretold(place)
    manifest.write_text("a: [b\n")
    said = place.reconcile("diff", "-f", str(place.manifests))
    assert said.returncode == 2
    manifest.unlink()
    assert _foretold(place)
    after = _on_disk(place)
    for path in (str(manifest), str(manifest.parent)):
        before.pop(path)
        after.pop(path, None)
    assert after == before
    assert started_at(client, place) == running


def test_diff_says_what_is_then_done(place: Place) -> None:
    manifest = place.copy("echo") / "echo.yaml"
    foretold = _foretold(place)
    assert _done(place) == foretold
    code = manifest.parent / "nodes" / "echo.py"
    code.write_text(code.read_text() + "\n# edited\n")
    foretold = _foretold(place)  # a replacement: beside, over, away
    assert {tuple(verbs[1:]) for name, verbs in foretold.items() if name.startswith("container/")} == {
        ("create container", "start container"),
        ("stop container", "remove container"),
    }
    assert _done(place) == foretold
    manifest.unlink()
    foretold = _foretold(place)
    assert _done(place) == foretold
    assert place.reconcile("diff", "--allow-empty", "-f", str(place.manifests)).stdout == "no difference\n"


TWO = """
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: echo}
spec:
  nodes:
    - {id: kept, nodeType: echo:Echo, source: ./nodes, docker: {pythonVersion: "3.11", resourceLimits: {pids: 64}}}
    - {id: gone, nodeType: echo:Echo, source: ./nodes, docker: {pythonVersion: "3.11", env: {OTHER: "1"}}}
  connections:
    - {from: kept, to: gone}
"""


def test_diff_says_how_drift_is_then_repaired(place: Place, client: docker.APIClient) -> None:
    """A limit changed and a container removed, by hand."""
    place.copy("echo").joinpath("echo.yaml").write_text(TWO)
    assert place.once().returncode == 0
    by_node = {found["Labels"][labels.NODE]: found for found in containers(client, place)}
    hand = ("docker", "update", "--pids-limit", "99", by_node["kept"]["Id"])
    subprocess.run(hand, check=True, capture_output=True)
    client.remove_container(by_node["gone"]["Id"], force=True)
    foretold = _foretold(place)
    objects = {node: f"container/{found['Names'][0].lstrip('/')}" for node, found in by_node.items()}
    assert foretold[objects["kept"]] == ["limits differ: pids is 99 and shall be 64", "update limits"]
    assert foretold[objects["gone"]] == ["container is missing", "create container", "start container"]
    assert _done(place) == foretold
