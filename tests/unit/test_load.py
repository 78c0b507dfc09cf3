"""The way from a directory to desired state."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.load import check
from tests.support.manifests import Folder, pipeline

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("manifest", sorted(ROOT.glob("manifests/*/*.yaml")), ids=lambda path: path.stem)
def test_every_example_loads(manifest: Path) -> None:
    desired = check(manifest)
    assert desired.diagnostics == ()
    assert desired.complete
    assert [found.name for found in desired.pipelines] == [manifest.stem]
    assert all(len(node.source.digest) == 64 for node in desired.pipelines[0].nodes)


def test_voice_is_what_its_manifest_says() -> None:
    voice = check(ROOT / "manifests/voice").pipelines[0]
    assert [node.id for node in voice.nodes] == ["level", "speech", "words", "tidy"]
    assert [node.docker.python_version if node.docker else "host" for node in voice.nodes] == [
        "3.9",
        "3.10",
        "3.11",
        "host",
    ]
    assert voice.nodes[1].params == '{"leadMs":300,"lingerMs":400,"threshold":0.5}'
    assert [(each.source, each.target) for each in voice.connections] == [
        ("level", "speech"),
        ("speech", "words"),
        ("words", "tidy"),
    ]


def test_an_always_pipeline_has_its_session(folder: Folder) -> None:
    folder.write("a.yaml", pipeline("always"))
    folder.write("b.yaml", pipeline("asked", spec="  activation: OnDemand\n"))
    folder.write("c.yaml", pipeline("asleep", spec="  suspend: true\n"))
    desired = folder.loader().load()
    assert [found.name for found in desired.pipelines] == ["always", "asked", "asleep"]
    assert [(each.name, each.pipeline, each.kind) for each in desired.sessions] == [("always", "always", "standing")]


NODES = "  nodes:\n    - {id: a, nodeType: 'code:A'}\n    - {id: b, nodeType: 'code:B'}\n"
HEAD = "apiVersion: reconciler.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: voice}\nspec:\n"

WRONG = {
    "wrong field": (
        pipeline(nodes="{id: a, nodetype: 'code:A'}"),
        'voice.yaml:6:15: spec.nodes[0]: unknown field "nodetype", did you mean "nodeType"?',
    ),
    "wrong type": (
        pipeline(nodes="{id: a, nodeType: 'code:A', docker: {resourceLimits: {memoryMb: lots}}}"),
        'voice.yaml:6:71: spec.nodes[0].docker.resourceLimits.memoryMb: found "lots", expected a whole number',
    ),
    "cycle": (
        HEAD + NODES + "  connections:\n    - {from: a, to: b}\n    - {from: b, to: a}\n",
        "voice.yaml:10:7: spec.connections[1]: closes a cycle: a -> b -> a",
    ),
    "missing node": (
        HEAD + NODES + "  connections:\n    - {from: a, to: c}\n",
        'voice.yaml:9:21: spec.connections[0].to: no node has the id "c", nodes of this pipeline: a, b',
    ),
    "not YAML": (
        "apiVersion: [\n}",
        "voice.yaml:2:1: not valid YAML: while parsing a flow node, expected the node content, but found '}'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_manifest_is_one_clear_line_and_disturbs_nothing(folder: Folder, case: str) -> None:
    wrong, line = WRONG[case]
    folder.write("voice.yaml", pipeline())
    folder.write("other.yaml", pipeline("other"))
    before = folder.converge()
    folder.write("voice.yaml", wrong)
    after = folder.converge()
    assert folder.lines(after) == [line]
    assert after.pipelines == before.pipelines
    assert after.sessions == before.sessions
    assert after.complete
    assert [each.pipeline for each in after.diagnostics] == ["voice"]
