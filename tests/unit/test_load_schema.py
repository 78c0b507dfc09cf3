"""The JSON Schemas say what the loader says, and hold what an editor completes from."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from reconciler.load.parse import parse
from reconciler.load.schema import KINDS, schema, text
from reconciler.load.tree import plain
from reconciler.load.validate import check
from tests.support.manifests import pipeline, session

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(ROOT.glob("manifests/*/*.yaml"))
WRONG = ROOT / "tests/golden/wrong"


def accepts(kind: str, document: object) -> bool:
    return bool(jsonschema.Draft7Validator(schema(kind)).is_valid(document))


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_fresh(kind: str) -> None:
    on_disk = (ROOT / "schemas" / f"{kind}.json").read_text(encoding="utf-8")
    assert on_disk == text(kind), "run `python -m reconciler.load.schema`"
    jsonschema.Draft7Validator.check_schema(json.loads(on_disk))
    assert text(kind.capitalize()) == on_disk


@pytest.mark.parametrize("manifest", EXAMPLES, ids=lambda path: path.stem)
def test_examples_fit(manifest: Path) -> None:
    for document in YAML(typ="safe", pure=True).load_all(manifest):
        assert accepts(document["kind"].lower(), document)


def test_a_session_fits() -> None:
    (document,) = parse(session("mine", "voice").encode()).documents
    assert accepts("session", plain(document))
    assert not accepts("pipeline", plain(document))


@pytest.mark.parametrize("name", ["fields", "types", "bounds"])
def test_what_is_wrong_in_itself_does_not_fit(name: str) -> None:
    """Each wrong value of the corpus alone, put into a good manifest, is refused by both."""
    (bad,) = (plain(document) for document in parse((WRONG / f"{name}.yaml").read_bytes()).documents)
    (good,) = (plain(document) for document in parse(pipeline().encode()).documents)
    tried = 0
    for node in bad["spec"]["nodes"]:
        for field, value in node.items():
            if field in ("id", "nodeType") and value in ("a", "code:A"):
                continue
            for single in _singles(field, value):
                document = copy.deepcopy(good)
                document["spec"]["nodes"][0].update(single)
                assert not accepts("pipeline", document), single
                assert check(json.dumps(document).encode()).problems, single
                tried += 1
    assert tried > 2


def _singles(field: str, value: Any) -> Iterator[dict[str, Any]]:
    """Yield one wrong value at a time, where there are several in one mapping."""
    if isinstance(value, dict) and value:
        yield from ({field: {name: each}} for name, each in value.items() if each != "3.11")
    elif value != {}:
        yield {field: value}


def _fields(part: dict[str, Any], way: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in part.get("properties", {}).items():
        yield f"{way}.{name}", field
        for below in (field, field.get("items", {}), *field.get("anyOf", ())):
            yield from _fields(below, f"{way}.{name}")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_explained_and_closed(kind: str) -> None:
    fields = dict(_fields(schema(kind)))
    assert len(fields) > 4
    for name, field in fields.items():
        assert field.get("description"), name
        for part in (field, field.get("items", {})):
            assert "$ref" not in part
            if "properties" in part:
                assert part["additionalProperties"] is False, name


def test_choices_and_defaults_are_listed() -> None:
    fields = dict(_fields(schema("pipeline")))
    assert fields[".spec.activation"]["enum"] == ["Always", "OnDemand"]
    assert fields[".spec.nodes.docker.pythonVersion"]["enum"] == ["3.9", "3.10", "3.11", "3.12", "3.13"]
    assert fields[".spec.nodes.restart.policy"]["enum"] == ["Always", "OnFailure", "Never"]
    assert fields[".spec.connections.delivery"]["default"] == "reliable"
    assert fields[".spec.connections.buffer"]["default"] == 32
    assert fields[".apiVersion"]["const"] == "reconciler.dev/v1alpha1"
