from __future__ import annotations

import re

import pytest

from django_runbook.editor.patterns import character_class, escaped


@pytest.mark.parametrize("text", ["import_flights", "a-b", "a.b", "a/b", "(a|b)*", "a[b]{c}^$?+\\"])
def test_an_escaped_text_matches_itself(text: str) -> None:
    assert re.fullmatch(escaped(text), text)
    assert not re.fullmatch(escaped(text), f"{text}x")


def test_dashes_and_spaces_are_not_escaped() -> None:
    assert escaped("a-b c_d") == "a-b c_d"


@pytest.mark.parametrize("characters", ["-", "-+", "+-/", "^a", "]x", "\\", "[a"])
def test_a_class_matches_each_of_its_characters(characters: str) -> None:
    assert all(re.fullmatch(character_class(characters), one) for one in characters)
    assert not re.fullmatch(character_class(characters), "z")
