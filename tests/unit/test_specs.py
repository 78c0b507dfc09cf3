"""What `get -o json` prints as `spec` could be a manifest's `spec`: it loads, and means the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cli import specs
from reconciler.contract.paths import Paths
from reconciler.load import Loader, written
from reconciler.model.manifest import Connection, Docker, Node, Origin, Pipeline, Source

REPOSITORY = Path(__file__).parents[2]
ALL_FIELDS = """
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: whole, labels: {team: speech}}
spec:
  activation: OnDemand
  idleTimeoutSeconds: 7
  suspend: true
  nodes:
    - id: a
      nodeType: echo:Echo
      source: ./nodes
      onError: Skip
      stallTimeoutSeconds: 7
      params: {threshold: 0.5, words: [one, {two: null}]}
      docker:
        pythonVersion: "3.10"
        systemDependencies: [libsndfile1]
        pythonPackages: ["six==1.16.0"]
        resourceLimits: {memoryMb: 512, cpuCores: 1.5, pids: 256, openFiles: 99}
        baseImage: "mine:1"
        env: {LOG_LEVEL: info}
        volumes: [{hostPath: /data, containerPath: /models, readOnly: true}]
        network: mine
        ports: ["8080:80"]
        gpus: ["0", "1"]
        pullPolicy: Never
        envFrom: [{file: ./service.env}]
        secrets: [{name: key, file: ./key}]
        isolated: true
      restart: {policy: OnFailure, maxBackoffSeconds: 9}
    - {id: b, nodeType: echo:Echo, source: ./nodes}
  connections:
    - {from: a, to: b, fromOutput: left, toInput: right, delivery: latest, buffer: 7}
"""


def _load(directory: Path) -> Pipeline:
    places = Paths("test", directory.parent / "state", directory.parent / "run")
    loaded = Loader(places, directory, allow_empty=False).load()
    assert not loaded.diagnostics
    (pipeline,) = loaded.pipelines
    return replace(pipeline, origin=Origin(""), labels=())


@pytest.mark.parametrize("example", ["echo", "voice", ""])
def test_a_printed_spec_is_a_manifest_s(example: str, tmp_path: Path) -> None:
    directory = REPOSITORY / "manifests" / example
    if not example:
        directory = tmp_path / "first"
        (directory / "nodes").mkdir(parents=True)
        (directory / "nodes" / "echo.py").write_text("class Echo: ...\n")
        (directory / "whole.yaml").write_text(ALL_FIELDS)
        (directory / "service.env").write_text("A=1\n")
        (directory / "key").write_text("secret")
    pipeline = _load(directory)
    again = tmp_path / "again"
    again.mkdir()
    document = {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": pipeline.name},
        "spec": specs.of_pipeline(pipeline),
    }
    (again / "again.yaml").write_text(json.dumps(document))
    assert _load(again) == replace(pipeline, annotations=())


def test_no_field_of_a_manifest_is_left_out() -> None:
    docker = Docker("3.11")
    pipeline = specs.of_pipeline(
        Pipeline("p", "", (Node("a", "m:C", Source("", ""), docker=docker),), (Connection("a", "b"),))
    )
    (node,), (connection,) = pipeline["nodes"], pipeline["connections"]
    printed = {
        written.PipelineSpec: pipeline,
        written.SharedMemory: pipeline["sharedMemory"],
        written.Node: node,
        written.Docker: node["docker"],
        written.ResourceLimits: node["docker"]["resourceLimits"],
        written.Restart: node["restart"],
        written.Connection: connection,
    }
    for model, spec in printed.items():
        assert {field.alias or name for name, field in model.model_fields.items()} == set(spec), model
