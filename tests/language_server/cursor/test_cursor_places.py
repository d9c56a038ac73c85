from __future__ import annotations

import pytest

from django_runbook.language_server.cursor.cursor_places import places_at
from tests.language_server.support import ask

# The text with the cursor, and each place: the keys and indexes that lead to it, and the value around the cursor.
PLACES = {
    "a value": ("name: Nig¦htly\n", ["name = Nig¦htly"]),
    "a key with a value": ("na¦me: Nightly\n", ["key = na¦me"]),
    "a word that may become a key": ("steps:\n  - im¦\n", ["steps 0 key = im¦", "steps 0 = im¦"]),
    "an empty entry": ("steps:\n  - ¦\n  - noop\n", ["steps 0 key = ¦", "steps 0 = ¦"]),
    "an empty line between keys": (
        "steps:\n  - command: noop\n    ¦\n    retry: 3\n",
        ["steps 0 key = ¦"],
    ),
    "an empty line that continues a string": (
        "steps:\n  - noop\n    ¦\n",
        ["steps 0 = noop ¦"],
    ),
    "an empty mapping": ("steps:\n  - command: noop\n    options:\n      ¦\n", ["steps 0 options key = ¦", "steps 0 options = ¦"]),
    "inside of brackets": ("tags: [a, ¦]\n", ["tags 1 = ¦"]),
    "inside of open brackets": ("tags: [a, ¦\nname: x\n", ["tags 1 = ¦"]),
    "inside of open braces": ("lock: {on_con¦\nname: x\n", ["lock key = on_con¦"]),
    "inside of an open quote": ('name: "Nig¦\nsteps: [noop]\n', ["name = Nig¦"]),
    "a quoted value with escapes": ('name: "\\u00e9 a¦b"\n', ["name = é a¦b"]),
    "a block": ("name: |\n  one\n  t¦wo\n", ["name = one\nt¦wo"]),
    "a comment": ("name: x # ¦\n", []),
    "below an error": ("lock: {name: [}\nsteps:\n  - no¦op\n", ["steps 0 key = no¦op", "steps 0 = no¦op"]),
    "above an error in the same step": (
        "steps:\n  - command: no¦op\n    tags: [a\n   x: y\n",
        ["steps 0 command = no¦op"],
    ),
    "an empty file": ("¦", ["key = ¦", "= ¦"]),
}  # fmt: skip


def shown(text: str) -> list[str]:
    question = ask(text)
    found = []
    for place in places_at(question.text, question.offset):
        names = [str(name) for _, name in place.around[: -1 if place.is_key else None]]
        found.append(f"{' '.join([*names, *(['key'] if place.is_key else [])])} = {place.before}¦{place.after}".strip())
    return found


@pytest.mark.parametrize(("text", "expected"), PLACES.values(), ids=PLACES)
def test_the_place_of_the_cursor_is_found(text: str, expected: list[str]) -> None:
    assert shown(text) == expected


def test_a_text_that_contains_the_mark_has_places_too() -> None:
    assert shown("name: zcursorz ¦\n") == ["name = zcursorz ¦"]
