"""The same programs under Compose: what tells a controller's cost from that of the runtimes it starts.

Rule: everything comes from the engine's own description of containers that serve. Left out are our labels, by which the
controller would take them for its own. Moved are the directories and the prefix in shared memory: those of the original
go when it is taken down. The copy holds assignments as the controller left them, so the nodes serve as they did;
nobody plans, watches or cleans up.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.contract import labels, names, paths

if TYPE_CHECKING:
    import docker

SHM = Path("/dev/shm")


class Same:
    """A Compose project of what an instance's containers run, in directories of its own."""

    def __init__(self, base: Path, place: paths.Paths) -> None:
        self._place = place
        self._base = str(base)
        # iceoryx2 makes sockets there, whose paths are bounded: it must not be longer than the original.
        self._copy = str(base.with_name(base.name.replace("rc-", "rs-")))
        self.name = f"{place.instance}-same"
        self._prefix = names.shm_prefix(self.name)
        self.file = Path(self._copy, "compose.yaml")

    def describe(self, engine: docker.APIClient) -> None:
        """Write the project from containers that serve now, and keep what their directories hold."""
        listed = engine.containers(filters={"label": f"{labels.INSTANCE}={self._place.instance}"})
        found = [engine.inspect_container(each["Id"]) for each in listed]
        services = {f"s{number}": _service(each) for number, each in enumerate(found)}
        text = json.dumps({"name": self.name, "services": services}, indent=1)  # YAML takes in all of JSON
        text = text.replace(names.shm_prefix(self._place.instance), self._prefix).replace("$", "$$")
        shutil.rmtree(self._copy, ignore_errors=True)
        for mount in (mount for each in found for mount in each["HostConfig"]["Mounts"]):
            if mount["Source"].startswith(f"{self._base}/"):
                _copy(mount["Source"], self._moved(mount["Source"]))
        self.file.write_text(self._moved(text))

    def is_serving(self) -> bool:
        """Whether every node serves its sessions."""
        statuses = [folder / "status.json" for folder in self._nodes()]
        return bool(statuses) and all(path.exists() and '"state": "ready"' in path.read_text() for path in statuses)

    def forget_statuses(self) -> None:
        """Take away what an earlier run said of itself."""
        for folder in self._nodes():
            (folder / "status.json").unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the directories, and what killed nodes left in shared memory."""
        shutil.rmtree(self._copy, ignore_errors=True)
        for path in SHM.glob(f"{self._prefix}*"):
            path.unlink(missing_ok=True)

    def _nodes(self) -> list[Path]:
        return list(Path(self._moved(str(self._place.nodes))).iterdir())

    def _moved(self, text: str) -> str:
        return text.replace(f"{self._base}/", f"{self._copy}/")


def _copy(source: str, target: str) -> None:
    """Copy a mounted directory as it was before its nodes started: iceoryx2's is empty then, and there is no status."""
    if Path(target).exists():
        return
    shutil.copytree(source, target, ignore=_of_a_run)
    shutil.copystat(source, target)


def _of_a_run(folder: str, found: list[str]) -> list[str]:
    own = {"status.json", "alive", "doing", ".doorbell"}
    return found if Path(folder).name == "iox2" else [name for name in found if name in own]


def _service(found: dict[str, Any]) -> dict[str, Any]:
    """Return a container as Compose says it; only what ours set is translated."""
    config, host = found["Config"], found["HostConfig"]
    service = {
        "image": found["Image"],
        "command": config["Cmd"],
        "environment": config["Env"],
        "user": config["User"],
        "stop_grace_period": f"{config['StopTimeout']}s",
        "healthcheck": {"disable": True},
        "init": host["Init"],
        "network_mode": host["NetworkMode"],
        "read_only": host["ReadonlyRootfs"],
        "cap_drop": host["CapDrop"],
        "security_opt": host["SecurityOpt"],
        "tmpfs": [f"{path}:{options}" for path, options in (host["Tmpfs"] or {}).items()],
        "volumes": [_volume(mount) for mount in host["Mounts"]],
        "logging": {"driver": host["LogConfig"]["Type"], "options": host["LogConfig"]["Config"]},
        "mem_limit": host["Memory"] or None,
        "memswap_limit": host["MemorySwap"] or None,
        "cpus": host["NanoCpus"] / 1e9 or None,
        "pids_limit": host["PidsLimit"] or None,
        "ulimits": {each["Name"]: {"soft": each["Soft"], "hard": each["Hard"]} for each in host["Ulimits"] or ()},
    }
    return {key: value for key, value in service.items() if value is not None and value != {}}


def _volume(mount: dict[str, Any]) -> dict[str, Any]:
    read_only = mount.get("ReadOnly", False)
    return {"type": "bind", "source": mount["Source"], "target": mount["Target"], "read_only": read_only}
