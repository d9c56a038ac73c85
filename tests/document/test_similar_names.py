"""Finds the intended word for a misspelled one, and nothing for other words."""

from __future__ import annotations

import pytest

from django_runbook.document.keys import EXPECTED, NODE_KEYS, Kind
from django_runbook.document.similar_names import nearest, typo_of
from django_runbook.document.validation.foreign import FOREIGN
from django_runbook.document.validation.schema import FIELDS

KEYS = sorted({key for kind in Kind for key in (*NODE_KEYS[kind], *FIELDS[kind])})


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("comand", "command"), ("ocmmand", "command"), ("commadn", "command"), ("commands", "command"), ("ommand", "command"),
        ("tiemout", "timeout"), ("maxParallel", "max_parallel"), ("max-parallel", "max_parallel"), ("no-log", "no_log"),
        ("noLog", "no_log"), ("Timeout", "timeout"), ("for-each", "for_each"), ("arg", "args"), ("tag", "tags"), ("lok", "lock"),
        ("log", None), ("stdout", None), ("then", None), ("mode", None), ("user", None), ("run", None), ("file", None), ("x", None),
        ("note", None), ("date", None), ("hidden", None), ("failfast", "fail_fast"), ("failure", None), ("success", None),
        ("x" * 100_000, None), ("\ud800", None), ("", None),
    ],
)  # fmt: skip
def test_a_misspelled_key_is_recognized(word: str, key: str | None) -> None:
    assert typo_of(word, KEYS) == key


def test_the_words_of_other_tools_are_not_our_keys() -> None:
    assert set(KEYS) & set(FOREIGN) == {"until", "delay", "cron", "notify"}


def test_hints_for_foreign_words_name_existing_keys() -> None:
    named = {word for text in FOREIGN.values() for word in text.split('"')[1::2] if word.isidentifier()}
    ours = {*KEYS, *EXPECTED}
    others = {"not", "10m", "90s", "nice", "ionice"}
    assert {word for word in named if word not in ours | others} == set()


def test_long_words_are_not_compared() -> None:
    assert nearest("x" * 1_000_000, ["x"]) is None
    assert nearest("x", ["x" * 1_000_000, "xy"]) == "xy"
