"""Secrets leave a text as references, and come back only where they are known."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_runbook.queues import references

NAMES = st.sampled_from(["A", "B", "C"])
SECRETS = st.dictionaries(NAMES, st.text("abcd", min_size=4, max_size=8), max_size=3)


@given(st.text("abcdx\n", max_size=60), SECRETS)
def test_a_text_comes_back_as_it_was(text: str, secrets: dict[str, str]) -> None:
    encoded = json.loads(json.dumps(references.encode(text, secrets)))
    assert references.decode(encoded, secrets) == text


@given(st.text("abcdx", max_size=20), st.text("abcdx", max_size=20), SECRETS)
def test_no_part_holds_a_secret(before: str, after: str, secrets: dict[str, str]) -> None:
    text = "".join(f"{before}{value}{after}" for value in secrets.values())
    encoded = references.encode(text, secrets)
    parts = [part for part in encoded if isinstance(part, str)]
    assert not [value for value in secrets.values() for part in parts if value in part]


def test_the_longest_secret_wins() -> None:
    secrets = {"SHORT": "abcd", "LONG": "abcdefgh"}
    assert references.encode("x abcdefgh abcd", secrets) == ["x ", ["LONG"], " ", ["SHORT"], ""]


def test_an_absent_secret_is_named() -> None:
    encoded = references.encode("abcd", {"A": "abcd"})
    assert references.names_in([encoded, ["plain"]]) == {"A"}
    with pytest.raises(KeyError, match="A"):
        references.decode(encoded, {})


def test_the_digest_depends_on_each_text_and_on_the_key(settings: object) -> None:
    first = references.digest(["ab", "c"])
    assert first == references.digest(("ab", "c"))
    assert first != references.digest(["a", "bc"])
    settings.SECRET_KEY = "another"  # type: ignore[attr-defined]  # the stubs of the fixture know no names of settings
    assert first != references.digest(["ab", "c"])
