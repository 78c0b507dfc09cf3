"""Between the engine's JSON and our values, without an engine."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from reconciler.contract import labels, names
from reconciler.engine import containers, streams

HASH = "ab" * 32
ENV = {labels.KIND: "env", labels.ENV_HASH: HASH, labels.INSTANCE: "default", labels.BASE: "sha256:base"}


def listed(**changed: Any) -> dict[str, Any]:
    """Return an entry of the engine's list of containers."""
    entry = {
        "Id": "c" * 64,
        "Names": ["/rc-default-abababababab"],
        "State": "running",
        "Status": "Up 3 minutes",
        "ImageID": "sha256:1",
        "Labels": {labels.KIND: "node", labels.NODE_HASH: "n", labels.ENV_HASH: "e"},
    }
    return {**entry, **changed}


@pytest.mark.parametrize(
    ("state", "status", "exit_code"),
    [
        ("running", "Up 3 minutes", None),
        ("running", "Up Less than a second (healthy)", None),
        ("created", "Created", None),
        ("paused", "Up 2 hours (Paused)", None),
        ("exited", "Exited (0) Less than a second ago", 0),
        ("exited", "Exited (137) 3 weeks ago", 137),
        ("dead", "Dead", None),
        ("removing", "Removal In Progress", None),
        ("restarting", "Restarting (1) 5 seconds ago", None),
    ],
)
def test_exit_code_is_read_from_the_status_text(state: str, status: str, exit_code: int | None) -> None:
    found = containers.container(listed(State=state, Status=status))
    assert (found.state, found.exit_code) == (state, exit_code)


def test_own_name_is_told_from_links_and_may_be_missing() -> None:
    assert containers.container(listed(Names=["/other/alias", "/rc-default-x"])).name == "rc-default-x"
    assert containers.container(listed(Names=None)).name == "c" * 12


def test_container_without_a_kind_of_ours_is_left_out() -> None:
    kinds = ["node", "env", "build", "sandbox", ""]
    found = [containers.container(listed(Names=[f"/{kind}"], Labels={labels.KIND: kind})) for kind in kinds]
    assert [container.kind for container in containers.ours(found)] == ["build", "node", "sandbox"]


def test_environment_image_is_ours_by_label_and_name() -> None:
    raw = {"Id": "sha256:i", "RepoTags": [names.env_image(HASH)], "Labels": ENV}
    found = containers.image(raw)
    assert (found.env_hash, found.base_id, found.instance) == (HASH, "sha256:base", "default")


def test_image_that_a_person_built_upon_ours_is_theirs() -> None:
    raw = {"Id": "sha256:i", "RepoTags": ["mine:1"], "RepoDigests": None, "Labels": ENV}
    found = containers.image(raw)
    assert (found.tags, found.env_hash, found.instance) == (("mine:1",), "", "")


def test_base_may_be_named_by_digest() -> None:
    raw = {"Id": "sha256:i", "RepoTags": None, "RepoDigests": ["python@sha256:d"], "Labels": None}
    assert containers.images([containers.image(raw)])[0].tags == ("python@sha256:d",)


def test_image_without_any_name_is_left_out_unless_it_is_ours() -> None:
    nameless = {"Id": "sha256:1", "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"], "Labels": None}
    ours = {"Id": "sha256:2", "RepoTags": ["<none>:<none>"], "RepoDigests": None, "Labels": ENV}
    found = containers.images([containers.image(nameless), containers.image(ours)])
    assert [image.id for image in found] == ["sha256:2"]


@pytest.mark.parametrize(
    ("stamp", "time_ns"),
    [
        ("1970-01-01T00:00:01.000000002Z", 1_000_000_002),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:01:00Z", 60_000_000_000),
        ("no time", 0),
    ],
)
def test_times_keep_their_nanoseconds(stamp: str, time_ns: int) -> None:
    assert streams.nanoseconds(stamp) == time_ns


def test_time_for_since_is_exact() -> None:
    assert streams.seconds_text(1_795_481_059_224_381_214) == "1795481059.224381214"


def test_importing_the_door_does_not_import_docker() -> None:
    program = (
        "import sys, reconciler.engine, reconciler.actuate.execute, reconciler.observe.snapshot, reconciler.process;"
    )
    program += "sys.exit(any(name in sys.modules for name in ('docker', 'requests', 'iceoryx2', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
