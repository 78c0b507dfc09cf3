"""Locks beside manifests: exact versions where there are some, a diagnostic where they do not fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler.load import check
from reconciler.load.locks import Locked, dump, environment_of
from reconciler.model.manifest import Docker
from reconciler.plan.image import env_hash

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.desired import Desired

MANIFEST = """\
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: one}
spec:
  nodes:
    - {id: a, nodeType: code:A, docker: {pythonVersion: "3.11", pythonPackages: ["numpy<2"]}}
    - {id: b, nodeType: code:A, docker: {pythonVersion: "3.9"}}
    - {id: host, nodeType: code:A}
"""
LOCKED = [
    Locked(("3.11", None, ("numpy<2",)), "linux-x86_64", ("iceoryx2==0.10.0", "numpy==1.26.4")),
    Locked(("3.9", None, ()), "linux-x86_64", ("iceoryx2==0.10.0", "numpy==2.0.2")),
]


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    (tmp_path / "one.yaml").write_text(MANIFEST)
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "code.py").write_text("class A:\n    pass\n")
    return tmp_path


def resolved(desired: Desired) -> list[tuple[str, ...] | None]:
    assert desired.diagnostics == ()
    (pipeline,) = desired.pipelines
    return [node.docker.resolved if node.docker else None for node in pipeline.nodes]


def test_without_a_lock_nothing_is_exact(manifests: Path) -> None:
    assert resolved(check(manifests)) == [(), (), None]


def test_each_environment_gets_its_versions(manifests: Path) -> None:
    before = check(manifests).pipelines[0].generation
    (manifests / "one.yaml.lock").write_text(dump(LOCKED))
    desired = check(manifests)
    assert resolved(desired) == [LOCKED[0].resolved, LOCKED[1].resolved, None]
    assert desired.pipelines[0].generation != before


def test_a_lock_is_of_its_manifest_alone(manifests: Path) -> None:
    (manifests / "other.yaml.lock").write_text("nonsense")
    assert resolved(check(manifests)) == [(), (), None]


def test_what_a_lock_lacks_is_told_where_it_was_asked_for(manifests: Path) -> None:
    (manifests / "one.yaml.lock").write_text(dump(LOCKED[1:]))
    (found,) = check(manifests).diagnostics
    assert str(found) == (
        f'{manifests}/one.yaml:6:25: one.yaml.lock is stale: it lacks what node "a" asks for; '
        "write it anew with `reconcile images lock`, or delete it"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "nul\0",
        json.dumps({"apiVersion": "reconciler.dev/v1alpha1", "kind": "Lock"}),
        dump(LOCKED).replace("Lock", "Log"),
        dump(LOCKED).replace('"numpy==1.26.4"', "7"),
        dump(LOCKED).replace('"3.11"', "3.11"),
        dump([Locked(LOCKED[0].environment, "linux-x86_64", ())]),
        "[" * 100_000,
    ],
)
def test_what_is_no_lock_says_so(manifests: Path, text: str) -> None:
    (manifests / "one.yaml.lock").write_text(text)
    (found,) = check(manifests).diagnostics
    assert found.message.startswith("one.yaml.lock is no lock")


def test_equal_environments_give_equal_text() -> None:
    assert dump(LOCKED) == dump(LOCKED[::-1])


def test_versions_enter_the_hash_only_where_there_is_a_lock() -> None:
    plain = Docker("3.11", python_packages=("numpy<2",))
    locked = Docker("3.11", python_packages=("numpy<2",), resolved=("numpy==1.26.4",))
    newer = Docker("3.11", python_packages=("numpy<2",), resolved=("numpy==1.26.5",))
    hashes = {env_hash(docker, base_id="b", runtime_version="1") for docker in (plain, locked, newer)}
    assert len(hashes) == 3
    assert environment_of(plain) == environment_of(locked)
