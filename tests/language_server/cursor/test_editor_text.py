from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_runbook.document.diagnostics import Span
from django_runbook.language_server.cursor.editor_text import EditorPosition, EditorText

# Characters of one, two, three and four bytes, and all line breaks: those of YAML, and those of editors.
TEXTS = st.text(alphabet="aé€😀\n\r\x85\u2028\ufeff ", max_size=30)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-32"])


@pytest.mark.parametrize(
    ("encoding", "character"),
    [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)],
)
def test_characters_are_counted_in_units_of_the_encoding(encoding: str, character: int) -> None:
    text = EditorText(text="a\n😀b", encoding=encoding)
    assert text.position_at(3) == EditorPosition(1, character)
    assert text.offset_at(EditorPosition(1, character)) == 3


@given(text=TEXTS, encoding=ENCODINGS, share=st.floats(0, 1))
def test_the_position_of_an_offset_leads_back_to_it(text: str, encoding: str, share: float) -> None:
    editor_text = EditorText(text=text, encoding=encoding)
    offset = round(share * len(text))
    if text[offset - 1 : offset + 1] != "\r\n":
        assert editor_text.offset_at(editor_text.position_at(offset)) == offset


@pytest.mark.parametrize(
    ("position", "offset"),
    [(EditorPosition(0, 99), 2), (EditorPosition(9, 0), 5), (EditorPosition(0, 1), 1)],
    ids=["after the line", "after the text", "inside"],
)
def test_a_position_outside_is_moved_to_the_text(position: EditorPosition, offset: int) -> None:
    assert EditorText(text="ab\ncd").offset_at(position) == offset


def test_a_position_inside_of_a_pair_of_surrogates_is_moved_after_it() -> None:
    assert EditorText(text="😀b").offset_at(EditorPosition(0, 1)) == 1


def test_a_span_is_found_below_line_breaks_that_only_yaml_has() -> None:
    text = EditorText(text="a\u2028b: c\nd")
    assert text.offsets_of(Span(2, 4, 2, 5)) == (5, 6)
    assert text.position_at(5) == EditorPosition(0, 5)


def test_a_byte_order_mark_is_not_counted_by_spans() -> None:
    assert EditorText(text="\ufeffsteps: []").offsets_of(Span(1, 1, 1, 6)) == (1, 6)


def test_a_span_longer_than_its_line_ends_with_the_line() -> None:
    assert EditorText(text="ab\ncd").offsets_of(Span(1, 2, 1, 50)) == (1, 2)
