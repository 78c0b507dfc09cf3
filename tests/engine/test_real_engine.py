"""The real engine passes the checks that the model passes, and does what no model can show."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from reconciler import engine as door
from reconciler.actuate.files import prepare, write_assignments
from reconciler.contract import labels, names
from reconciler.contract.files import Assignments
from reconciler.engine.client import Engine
from reconciler.model.errors import EngineError, EngineUnavailableError
from reconciler.model.instance import EnvImage
from reconciler.model.manifest import Docker, Limits, Node, Pipeline, Source, Volume
from reconciler.model.observed import Site
from reconciler.observe.limits import limits_of
from reconciler.plan.container import container_spec
from tests.support.engine_checks import STAY, EngineChecks, Rig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RealHand:
    """A person at the shell, who also tidies up."""

    engine: Engine
    image: str
    made: list[str] = field(default_factory=list)

    def stranger(self, name: str) -> None:
        self.engine.client.create_container(self.image, name=name, command=list(STAY))
        self.made.append(name)

    def strangers(self) -> tuple[str, ...]:
        listed = {name for c in self.engine.client.containers(all=True) for name in c["Names"]}
        return tuple(name for name in self.made if f"/{name}" in listed)

    def pause(self, container: str) -> None:
        self.engine.client.pause(container)

    def limits(self, container: str) -> Limits | None:
        return limits_of(container)

    def disconnect(self, container: str, network: str) -> None:
        self.engine.client.disconnect_container_from_network(container, network)

    def kill(self, container: str) -> None:
        self.engine.client.kill(container)
        self.await_end(container)

    def await_end(self, container: str) -> None:
        self.engine.client.wait(container, timeout=30)

    def tidy(self) -> None:
        for name in self.made:
            self.engine.client.remove_container(name, force=True)


@pytest.fixture
def rig(engine: Engine, instance: str, base: str) -> Iterator[Rig]:
    hand = RealHand(engine, base)
    yield Rig(engine, instance, base, hand)
    hand.tidy()


def site_below(place: Path, instance: str) -> Site:
    """Return an instance's place on the host."""
    return Site(
        instance=instance,
        uid=1234,
        gid=5678,
        python="python",
        nodes_dir=str(place / "run" / "nodes"),
        sources_dir=str(place / "state" / "sources"),
        logs_dir=str(place / "state" / "logs"),
        shm_root=str(place / "run" / "iox2"),
        shm_prefix="p_",
        runtime_version="1",
        version="1",
    )


def shell(rig: Rig, text: str) -> str:
    """Run a shell command in a container to its end and return the container."""
    found = rig.created(command=("sh", "-c", text))
    rig.engine.start(found.id)
    rig.hand.await_end(found.id)
    return found.id


class TestRealEngine(EngineChecks):
    def test_limits_are_hard_and_docker_does_not_restart(self, rig: Rig, engine: Engine) -> None:
        limits = Limits(memory_bytes=64 << 20, nano_cpus=500_000_000, pids=32)
        rig.engine.create(replace(rig.spec(), limits=limits))
        host = engine.client.inspect_container(rig.one().id)["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
        assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 32)
        assert host["RestartPolicy"]["Name"] == "no"
        assert host["Init"] is True
        assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}

    def test_mounts_are_those_asked_for_and_no_other(self, rig: Rig, engine: Engine, tmp_path: Path) -> None:
        volumes = (Volume("/dev/shm", "/dev/shm"), Volume(str(tmp_path), "/opt/reconciler/source", read_only=True))
        rig.engine.create(replace(rig.spec(), mounts=volumes))
        found = engine.client.inspect_container(rig.one().id)
        mounts = {(m["Type"], m["Source"], m["Destination"], m["RW"]) for m in found["Mounts"]}
        assert mounts == {
            ("bind", "/dev/shm", "/dev/shm", True),
            ("bind", str(tmp_path), "/opt/reconciler/source", False),
        }

    def test_missing_host_path_is_an_error_and_not_created(self, rig: Rig, tmp_path: Path) -> None:
        missing = tmp_path / "never"
        with pytest.raises(EngineError, match="never"):
            rig.engine.create(replace(rig.spec(), mounts=(Volume(str(missing), "/data"),)))
        assert not missing.exists()

    def test_ports_are_bound(self, rig: Rig, engine: Engine) -> None:
        rig.engine.create(replace(rig.spec(), ports=("127.0.0.1:18080:80", "53/udp"), network="bridge"))
        found = engine.client.inspect_container(rig.one().id)["HostConfig"]["PortBindings"]
        assert found["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "18080"}]
        assert found["53/udp"] == [{"HostIp": "", "HostPort": ""}]

    def test_environment_user_and_labels_arrive(self, rig: Rig, engine: Engine) -> None:
        rig.engine.create(replace(rig.spec(), environment=(("A", "x=1 y"),), user="1234:5678"))
        config = engine.client.inspect_container(rig.one().id)["Config"]
        assert "A=x=1 y" in config["Env"]
        assert config["User"] == "1234:5678"
        assert dict(rig.spec().labels).items() <= config["Labels"].items()
        assert config["StopTimeout"] == 5

    def test_logs_tell_streams_apart_and_keep_order(self, rig: Rig) -> None:
        container = shell(rig, "echo one; echo two >&2; printf three")
        lines = list(rig.engine.logs(container))
        assert {(line.stream, line.text) for line in lines} == {
            ("stdout", "one"),
            ("stderr", "two"),
            ("stdout", "three"),
        }
        out = [line for line in lines if line.stream == "stdout"]  # the engine copies each stream at a pace of its own
        assert [line.text for line in out] == ["one", "three"]
        assert [line.time_ns for line in out] == sorted(line.time_ns for line in out)
        assert lines[0].time_ns > 1_600_000_000 * 10**9

    def test_logs_since_and_tail(self, rig: Rig) -> None:
        container = shell(rig, "for n in 1 2 3 4 5; do echo $n; done")
        lines = list(rig.engine.logs(container))
        assert [line.text for line in rig.engine.logs(container, tail=2)] == ["4", "5"]
        later = [line.text for line in rig.engine.logs(container, since_ns=lines[3].time_ns)]
        assert later == ["4", "5"]

    def test_long_line_is_one_line(self, rig: Rig) -> None:
        container = shell(rig, "head -c 50000 /dev/zero | tr '\\0' x; echo")
        assert [len(line.text) for line in rig.engine.logs(container)] == [50_000]

    def test_followed_logs_end_with_the_container(self, rig: Rig) -> None:
        found = rig.created(command=("sh", "-c", "echo ready; exec sleep 600"))
        rig.engine.start(found.id)
        lines = rig.engine.logs(found.id, follow=True)
        assert next(lines).text == "ready"
        rig.hand.kill(found.id)
        assert list(lines) == []

    def test_logs_of_what_is_gone_say_so(self, rig: Rig) -> None:
        with pytest.raises(EngineError) as caught:
            rig.engine.logs("f" * 64)
        assert caught.value.status == 404

    def test_events_of_ours_wake_and_the_stream_can_be_closed(self, rig: Rig, engine: Engine) -> None:
        with closing(engine.events(rig.instance)) as events:
            rig.hand.stranger(f"{rig.instance}-stranger")
            rig.engine.create(rig.spec())
            assert next(events) == f"container {rig.spec().name} create"
        assert list(events) == []

    def test_container_that_inherits_our_labels_is_a_stranger(self, rig: Rig, engine: Engine) -> None:
        found = rig.created()
        changes = [f'LABEL "{labels.KIND}"="env"', f'LABEL "{labels.INSTANCE}"="{rig.instance}"']
        image = engine.client.commit(found.id, f"reconciler-test/{rig.instance}:1", changes=changes)["Id"]
        engine.client.create_container(image, name=f"{rig.instance}-person", command=["true"])
        assert [container.name for container in rig.engine.list_containers(rig.instance)] == [found.name]

    def test_image_of_no_registry_can_t_be_pulled(self, rig: Rig) -> None:
        with pytest.raises(EngineError, match=r"can't pull registry\.invalid/nothing:1") as caught:
            rig.engine.pull("registry.invalid/nothing:1")
        assert (caught.value.reason, caught.value.retryable) == ("PullFailed", True)

    def test_node_container_has_the_paths_and_limits_it_needs_and_no_other(
        self, rig: Rig, engine: Engine, tmp_path: Path
    ) -> None:
        """FR-005 and FR-014, from the manifest's words to the engine's."""
        site = site_below(tmp_path, rig.instance)
        limits = Limits(memory_bytes=64 << 20, nano_cpus=250_000_000, pids=16)
        docker = Docker("3.11", limits=limits, volumes=(Volume(str(tmp_path), "/models", read_only=True),))
        node = Node("speech", "speech:Detect", Source(str(tmp_path), "d" * 64), docker=docker)
        image = EnvImage(rig.image, "e" * 64, rig.image, "sha256:b", "3.11", (), (), "1")
        wish = container_spec(
            node, docker, pipeline=Pipeline("voice", "1", (node,)), image=image, site=site, hashed="f" * 64
        )
        prepare(site)
        write_assignments(site, Assignments(wish.name, "g"))
        (tmp_path / "state" / "sources" / ("d" * 64)).mkdir()
        rig.engine.create(wish)
        found = engine.client.inspect_container(rig.one().id)
        assert {(mount["Type"], mount["Source"], mount["Destination"], mount["RW"]) for mount in found["Mounts"]} == {
            ("bind", "/dev/shm", "/dev/shm", True),
            ("bind", site.shm_root, site.shm_root, True),
            ("bind", f"{site.nodes_dir}/{wish.name}", names.CONTAINER_NODE_DIR, True),
            ("bind", f"{site.sources_dir}/{'d' * 64}", names.CONTAINER_SOURCE_DIR, False),
            ("bind", str(tmp_path), "/models", False),
        }
        host = found["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
        assert (host["NanoCpus"], host["PidsLimit"]) == (250_000_000, 16)
        assert (host["Binds"], host["Privileged"], host["Devices"] or None) == (None, False, None)
        assert host["IpcMode"] == "private"
        assert found["Config"]["User"] == f"{site.uid}:{site.gid}"

    def test_both_ways_to_look_see_the_same(self, rig: Rig) -> None:
        rig.engine.create(rig.spec())
        with closing(Engine.connect()) as whole:
            assert [found.id for found in whole.list_containers(rig.instance)] == [rig.one().id]
            assert whole.list_containers(rig.instance) == rig.engine.list_containers(rig.instance)
            assert set(whole.list_images()) & set(rig.engine.list_images())

    def test_device_without_its_runtime_says_so(self, rig: Rig) -> None:
        rig.engine.create(replace(rig.spec(), gpus=1))
        with pytest.raises(EngineError, match="device driver"):
            rig.engine.start(rig.one().id)
        assert rig.one().state == "created"


class TestEngineElsewhere(EngineChecks):
    """One that is no socket of this machine is reached by docker-py alone, and does the same."""

    @pytest.fixture
    def rig(self, instance: str, base: str) -> Iterator[Rig]:
        with closing(Engine.connect()) as whole:
            hand = RealHand(whole, base)
            yield Rig(whole, instance, base, hand)
            hand.tidy()


def test_engine_that_is_not_there_is_one_line_with_the_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(EngineUnavailableError) as caught:
        door.connect()
    message = str(caught.value)
    assert "\n" not in message
    assert f"unix://{tmp_path}/no.sock" in message
    assert "No such file" in message
    assert "start the daemon" in message


def test_engine_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "hang.sock"))
        silent.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/hang.sock")
        with pytest.raises(EngineUnavailableError, match="in time"):
            door.connect(timeout_s=0.2)
