"""Checks the filters, tests and functions of expressions before evaluation, also those named by strings."""

from __future__ import annotations

import pytest

from django_runbook.document.evaluation.analysis import analyse
from django_runbook.document.evaluation.filters import FILTERS
from django_runbook.document.evaluation.tests import TESTS


def problems_of(source: str) -> list[str]:
    return [f"{problem.start} {problem.message}" for problem in analyse(source)[1]]


def names_of(source: str) -> list[str]:
    names, problems = analyse(source)
    assert problems == ()
    return [".".join((name.root, *name.path)) for name in names]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x | map('uper')", ["8 unknown filter \"uper\""]),
        ("x | map('up' ~ 'er')", ["8 unknown filter \"uper\""]),
        ("x | map('up' ~ 'per')", []),
        ("x | map('upper' if true else 'uper')", []),
        ("x | map(name)", ["8 the name of a filter must be a literal string, so that it can be checked"]),
        ("x | map(1)", ["8 the name of a filter must be a literal string, so that it can be checked"]),
        ("x | select(y)", ["11 the name of a test must be a literal string, so that it can be checked"]),
        ("x | select('tset')", ["11 unknown test \"tset\""]),
        ("x | reject('tset')", ["11 unknown test \"tset\""]),
        ("x | selectattr('a', 'tset')", ["20 unknown test \"tset\""]),
        ("x | rejectattr('a.b', 'tset', 1)", ["22 unknown test \"tset\""]),
        ("x | selectattr(y, 'eq', 1)", []),
        ("x | map('map', 'uper')", ["15 unknown filter \"uper\""]),
        ("x | map('map', 'map', 'select', 'tset')", ["32 unknown test \"tset\""]),
        ("x | map('select', 'odd')", []),
        ("x | map('default', 0) | select('eq', 0)", []),
        ("[x | uper, y is tset, z.uper()]", ['5 unknown filter "uper"', '16 unknown test "tset"', '24 unknown method "uper"']),
        ("x | upper | a.b", ['12 unknown filter "a.b"']),
        ("x is not tset", ['9 unknown test "tset"']),
        ("x is   not   tset(1)", ['13 unknown test "tset"']),
        ("x | join(*y)", ['4 arguments cannot be unpacked with "*"']),
        ("x | join(**y)", ['4 arguments cannot be unpacked with "*"']),
        ("x | batch(2)", ['4 unknown filter "batch"']),
        ("x | attr('__class__')", ['4 unknown filter "attr"']),
        ("x is filter", ['5 unknown test "filter"']),
        ("x.__class__()", ['2 unknown method "__class__"']),
        ("cycler(1)", ['0 unknown function "cycler"']),
        ("x[days]", ['2 "days" is a function']),
    ],
)  # fmt: skip
def test_words_are_checked(source: str, found: list[str]) -> None:
    assert problems_of(source) == found


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_each_filter_can_be_named_by_a_string(name: str) -> None:
    assert not any("there is no" in problem for problem in problems_of(f"x | map('{name}')"))


@pytest.mark.parametrize("name", sorted(TESTS))
def test_each_test_can_be_named_by_a_string(name: str) -> None:
    found = [*problems_of(f"x | select('{name}')"), *problems_of(f"x | rejectattr('a', '{name}')")]
    assert not any("there is no" in problem for problem in found)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a.b.c", ["a.b.c"]),
        ("a['b'].c", ["a.b.c"]),
        ("a[b].c", ["a", "b"]),
        ("a.b[0].c", ["a.b"]),
        ("a.b.upper()", ["a.b"]),
        ("a.get('b')", ["a.b"]),
        ("a.get('b').c", ["a.b"]),
        ("a.get(b)", ["a", "b"]),
        ("a.b | join(c.d)", ["a.b", "c.d"]),
        ("a | sort(attribute=b)", ["a", "b"]),
        ("a is in b.c", ["a", "b.c"]),
        ("{'a': b, c: d.e}", ["b", "c", "d.e"]),
        ("a[b:c]", ["a", "b", "c"]),
        ("days(a.b) + c", ["a.b", "c"]),
        ("a if b else c", ["b", "a", "c"]),
        ("(a).b", ["a.b"]),
        ("true and none", []),
    ],
)
def test_names_are_found_with_their_paths(source: str, names: list[str]) -> None:
    assert sorted(names_of(source)) == sorted(names)


@pytest.mark.parametrize(
    ("source", "start", "end"),
    [("1 + a.b.c", 4, 9), ("  a [ 'b' ] . c", 2, 15), ("a.get('b')", 0, 5), ("f(x)", 0, 1)],
)
def test_names_have_their_offsets(source: str, start: int, end: int) -> None:
    names, problems = analyse(source)
    found = names[0] if source != "f(x)" else problems[0]
    assert (found.start, found.end) == (start, end)


@pytest.mark.parametrize(
    ("source", "message", "start"),
    [
        ("a +", "the expression ends too early", 2),
        ("(a", "the expression ends too early", 1),
        ("a b", "unexpected text after the expression", 2),
        ("a = 1", "unexpected text after the expression", 2),
        ("a ?", '"?" cannot be used here', 2),
        ("a & b", '"&" cannot be used here', 2),
        ("a + 'b", "the quote is not closed", 4),
        ("a \u200b", "ZERO WIDTH SPACE (U+200B) cannot be used here", 2),
        ("9" * 1000, "the number has more than 2048 bits", 0),
        ("(" * 30 + "a" + ")" * 30, "more than 20 brackets", 20),
        ("not " * 150 + "a", "more than 100 operations", 0),
        ("a" + " + a" * 200, "the expression is too long", 600),
        ("a }} b", "unexpected text after the expression", 2),
        ("a)", "unexpected ')'", 0),
    ],
)
def test_syntax_errors_are_reported_at_their_offsets(source: str, message: str, start: int) -> None:
    (problem,) = analyse(source)[1]
    assert message in problem.message
    assert problem.start == start
