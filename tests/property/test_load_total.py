"""Loading is total: whatever lies in the directory, it returns, in bounded time, and never loses what was good."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.load.codec import DamagedError, decode, encode
from reconciler.load.draft import Draft
from reconciler.load.parse import MAX_NODES, parse
from reconciler.load.store import Entry
from reconciler.load.tree import plain
from reconciler.load.validate import check
from tests.support.manifests import Folder, pipeline, session

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = st.sampled_from(
    [
        *("apiVersion", "reconciler.dev/v1alpha1", "kind", "Pipeline", "Session", "metadata", "name", "voice", "spec"),
        *("nodes", "id", "a", "nodeType", "code:A", "docker", "pythonVersion", "3.11", "env", "volumes", "hostPath"),
        *("containerPath", "/x", "connections", "from", "to", "version", "v1", "node_type", "params", "ports", "80:80"),
        *("resourceLimits", "memoryMb", "resource_limits", "memory_mb", "restart", "labels", "source", "./nodes", ""),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=5),
    max_leaves=30,
)
MARKS = st.text(alphabet=":-?[]{},#&*!|>'\"%@`<~=. \n\tab01\\/", max_size=200)


@given(
    st.binary(max_size=300) | MARKS.map(str.encode) | st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace"))
)
def test_no_bytes_raise(data: bytes) -> None:
    draft = check(data)
    for problem in draft.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert "\n" not in problem.message
    for document in parse(data).documents:
        assert document.size <= MAX_NODES
        json.dumps(plain(document), allow_nan=False).encode()


@given(JSON)
def test_json_is_read_as_json(value: Any) -> None:
    if value is None or _has_hard_number(value):
        return
    parsed = parse(json.dumps(value).encode())
    assert parsed.problems == ()
    assert [plain(document) for document in parsed.documents] == [value]


def _has_hard_number(value: Any) -> bool:
    """Numbers of more digits than we take, and text that no file can hold, are told elsewhere."""
    match value:
        case dict():
            return any(_has_hard_number(each) for each in (*value, *value.values()))
        case list():
            return any(_has_hard_number(each) for each in value)
        case str():
            return "\0" in value or any(0xD800 <= ord(letter) < 0xE000 for letter in value)
        case int():
            return len(str(value)) > 100
        case _:
            return False


def _documents() -> st.SearchStrategy[dict[str, Any]]:
    """Documents that are nearly right: a good one, with some of its values replaced."""
    good = {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "voice", "labels": {"team": "x"}},
        "spec": {
            "activation": "Always",
            "sharedMemory": {"isolation": "Private", "size": "1Gi"},
            "nodes": [
                {"id": "a", "nodeType": "code:A", "params": {"x": [1]}, "docker": {"env": {"A": "1"}, "ports": []}},
                {"id": "b", "nodeType": "B", "restart": {"policy": "Never"}},
            ],
            "connections": [{"from": "a", "to": "b", "buffer": 8}],
        },
    }
    old = {
        "version": "v1",
        "metadata": {"name": "Old One"},
        "nodes": [{"id": "a", "node_type": "A", "docker": {"resource_limits": {"memory_mb": 64}, "volumes": []}}],
        "connections": [{"from": "input", "to": "a"}],
    }
    return st.builds(_changed, st.sampled_from([good, old]), st.lists(st.tuples(st.integers(0, 60), JSON), max_size=3))


def _changed(document: Any, changes: list[tuple[int, Any]]) -> Any:
    for index, value in changes:
        places = list(_places(document))
        put = places[index % len(places)]
        document = put(value)
    return document


def _places(value: Any, put: Callable[[Any], Any] = lambda new: new) -> Any:
    yield put
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _places(each, lambda new, name=name: put({**value, name: new}))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _places(each, lambda new, index=index: put([*value[:index], new, *value[index + 1 :]]))


@given(_documents())
def test_a_nearly_right_document_is_taken_or_told(document: Any) -> None:
    draft = check(json.dumps(document).encode())
    for problem in draft.problems:
        assert "\n" not in problem.message
    assert draft.problems or draft.pipelines or document is None
    assert decode(Draft, json.loads(json.dumps(encode(draft)))) == draft


GOOD = {
    pipeline("a"): {"a"},
    pipeline("b"): {"b"},
    pipeline("a") + "---\n" + pipeline("b"): {"a", "b"},
    pipeline("a", spec="  suspend: true\n"): {"a"},
    session("s", "a"): set(),
    session("a", "b"): set(),
}
BAD = ("", "kind: [", "a: b", pipeline("c", nodes="{id: a, nodeType: 'code:Gone'}"))
CONTENTS = st.sampled_from([None, *GOOD, *BAD])
FILES = ("x.yaml", "y.yaml", "sub/z.yml")


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(FILES), CONTENTS, st.booleans()), min_size=1, max_size=8))
def test_no_history_of_edits_loses_a_pipeline_that_nobody_took_away(edits: list[tuple[str, str | None, bool]]) -> None:
    """Oracle: a pipeline may go, or move, only when its file went, or is good now and doesn't have it."""
    with tempfile.TemporaryDirectory() as root:
        folder = Folder(Path(root))
        folder.write("nodes/code.py", "class A: pass\n")
        folder.write("sub/nodes/code.py", "class A: pass\n")
        folder.write("keep.yaml", pipeline("keep"))
        loader = folder.loader()
        owners: dict[str, str] = {}
        for name, content, restart in edits:
            if content is None:
                (folder.manifests / name).unlink(missing_ok=True)
            else:
                folder.write(name, content)
            loader = folder.loader() if restart else loader
            desired = loader.load()
            assert loader.load() == desired
            loader.keep()
            assert len({each.name for each in desired.sessions}) == len(desired.sessions)
            now = {each.name: each.origin.path for each in desired.pipelines}
            for owned, path in owners.items():
                assert now.get(owned) == path or _was_taken_away(owned, Path(path)), (owned, name, content)
            owners = now
        assert "keep" in owners


def _was_taken_away(name: str, path: Path) -> bool:
    return not path.exists() or name not in GOOD.get(path.read_text(), {name})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)
    )
)
def test_damaged_state_is_told_apart_or_read(raw: Any) -> None:
    with contextlib.suppress(DamagedError):
        assert isinstance(decode(Entry, raw), Entry)
