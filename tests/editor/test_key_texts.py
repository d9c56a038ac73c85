from __future__ import annotations

import re

import pytest

from django_runbook.document.keys import NODE_KEYS, Kind
from django_runbook.document.validation.schema import FIELDS
from django_runbook.editor.key_texts import KEY_TEXTS, markdown_of, text_of
from tests.documentation import DOCS, headings_of

KEYS = [(kind, key) for kind in Kind for key in sorted({*NODE_KEYS[kind], *FIELDS[kind]})]


@pytest.mark.parametrize(("kind", "key"), KEYS)
def test_each_key_has_a_sentence_and_a_section_of_the_reference(kind: Kind, key: str) -> None:
    assert text_of(kind, key).endswith(".")
    [anchor] = re.findall(r"file\.md#(\w+)\)$", markdown_of(kind, key))
    headings = headings_of(DOCS / "reference" / "file.md", level=3)
    assert anchor in {heading.strip("`$") for heading in headings}


def test_each_sentence_is_about_a_key() -> None:
    assert set(KEY_TEXTS) == {key for _, key in KEYS}


def test_a_key_is_shown_with_its_examples() -> None:
    assert "```yaml\nretry: 3\nretry: {attempts: 3, delay: 10s}\n```" in markdown_of(Kind.COMMAND, "retry")


def test_a_key_of_two_meanings_has_a_sentence_for_each() -> None:
    assert text_of(Kind.LOCK, "name") != text_of(Kind.FILE, "name")
