"""Habits of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tests.support.tree import files, modules, text, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VAGUE = re.compile(r"(manager|handler|helper|util)s?$")

WELL_KNOWN = frozenset(
    {
        "docker.io",  # Debian's package of the engine
        "json-schema.org",  # the name of a JSON Schema dialect
        "keepachangelog.com",
        "localhost",
        "semver.org",
        "www.apache.org",  # the licence
        "www.w3.org",  # the name space of SVG's elements
        "yaml.org",  # the name space of YAML's tags
    }
)
"""Host names that may stand in a file: none of them is ever asked for anything by this project."""

URL_HOST = re.compile(r"\b(?:https?|ftp|oci|docker)://(?:[^\s/@]+@)?(\[?[\w.:-]+\]?)")
BARE_HOST = re.compile(r"(?<![\w./@-])((?:[a-z0-9-]+\.)+(?:io|org|com|net|cloud))(?![\w(-]|\.\w)")


def test_a_module_says_what_it_owns() -> None:
    assert [path for path in modules() if text(path).strip() and not ast.get_docstring(tree(path))] == []


def test_no_vague_names() -> None:
    assert {name for path in modules("reconciler") for name in defined(path) if VAGUE.search(name.lower())} == set()


def defined(path: Path) -> list[str]:
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [path.stem, *(node.name for node in ast.walk(tree(path)) if isinstance(node, kinds))]


def hosts(words: str) -> Iterator[str]:
    for match in URL_HOST.finditer(words):
        yield match[1].rpartition(":")[0] or match[1]
    yield from (match[1] for match in BARE_HOST.finditer(words))


def test_no_host_of_a_registry_or_mirror_is_written_down() -> None:
    found = {(str(path), host) for path in files() for host in hosts(text(path))}
    assert {(path, host) for path, host in found if host not in WELL_KNOWN and not host.startswith("127.0.0.")} == set()


def test_hosts_are_seen() -> None:
    # Put together here, since written out they would be found in this very file.
    dot = "."
    for host in (f"pypi{dot}org", f"registry{dot}example{dot}com", f"ghcr{dot}io"):
        assert list(hosts(f"FROM {host}/library/python")) == [host]
        assert list(hosts(f"pip install -i {'https:'}//{host}/simple x")) == [host]


def test_every_silenced_rule_has_a_reason() -> None:
    bare = re.compile(r"#\s*(noqa(?!: [A-Z0-9, ]+ - \S))")
    assert [(str(path), line) for path in modules() for line in text(path).splitlines() if bare.search(line)] == []


def test_no_test_sleeps() -> None:
    sleepless = {"unit", "golden", "property", "sim", "tidy"}
    found = [(str(path), line) for path in modules("tests") if path.parts[1] in sleepless for line in sleeps(path)]
    assert found == []


def sleeps(path: Path) -> list[int]:
    called = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    return [call.lineno for call in called if getattr(call, "attr", getattr(call, "id", "")) == "sleep"]
