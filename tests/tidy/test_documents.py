"""Documents stay true: what they cite exists, and what they must list is listed."""

from __future__ import annotations

import ast
import os
import re
from functools import cache
from pathlib import Path

import pytest

from reconciler.contract import VERSION
from reconciler.model.action import __file__ as action_file
from tests.support.tree import ROOT, files, modules, text, tree

REQUIREMENTS = Path("docs/requirements.md")
ARCHITECTURE = Path("ARCHITECTURE.md")
LONGEST_MAP = 250
IDS = [
    *(f"FR-{n:03}" for n in range(1, 18)),
    *(f"SC-{n:03}" for n in range(1, 9)),
    *(f"EC-{n:02}" for n in range(1, 12)),
    *(f"BY-{n:02}" for n in range(1, 11)),
]

DOCUMENTS = [path for path in files(".md") if path.name != "CHANGELOG.md"]
CITED_TEST = re.compile(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`")
CITED_PREFIX = re.compile(r"`(test_\w+)…`")
"""A test by the beginning of its name, wherever it is."""

ANCHOR = re.compile(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def rows() -> dict[str, tuple[str, str]]:
    """Return what each row says: whether it is shown, and by what."""
    found = re.findall(r"^\| ([A-Z]{2}-\d+) \|[^|]+\| (\w+) \|(.*)\|$", text(REQUIREMENTS), re.MULTILINE)
    assert len(found) == len({row[0] for row in found})
    return {name: (state, shown.strip()) for name, state, shown in found}


def cited(path: Path) -> list[tuple[str, str]]:
    """Return the tests a document cites, as file and function. `::name` alone is in the file cited before it."""
    found: list[tuple[str, str]] = []
    file = ""
    for match in CITED_TEST.finditer(text(path)):
        file = match[1] or file
        if match[1] or match[2]:
            found.append((file, match[2] or ""))
    return found


def test_every_requirement_is_listed() -> None:
    assert sorted(rows()) == sorted(IDS)


@pytest.mark.parametrize("name", IDS)
def test_a_requirement_is_open_or_names_what_shows_it(name: str) -> None:
    state, shown = rows()[name]
    assert (state, bool(shown)) in {("shown", True), ("part", True), ("open", False)}


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_cited_tests_exist(path: Path) -> None:
    missing = [
        f"{file}::{name}"
        for file, name in cited(path)
        if not (ROOT / file).is_file() or (name and name not in functions(Path(file)))
    ]
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_a_beginning_is_that_of_one_test(path: Path) -> None:
    """That of none was renamed; that of several would not tell when one of them is."""
    found = {prefix: beginning_with(prefix) for prefix in CITED_PREFIX.findall(text(path))}
    assert {prefix: names for prefix, names in found.items() if len(names) != 1} == {}


def test_beginnings_are_found() -> None:
    assert len(CITED_PREFIX.findall(text(Path("docs/delivery.md")))) > 50
    assert beginning_with("test_beginnings_are") == [
        f"{Path('tests/tidy/test_documents.py')}::test_beginnings_are_found"
    ]
    assert beginning_with("test_beginnings_were") == []


def beginning_with(prefix: str) -> list[str]:
    """Return the tests whose name begins so."""
    return [name for name in every_test() if name.rpartition("::")[2].startswith(prefix)]


@cache
def every_test() -> list[str]:
    return [f"{path}::{name}" for path in modules("tests") for name in sorted(functions(path))]


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_row_is_in_a_table(path: Path) -> None:
    """A line between rows ends the table, and the rows after it are shown as they are written."""
    assert stray_rows(text(path)) == []


def test_stray_rows_are_found() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert stray_rows(f"{table}\n{table}```\n| 3 | 4 |\n```\n") == []
    assert stray_rows(f"{table}\n| 3 | 4 |\n| 5 | 6 |\n") == ["| 3 | 4 |"]


def stray_rows(document: str) -> list[str]:
    """Return the rows that begin a table without being its head."""
    lines = ["", *re.sub(r"^```.*?^```$", "", document, flags=re.MULTILINE | re.DOTALL).splitlines(), ""]
    return [
        line
        for before, line, after in zip(lines, lines[1:], lines[2:], strict=False)
        if line.startswith("|") and not before.startswith("|") and not re.fullmatch(r"\|[-:| ]+\|", after)
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_lead_somewhere(path: Path) -> None:
    missing = [link for link in LINK.findall(text(path)) if not (ROOT / path.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_into_a_page_lead_to_a_heading(path: Path) -> None:
    found = [
        (Path(os.path.normpath(path.parent / page)) if page else path, to) for page, to in ANCHOR.findall(text(path))
    ]
    assert [(str(page), to) for page, to in found if to not in headings(page)] == []


def headings(path: Path) -> set[str]:
    """Return the headings of a page as links name them: small letters, hyphens for spaces, no other signs."""
    found = re.findall(r"^#+ (.*)$", text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_citations_are_found() -> None:
    assert ("tests/tidy/test_layers.py", "test_a_broken_layer_is_named") in cited(ARCHITECTURE)
    assert ("tests/property/test_convergence.py", "test_a_pass_takes_away_a_bounded_share") in cited(ARCHITECTURE)


def test_the_map_stays_a_map() -> None:
    assert len(text(ARCHITECTURE).splitlines()) < LONGEST_MAP


def test_the_map_names_every_package() -> None:
    packages = {path.name for path in Path(action_file).parents[1].iterdir() if (path / "__init__.py").exists()}
    assert {name for name in packages if f"| `{name}` |" not in text(ARCHITECTURE)} == set()


def test_changes_are_told() -> None:
    changes = text(Path("CHANGELOG.md"))
    released = VERSION.partition(".dev")[0]
    assert ("## [Unreleased]" if released != VERSION else f"## [{VERSION}]") in changes


def test_words_of_the_glossary_are_in_order() -> None:
    words = re.findall(r"^\| ([^|]+) \|", text(Path("docs/glossary.md")), re.MULTILINE)[1:]
    assert words == sorted(words, key=str.lower)
