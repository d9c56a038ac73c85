"""Makes labels of items: each is short and shows no part of a secret."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import ExpressionError, parse_template
from django_runbook.document.loops import digest_of, items_of, label_of
from django_runbook.document.runbook import Located


def unmasked(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("item", "label"),
    [
        ("EWR", "EWR"),
        (3, "3"),
        (True, "true"),
        (None, "null"),
        (datetime.date(2013, 1, 31), "2013-01-31"),
        (["EWR", 3, None], "EWR, 3, null"),
        ({"origin": "EWR", "mode": "full"}, "EWR, full"),
        ({"a": {"b": [1, 2]}}, "{b: [1, 2]}"),
        ("a  b\n\tc ", "a b c"),
        ("x" * 100, "x" * 59 + "…"),
        (10**600, "1" + "0" * 58 + "…"),
        ("", ""),
        ([], ""),
        (datetime.timedelta(hours=1), "1:00:00"),
    ],
)
def test_a_label_is_one_short_line(item: object, label: str) -> None:
    assert label_of(item, mask=unmasked) == label


def test_a_secret_is_masked_before_a_label_is_shortened() -> None:
    secret = "s3cret-" + "x" * 80
    label = label_of([secret, "b"], mask=lambda text: text.replace(secret, "***"))
    assert label == "***, b"


# The same characters as by default, which are tried against the codec one by one.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    item=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
        lambda one: st.lists(one) | st.dictionaries(TEXTS, one),
        max_leaves=20,
    )
)
def test_every_item_has_a_label_and_a_digest(item: object) -> None:
    label = label_of(item, mask=unmasked)
    assert len(label) <= 60
    assert "\n" not in label
    assert len(digest_of(item, mask=unmasked)) == 64


def items(source: str, value: object) -> tuple[object, ...]:
    span = Span(1, 1, 1, 2)
    template, _ = parse_template(f"${{{{ {source} }}}}", lambda start, end: span)
    return items_of(Located(value=template, span=span), {"v": value})


# It makes lists of millions of items.
@pytest.mark.slow
def test_items_that_are_too_large_together_are_refused() -> None:
    large = json.loads("[" + ",".join(["1"] * 100_000) + "]")
    assert len(items("[v, v]", large)) == 2
    with pytest.raises(ExpressionError, match="operations"):
        items("[v] * 100", large)


# It makes lists of millions of items.
@pytest.mark.slow
def test_a_product_shares_its_lists_but_is_counted_in_full() -> None:
    span = Span(1, 1, 1, 2)
    one, other = (
        Located(value=tuple(Located(value=n, span=span) for n in range(100)), span=span),
        parse_template("${{ [v] }}", lambda start, end: span)[0],
    )
    for_each = Located(value={"a": one, "b": Located(value=other, span=span)}, span=span)
    assert len(items_of(for_each, {"v": [1] * 100})) == 100
    with pytest.raises(ExpressionError, match="too large"):
        items_of(for_each, {"v": [1] * 100_000})
