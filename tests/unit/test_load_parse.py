"""From bytes to documents: places, what a scalar is, and bounds that hold before anything expensive."""

from __future__ import annotations

import time

import pytest

from reconciler.load.parse import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse
from reconciler.load.tree import nearest, plain, written

SLOWEST_S = 8.0
"""Far above what any case takes (1.3 s), far below what nested brackets or a long tag took without bounds (minutes)."""


def value(text: str) -> object:
    parsed = parse(text.encode())
    assert parsed.problems == ()
    return [plain(document) for document in parsed.documents]


def problem(data: str | bytes) -> str:
    (first, *_) = parse(data if isinstance(data, bytes) else data.encode()).problems
    return f"{first.line}:{first.column}: {first.message}"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("+1", 1),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        (".5", 0.5),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("! 1", "1"),
        ("!!int 1", 1),
        ("!!float 1", 1),
        ("!!null ''", None),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, means: object) -> None:
    assert value(f"x: {text}") == [{"x": means}]


def test_documents_keep_their_places() -> None:
    (first, second) = parse(b"\n# note\n---\na:\n  - b: 1\n    c: [x, y]\n---\n{d: e}\n").documents
    assert (nearest(first, ("a", 0, "c", 1)).line, nearest(first, ("a", 0, "c", 1)).column) == (6, 12)
    assert written(first, ("a", 0, "c", 1)) == "a[0].c[1]"
    assert (second.line, second.column) == (8, 1)


def test_empty_documents_are_none() -> None:
    assert value("") == []
    assert value("# a note\n") == []
    assert value("---\n---\na: 1\n---\n") == [{"a": 1}]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    (document,) = parse(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n").documents
    assert plain(document) == {"a": 1, "b": 2}
    assert nearest(document, ("b",)).line == 2


def test_aliases_and_merges() -> None:
    assert value("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [*a, {z: 1, x: 5}]}") == [
        {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}, "d": {"x": 1, "y": 2, "z": 1}}
    ]
    assert value("'<<': {a: 1}") == [{"<<": {"a": 1}}]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: \xff", "1:4: not UTF-8 text: found byte 0xff"),
        ("a: ä\nb: ö".encode("latin-1"), "1:4: not UTF-8 text: found byte 0xe4"),
        ("a: 1".encode("utf-16"), "1:1: not UTF-8 text: found byte 0xff"),
        ("a: b\x07", "1:5: not valid YAML: the control character U+0007 is not allowed"),
        ("a: 1\na: 2", '2:1: the key "a" is there twice, first on line 1'),
        ("a: &x [*x]", "1:8: the alias *x stands inside what it stands for"),
        ("a: *x", "1:4: the alias *x has no anchor &x before it"),
        ("a: .nan", "1:4: found .nan, which is no finite number; write it in quotes if text is meant"),
        ("a: 1e999", "1:4: found 1e999, which is too large a number"),
        ("a: " + "9" * 101, "1:4: a number of more than 100 digits; write it in quotes if text is meant"),
        ('a: "\\0"', "1:4: text holds a NUL character (U+0000)"),
        ('a: "\\ud800"', "1:4: text holds half a surrogate pair, which is no character"),
        ("a: !!python/object:os.system {}", "1:4: the tag !!python/object:os.system is not supported"),
        ("a: !!binary aGk=", "1:4: the tag !!binary is not supported"),
        ("a: !!set {x}", "1:4: the tag !!set is not supported"),
        ("{[a]: 1}", "1:2: a key must be text, found a list or a mapping"),
        ("a: {<<: 3}", "1:9: `<<` merges mappings, found something else"),
    ],
)
def test_what_is_no_manifest(data: str | bytes, said: str) -> None:
    assert problem(data) == said


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

BOMBS = {
    "laughs": (LAUGHS, "more than"),
    "brackets": ("[" * (MAX_BYTES - 1), f"nested deeper than {MAX_DEPTH} levels"),
    "bracket lines": ("[\n" * 3_000, "nested deeper"),
    "dashes": ("- " * 3_000, "nested deeper"),
    "questions": ("? " * 3_000, "nested deeper"),
    "braces": ("{a: " * 3_000, "nested deeper"),
    "steps": ("".join(" " * step + "a:\n" for step in range(1_000)), "nested deeper"),
    "many": ("- a\n" * 100_000, f"more than {MAX_NODES} values"),
    "many keys": ("".join(f"k{number}: v\n" for number in range(50_000)), "more than"),
    "documents": ("--- a\n" * 5_000, "more than 1000 documents"),
    "large": ("#" * (MAX_BYTES + 1), f"more than the {MAX_BYTES} bytes that are allowed"),
    "tag": ("!" + "a" * (MAX_BYTES - 2), "a tag of more than 1024 characters"),
    "directives": ("%a b\n" * (MAX_BYTES // 5 - 1), "not valid YAML"),
    "colons": ("a:" * (MAX_BYTES // 2 - 1), "not valid YAML"),
    "unclosed": ('"a' + "\n" * (MAX_BYTES - 3), "not valid YAML"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_input_costs_much(bomb: str) -> None:
    text, said = BOMBS[bomb]
    began = time.thread_time()
    (found,) = parse(text.encode()).problems
    assert said in found.message
    assert time.thread_time() - began < SLOWEST_S


def test_what_is_just_within_the_bounds_is_read() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH).problems == ()
    assert parse(("- a\n" * (MAX_NODES - 1)).encode()).problems == ()
    assert parse(b"#" * MAX_BYTES).problems == ()
