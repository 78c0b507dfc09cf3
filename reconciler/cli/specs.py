"""Specs with the field names of manifests, every default written out: what is printed could be a manifest's `spec`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.model.manifest import ALL_GPUS

if TYPE_CHECKING:
    from reconciler.model.manifest import Connection, Docker, Limits, Node, Pipeline

Spec = dict[str, Any]


def of_pipeline(pipeline: Pipeline) -> Spec:
    """Return a pipeline's spec."""
    shared = pipeline.shared_memory
    return {
        "activation": pipeline.activation,
        "idleTimeoutSeconds": pipeline.idle_timeout_s,
        "suspend": pipeline.suspend,
        "sharedMemory": {"isolation": shared.isolation, "size": str(shared.size_bytes)},
        "nodes": [of_node(node) for node in pipeline.nodes],
        "connections": [_connection(connection) for connection in pipeline.connections],
    }


def of_node(node: Node) -> Spec:
    """Return a node's part of its pipeline's spec; a host process has no `docker`."""
    spec = {
        "id": node.id,
        "nodeType": node.node_type,
        "source": node.source.path or None,
        "params": json.loads(node.params),
        "onError": node.on_error,
        "stallTimeoutSeconds": node.stall_timeout_s,
        "restart": {"policy": node.restart.policy, "maxBackoffSeconds": node.restart.max_backoff_s},
    }
    return spec if node.docker is None else {**spec, "docker": _docker(node.docker)}


def _docker(docker: Docker) -> Spec:
    return {
        "pythonVersion": docker.python_version,
        "systemDependencies": list(docker.system_dependencies),
        "pythonPackages": list(docker.python_packages),
        "resourceLimits": {**_limits(docker.limits), "openFiles": docker.open_files},
        "baseImage": docker.base_image,
        "pullPolicy": docker.pull_policy,
        "env": dict(docker.env),
        "envFrom": [{"file": file.path} for file in docker.env_from],
        "secrets": [{"name": file.name, "file": file.path} for file in docker.secrets],
        "volumes": [
            {"hostPath": v.host_path, "containerPath": v.container_path, "readOnly": v.read_only}
            for v in docker.volumes
        ],
        "network": docker.network,
        "ports": list(docker.ports),
        "gpus": list(docker.gpu_ids) or ("all" if docker.gpus == ALL_GPUS else docker.gpus),
        "isolated": docker.isolated,
    }


def _limits(limits: Limits) -> Spec:
    return {
        "memoryMb": None if limits.memory_bytes is None else limits.memory_bytes >> 20,
        "cpuCores": None if limits.nano_cpus is None else limits.nano_cpus / 1e9,
        "pids": limits.pids,
    }


def _connection(connection: Connection) -> Spec:
    return {
        "from": connection.source,
        "to": connection.target,
        "fromOutput": connection.from_output or None,
        "toInput": connection.to_input or None,
        "delivery": connection.delivery,
        "buffer": connection.buffer,
    }
