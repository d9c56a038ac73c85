"""Passes random valid values to random parsers: a runbook and a shell pass the same."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management.base import BaseCommand, CommandError
from hypothesis import given, settings
from hypothesis import strategies as st

from django_runbook.binding.argv import UnboundCommand, Word, bind_command
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checking_parser import CheckingParser
from django_runbook.document.codes import Severity
from django_runbook.document.diagnostics import Span
from django_runbook.document.runbook import Located, Option
from tests.examples import examples

HERE = Span(1, 1, 1, 2)
LETTERS = "abcdefgh"
# A value that is "--" itself is lost by argparse in a way that differs from version to version, and so may be refused.
TEXTS = st.text(alphabet="ab-= é1", max_size=4).filter(lambda text: text != "--")
PLAIN = st.text(alphabet="abé1", min_size=1, max_size=4)


@dataclass(frozen=True, slots=True)
class Kind:
    """Describes an option: its declaration, its values, and how a shell writes them."""

    declare: dict[str, Any]
    values: st.SearchStrategy[Any]
    spell: Callable[[str, Any], list[str]]


def joined(flag: str, value: Any) -> list[str]:
    return [f"{flag}={value}"]


def flag_or_nothing(flag: str, value: Any) -> list[str]:
    return [flag] if value else []


def several(flag: str, value: Any) -> list[str]:
    return [flag, *map(str, value)]


KINDS = {
    "text": Kind({}, TEXTS, joined),
    "integer": Kind({"type": int}, st.integers(-99, 99), joined),
    "choice": Kind({"choices": ["x", "y"]}, st.sampled_from(["x", "y"]), joined),
    "required": Kind({"required": True}, TEXTS, joined),
    "true": Kind({"action": "store_true"}, st.booleans(), flag_or_nothing),
    "const": Kind({"action": "store_const", "const": 7}, st.booleans(), flag_or_nothing),
    "count": Kind({"action": "count"}, st.integers(0, 3), lambda flag, value: [flag] * value),
    "append": Kind(
        {"action": "append"},
        st.lists(TEXTS, min_size=1, max_size=3),
        lambda flag, value: [token for item in value for token in joined(flag, item)],
    ),
    "extend": Kind({"action": "extend", "nargs": "+"}, st.lists(PLAIN, min_size=1, max_size=3), several),
    "plus": Kind({"nargs": "+"}, st.lists(PLAIN, min_size=1, max_size=3), several),
    "star": Kind({"nargs": "*"}, st.lists(PLAIN, max_size=3), several),
    "pair": Kind({"nargs": 2, "type": int}, st.lists(st.integers(0, 9), min_size=2, max_size=2), several),
    "maybe": Kind({"nargs": "?", "const": "c"}, TEXTS, joined),
    "boolean": Kind(
        {"action": argparse.BooleanOptionalAction},
        st.booleans(),
        lambda flag, value: [flag if value else flag.replace("--", "--no-", 1)],
    ),
}
POSITIONALS: dict[str, tuple[dict[str, Any], int, int]] = {
    "one": ({}, 1, 1),
    "maybe": ({"nargs": "?"}, 0, 1),
    "star": ({"nargs": "*"}, 0, 3),
    "plus": ({"nargs": "+"}, 1, 3),
    "two": ({"nargs": 2}, 2, 2),
}


@dataclass(frozen=True, slots=True)
class Case:
    """Holds a command, its values, and the two ways to pass them."""

    kinds: list[str]
    positionals: list[str]
    values: dict[str, Any]
    args: list[str]

    def build(self) -> BaseCommand:
        case = self

        class Command(BaseCommand):
            def add_arguments(self, parser: argparse.ArgumentParser) -> None:
                for index, name in enumerate(case.positionals):
                    parser.add_argument(f"position{index}", **POSITIONALS[name][0])
                for letter, kind in zip(LETTERS, case.kinds, strict=False):
                    parser.add_argument(f"--{letter * 3}-{letter}", **KINDS[kind].declare)

        return Command()

    def flag(self, letter: str) -> str:
        return f"--{letter * 3}-{letter}"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=5))
    # Several open-ended positionals share tokens by a rule of argparse: one is enough to test it.
    positionals = draw(st.lists(st.sampled_from(["one", "two"]), max_size=2))
    positionals += draw(st.lists(st.sampled_from(["maybe", "star", "plus"]), max_size=1))
    values = {}
    for letter, kind in zip(LETTERS, kinds, strict=False):
        if kind == "required" or draw(st.booleans()):
            values[letter] = draw(KINDS[kind].values)
    least = sum(POSITIONALS[name][1] for name in positionals)
    most = sum(POSITIONALS[name][2] for name in positionals)
    args = draw(st.lists(TEXTS, min_size=least, max_size=most))
    return Case(kinds, positionals, values, args)


def located(value: Any) -> Located:
    return Located(value=tuple(map(located, value)) if isinstance(value, list) else value, span=HERE)


def parsed(command: BaseCommand, tokens: list[str]) -> dict[str, Any] | None:
    try:
        return vars(command.create_parser("", "command").parse_args(tokens))
    except CommandError:
        return None


@pytest.mark.slow
@settings(max_examples=examples(200))
@given(case=cases(), spelling=st.sampled_from(["--{}", "{}", "under"]))
def test_options_and_args_pass_what_a_shell_passes(case: Case, spelling: str) -> None:
    command = case.build()
    kinds = dict(zip(LETTERS, case.kinds, strict=False))
    options = [
        token for letter, value in case.values.items() for token in KINDS[kinds[letter]].spell(case.flag(letter), value)
    ]
    # The last word before `--` ends what an open-ended option takes.
    expected = parsed(command, [*options, "--verbosity=1", *(["--"] if case.args else []), *case.args])
    assert expected is not None

    def name(letter: str) -> str:
        flag = case.flag(letter)
        return flag.lstrip("-").replace("-", "_") if spelling == "under" else spelling.format(flag.lstrip("-"))

    invocation = UnboundCommand(
        name="command",
        name_span=HERE,
        args=tuple(map(located, case.args)),
        options=tuple(
            Option(name=name(letter), name_span=HERE, value=located(value)) for letter, value in case.values.items()
        ),
    )
    spec = CommandSpec(name="command", app="test", parser=CheckingParser(command.create_parser("", "command")))
    for _ in range(2):
        binding = bind_command(invocation, spec)
        assert binding.diagnostics == ()
        assert parsed(command, list(binding.tokens)) == expected


WORDS = st.lists(
    st.one_of(
        TEXTS, st.sampled_from(["--aaa-a", "--bbb-b=1", "--aaa", "--no-aaa-a", "-x", "--", "1", "-1", "--verbosity=2"])
    ),
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=examples(200))
@given(case=cases(), words=WORDS)
def test_a_command_line_is_taken_or_refused_as_by_a_shell(case: Case, words: list[str]) -> None:
    command = case.build()
    expected = parsed(command, words)
    spec = CommandSpec(name="command", app="test", parser=CheckingParser(command.create_parser("", "command")))
    binding = bind_command(
        UnboundCommand(name="command", name_span=HERE, words=tuple(Word(text=word, span=HERE) for word in words)), spec
    )
    errors = [item for item in binding.diagnostics if item.severity is Severity.ERROR]
    if expected is None:
        assert errors
    elif errors:
        assert all(item.code == "RB403" for item in errors), "only an abbreviation is refused that a shell takes"
        assert any(word.startswith("--") and word.split("=")[0] not in {"--", "--verbosity"} for word in words)
    else:
        assert list(binding.tokens) == words
        assert parsed(command, list(binding.tokens)) == expected
