from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_runbook.document.commandline import split
from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import Expression, Template, parse_template
from django_runbook.importing.translation.pieces import (
    Expr,
    Literal,
    Pieces,
    as_expression,
    as_text,
    as_token,
    base_name,
    literal_of,
)

PLACE = Span(1, 1, 1, 2)
SIGNS = st.sampled_from(["$", "${{", "}}", "'", '"', "\\", " ", "$$", "a", "{", "#", "|", "\n"])
texts = st.one_of(st.lists(SIGNS, max_size=6).map("".join), st.text(st.characters(codec="utf-8"), max_size=8))
pieces = st.lists(st.one_of(texts.map(lambda text: Literal(text=text)), st.just(Expr(source="item"))), max_size=4).map(
    tuple
)


def parts_of(value: object) -> list[str]:
    """The texts of a value, with its expressions as a NUL."""
    if isinstance(value, str):
        return [value]
    assert isinstance(value, Template)
    # An expression of dollar signs has them as its value.
    return [
        part if isinstance(part, str) else part.source.strip('"') if set(part.source) == set('"$') else "\0"
        for part in value.parts
        if isinstance(part, str | Expression)
    ]


def expected(several: Pieces) -> str:
    return "".join(one.text if isinstance(one, Literal) else "\0" for one in several)


@given(several=pieces)
def test_a_word_is_one_token_with_its_value(several: Pieces) -> None:
    tokens, diagnostics = split(as_token(several), lambda start, end: PLACE)
    assert diagnostics == []
    assert ["".join(parts_of(token.value)) for token in tokens] == [expected(several)]


@given(several=pieces)
def test_a_word_is_a_string_with_its_value(several: Pieces) -> None:
    value, diagnostics = parse_template(as_text(several), lambda start, end: PLACE)
    assert diagnostics == []
    assert "".join(parts_of(value)) == expected(several)


@pytest.mark.parametrize(
    ("several", "source"),
    [
        ((), '""'),
        ((Literal(text="a"),), '"a"'),
        ((Literal(text='say "a"'),), "'say \"a\"'"),
        ((Expr(source="params.x"),), "params.x"),
        ((Expr(source="today", is_text=False),), "(today | string)"),
        ((Literal(text="a-"), Expr(source="env.X")), '"a-" ~ env.X'),
    ],
)
def test_a_word_is_an_expression(several: Pieces, source: str) -> None:
    assert as_expression(several) == source


@pytest.mark.parametrize(
    ("several", "name", "literal"),
    [
        ((Literal(text="/srv/env/bin/python"),), "python", "/srv/env/bin/python"),
        ((Expr(source="env.X"), Literal(text="/bin/python")), "python", None),
        ((Expr(source="vars.x", literal="/srv"), Literal(text="/manage.py")), "manage.py", "/srv/manage.py"),
        ((Expr(source="env.X"),), "", None),
        ((Literal(text="bin/"), Expr(source="env.X")), "", None),
    ],
)
def test_the_name_of_a_program_is_known_or_empty(several: Pieces, name: str, literal: str | None) -> None:
    assert (base_name(several), literal_of(several)) == (name, literal)
