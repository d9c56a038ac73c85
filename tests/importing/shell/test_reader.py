from __future__ import annotations

import pytest

from django_runbook.importing.shell import nodes
from django_runbook.importing.shell.nodes import Node
from django_runbook.importing.shell.reader import read_statements
from django_runbook.importing.shell.words import ShellWord, Text, Variable


def only(text: str) -> Node:
    (node,) = read_statements(text)
    return node


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a b", nodes.Simple),
        ("A=1", nodes.Assignments),
        ("export A", nodes.Assignments),
        ("a && b", nodes.AndOr),
        ("a | b", nodes.Pipeline),
        ("! a", nodes.Negation),
        ("a &", nodes.Background),
        ("(a)", nodes.Compound),
        ("{ a; } > b", nodes.Compound),
        ("if a; then b; fi", nodes.If),
        ("for x in a; do b; done", nodes.For),
        ("until a; do b; done", nodes.While),
        ("f() { a; }", nodes.Function),
        ("[ a = b ]", nodes.Condition),
        ("test a = b", nodes.Condition),
        ("# a", nodes.Remark),
        ("case a in b) c;; esac", nodes.Foreign),
        ("select x in a; do b; done", nodes.Foreign),
        ("for x; do a; done", nodes.Foreign),
        ("((x++))", nodes.Foreign),
        ("if a; then", nodes.Foreign),
    ],
)
def test_each_statement_has_its_kind(text: str, kind: type[Node]) -> None:
    assert isinstance(only(text), kind)


def test_statements_know_their_lines() -> None:
    text = "a\n\nif b; then\n  c\nfi\n"
    first, second = read_statements(text, first_line=10)
    assert (first.line, second.line) == (10, 12)
    assert isinstance(second, nodes.If)
    assert second.branches[0].statements[0].line == 13
    assert second.source == "if b; then\n  c\nfi"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a 'b c' d\\ e \"f\\\"g\" $'h\\ti'", ["a", "b c", "d e", 'f"g', "h\ti"]),
        ('a b"c"\'d\' "" 1', ["a", "bcd", "", "1"]),
        ("a --x=1 \\\n  b", ["a", "--x=1", "b"]),
        ("a '${{ x }}' \"  b \"", ["a", "${{ x }}", "  b "]),
        # The parser makes two words of these.
        ("a w'c d'\\$X", ["a", "wc d$X"]),
    ],
)
def test_quotes_are_resolved(text: str, values: list[str]) -> None:
    node = only(text)
    assert isinstance(node, nodes.Simple)
    assert [word.literal for word in node.words] == values


@pytest.mark.parametrize(
    ("word", "variable"),
    [
        ("$A", Variable(name="A")),
        ('"$A"', Variable(name="A", is_quoted=True)),
        ("${A:-b}", Variable(name="A", operator=":-", default=(Text(value="b"),))),
        ("${A:?b}", Variable(name="A", operator=":?", default=(Text(value="b"),))),
        ("$1", Variable(name="1")),
        ('"$@"', Variable(name="@", is_quoted=True)),
    ],
)
def test_variables_are_kept(word: str, variable: Variable) -> None:
    node = only(f"a {word}")
    assert isinstance(node, nodes.Simple)
    found = node.words[1]
    assert isinstance(found, ShellWord)
    assert found.parts[0] == variable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <<'EOF'\n  b $c\n\nd\nEOF\n", "  b $c\n\nd\n"),
        ("a <<EOF\n  b \\$c\nEOF\n", "  b $c\n"),
        ("a <<-EOF\n\tb\n\t\tc\n\tEOF\n", "b\nc\n"),
        ("a <<EOF\nEOF\n", ""),
        ("a <<< 'b'\n", "b\n"),
    ],
)
def test_the_text_of_a_here_document_is_whole(text: str, expected: str) -> None:
    node = only(text)
    assert isinstance(node, nodes.Simple)
    (redirect,) = node.redirects
    assert redirect.text is not None
    assert redirect.text.literal == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\nb 'c\n", "it cannot be read as shell: see line 2, column 2"),
        ("if a; then\n", "it cannot be read as shell: see line 1, column 11"),
        ("{ " * 61 + "a" + "; }" * 61, "it is nested too deeply"),
    ],
)
def test_what_cannot_be_read_has_a_place(text: str, reason: str) -> None:
    def reasons(found: object) -> list[str]:
        if isinstance(found, nodes.Foreign):
            return [found.reason]
        inside = getattr(found, "statements", ())
        return [one for node in inside for one in reasons(node)]

    assert [one for node in read_statements(text) for one in reasons(node)] == [reason]
