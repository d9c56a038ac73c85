"""A hint names a word only if that was meant."""

from __future__ import annotations

import pytest

from django_runbook.document.diagnostics import nearest, typo_of
from django_runbook.document.foreign import FOREIGN
from django_runbook.document.keys import EXPECTED, NODE_KEYS, NOT_YET, Kind
from django_runbook.document.schema import MODELS

KEYS = sorted({key for kind in Kind for key in (*NODE_KEYS[kind], *MODELS[kind].model_fields)})


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
def test_a_misspelt_key_is_known_by_its_letters(word: str, key: str | None) -> None:
    assert typo_of(word, KEYS) == key


def test_no_word_of_another_tool_is_a_key_of_ours() -> None:
    assert set(KEYS) & set(FOREIGN) == {"until", "delay"}


def test_each_help_for_a_foreign_word_names_keys_that_exist() -> None:
    named = {word for text in FOREIGN.values() for word in text.split('"')[1::2] if word.isidentifier()}
    ours = {*KEYS, *EXPECTED, *NOT_YET}
    others = {"not", "10m", "90s", "nice", "ionice"}
    assert {word for word in named if word not in ours | others} == set()


def test_what_is_long_is_not_compared() -> None:
    assert nearest("x" * 1_000_000, ["x"]) is None
    assert nearest("x", ["x" * 1_000_000, "xy"]) == "xy"
