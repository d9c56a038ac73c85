from __future__ import annotations

from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_runbook.document.syntax.nodes import Mapping, Node, Scalar, Sequence
from django_runbook.document.syntax.parse import parse
from django_runbook.document.syntax.scalars import resolve
from django_runbook.document.syntax.source import decode
from django_runbook.importing import yaml_text
from django_runbook.importing.draft import Plain

NASTY: Final = (
    *("", " ", "no", "on", "true", "null", "~", "1", "01", "0x1", "1e3", ".5", "12:30", "- a", "-", "a: b", "a:", ":a"),
    *("a #b", "#a", "*a", "&a", "!a", "%a", "@a", "`a`", "[a", "{a", "a]", "a, b", "? a", "| a", "> a", "'a'", '"a"'),
    *(
        'it\'s "so"',
        "\\",
        "\\n",
        "a\nb",
        "a\nb\n",
        "\na",
        "a\n\n",
        "a\n b\n",
        " a\nb",
        "a \nb",
        "\ta",
        "a\tb",
        "a\r\nb",
    ),
    *(
        "\x85",
        "\u2028",
        "\u00a0",
        "\x00",
        "\x1b[0m",
        "\ufeff",
        "\ud7ff",
        "😀",
        "é",
        "${{ x }}",
        "$${{",
        "a: ${{ {'a': 1} }}",
    ),
    *("---", "...", "--- a", "=", "<<", "y", "2013-01-31", "1_000", "0o7", "+1", "-.inf", ".nan", "x" * 300),
)
characters = st.characters(codec="utf-8")
strings = st.one_of(st.sampled_from(NASTY), st.text(characters, max_size=30))
# A key holds no expression.
keys = strings.filter(lambda text: "${{" not in text)
values = st.recursive(
    st.one_of(strings, st.integers(-(10**9), 10**9), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)


def plain(node: Node) -> object:
    match node:
        case Scalar():
            return resolve(node)
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key.text: plain(value) for key, value in node.entries}
    raise AssertionError(node)


def read(text: str) -> object:
    source, problems = decode(text.encode(), name="some.yml")
    parsed = parse(source)
    assert [*problems, *parsed.diagnostics] == []
    assert parsed.root is not None
    return plain(parsed.root)


@given(value=values)
@example(value=["a" * 60, "b" * 60])
@example(value={"a": ["b" * 120]})
def test_a_value_is_read_as_it_was(value: Plain) -> None:
    lines = yaml_text.entry("key", value, indent=0)
    assert read("\n".join(lines) + "\n") == {"key": value}


@given(value=strings)
def test_a_string_is_read_as_it_was_in_a_list(value: str) -> None:
    assert read(f"key:\n  - {yaml_text.scalar(value)}\n") == {"key": [value]}


@given(values=st.dictionaries(keys, values, min_size=1, max_size=3))
def test_a_mapping_is_read_as_it_was(values: dict[str, Plain]) -> None:
    assert read("\n".join(yaml_text.block_mapping("key", values, indent=0)) + "\n") == {"key": values}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("migrate --no-input", ["key: migrate --no-input"]),
        ("days ${{ today - days(1) }}", ["key: days ${{ today - days(1) }}"]),
        ('say "a b"', ['key: say "a b"']),
        ("15 2 * * *", ["key: 15 2 * * *"]),
        ("* * * * *", ['key: "* * * * *"']),
        ("no: yes", ['key: "no: yes"']),
        ("a\n  b\n", ["key: |", "  a", "    b"]),
        (["a", "b c", "1"], ['key: [a, b c, "1"]']),
        ({"a": True, "b": None}, ["key: {a: true, b: null}"]),
    ],
)
def test_values_are_quoted_only_if_they_need_it(value: Plain, expected: list[str]) -> None:
    assert yaml_text.entry("key", value, indent=0) == expected
