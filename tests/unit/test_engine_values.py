"""Between the engine's JSON and our values, without an engine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from docker.types import ContainerConfig, DeviceRequest, HostConfig, LogConfig, Mount, Ulimit
from docker.utils.ports import split_port

from reconciler.contract import labels, names
from reconciler.engine import containers, making, streams
from reconciler.model.instance import ContainerSpec
from reconciler.model.manifest import Limits, Volume

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


PLAIN = ContainerSpec("rc-x", "image:1", (("a", "b"),), (("A", "x=1 y"),), (), "none", "1:2")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"mounts": (Volume("/h", "/c", read_only=True), Volume("/h", "/d"))},
        {"limits": Limits(memory_bytes=1 << 26, nano_cpus=5, pids=7), "open_files": 100, "network": "bridge"},
        {"ports": ("8080:80", "127.0.0.1:8081:80", "[::1]:8082:81/udp", "53/udp")},
        {"gpus": -1},
        {"gpus": 2, "gpu_ids": ("GPU-1", "GPU-2")},
        {"ipc": "shareable", "shm_bytes": 1 << 30},
        {"ipc": "container:abc", "command": ()},
    ],
)
def test_a_container_s_body_is_the_one_docker_py_makes(changed: dict[str, Any]) -> None:
    spec = replace(PLAIN, **changed)
    assert said(making.body(spec)) == said(docker_s_body(spec))


def said(body: dict[str, Any]) -> dict[str, Any]:
    """Return what a body says: what is left out is null, false or empty."""
    found = {key: said(value) if isinstance(value, dict) else value for key, value in body.items()}
    return {key: value for key, value in found.items() if value or key in {"80/tcp", "81/udp", "53/udp"}}


def docker_s_body(spec: ContainerSpec) -> dict[str, Any]:
    """Return what docker-py sends for a wish."""
    bindings: dict[str, list[Any]] = {}
    for port in spec.ports:
        inner, outer = split_port(port)
        bindings.setdefault(inner[0], []).append(outer[0] if outer else None)
    gpus = {"device_ids": list(spec.gpu_ids)} if spec.gpu_ids else {"count": spec.gpus}
    host = HostConfig(
        version="1.41",
        mounts=[Mount(v.container_path, v.host_path, type="bind", read_only=v.read_only) for v in spec.mounts],
        init=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        tmpfs={"/tmp": making.TMP},
        restart_policy={"Name": "no"},
        network_mode=spec.network,
        mem_limit=spec.limits.memory_bytes,
        memswap_limit=spec.limits.memory_bytes,
        nano_cpus=spec.limits.nano_cpus,
        pids_limit=spec.limits.pids,
        port_bindings=bindings,
        ipc_mode=spec.ipc or None,
        shm_size=spec.shm_bytes or None,
        device_requests=[DeviceRequest(capabilities=[["gpu"]], **gpus)] if spec.gpus else None,
        ulimits=[Ulimit(name="nofile", soft=spec.open_files, hard=spec.open_files)] if spec.open_files else None,
        log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
    )
    config = ContainerConfig(
        "1.41",
        spec.image,
        list(spec.command),
        user=spec.user,
        environment=[f"{name}={value}" for name, value in spec.environment],
        labels=dict(spec.labels),
        ports=[(port.partition("/")[0], port.partition("/")[2] or "tcp") for port in bindings],
        entrypoint=[""],
        stop_timeout=5,
        host_config=host,
    )
    return dict(config)


def test_importing_the_door_does_not_import_docker() -> None:
    program = (
        "import sys, reconciler.engine, reconciler.actuate.execute, reconciler.observe.snapshot, reconciler.process;"
    )
    program += "sys.exit(any(name in sys.modules for name in ('docker', 'requests', 'iceoryx2', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
