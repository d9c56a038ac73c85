"""Binds values that look like options, files of arguments or shell syntax: none of them becomes one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management.base import BaseCommand, CommandParser

from django_runbook.binding.argv import Binding, UnboundCommand, Word, bind_command
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checking_parser import CheckingParser
from django_runbook.binding.partial_text import UNKNOWN, PartialText, has_holes, joined
from django_runbook.document.diagnostics import Diagnostic, has_errors
from tests.binding.local import HERE, located
from tests.planning.test_plan import codes_of, plan_of


class Command(BaseCommand):
    """Has options with two kinds of prefixes, numbers, and a sub-command with other prefixes."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, prefix_chars="-+", **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*")
        parser.add_argument("--offset", type=int)
        parser.add_argument("--pair", type=int, nargs=2)
        parser.add_argument("-q", action="store_true")
        parser.add_argument("-f", action="store_true")
        parser.add_argument("-n")
        parser.add_argument("++force", action="store_true")


class Files(BaseCommand):
    """Has a sub-command that reads arguments from files."""

    def add_arguments(self, parser: CommandParser) -> None:
        go = parser.add_subparsers(dest="sub", parser_class=argparse.ArgumentParser).add_parser(
            "go", fromfile_prefix_chars="@", prefix_chars="-/"
        )
        go.add_argument("words", nargs="*")
        go.add_argument("--name")
        go.add_argument("/all", action="store_true")


def bind(command: BaseCommand, *words: str | tuple[str, str], args: list[Any] | None = None) -> Binding:
    """Bind words; a pair is written text followed by a value."""
    spec = CommandSpec(name="command", app="test", parser=CheckingParser(command.create_parser("", "command")))
    invocation = UnboundCommand(
        name="command",
        name_span=HERE,
        words=tuple(
            Word(text=word, span=HERE)
            if isinstance(word, str)
            else Word(text="".join(word), span=HERE, written_length=len(word[0]))
            for word in words
        ),
        args=tuple(map(located, args or ())),
    )
    return bind_command(invocation, spec)


def only(binding: Binding) -> Diagnostic:
    (diagnostic,) = binding.diagnostics
    return diagnostic


REFUSED: dict[str, tuple[Callable[[], Binding], str]] = {
    "an option": (lambda: bind(Command(), ("", "--offset=1")), "args"),
    "an option of another prefix": (lambda: bind(Command(), ("", "++force")), "args"),
    "a short option": (lambda: bind(Command(), "x", ("", "-q")), "args"),
    "what is no option at all": (lambda: bind(Command(), ("", "-unknown")), "args"),
    "the value of an option": (lambda: bind(Command(), "--offset", ("", "-x")), 'write "--offset=${{ … }}"'),
    "the value of several": (lambda: bind(Command(), "--pair", "1", ("", "-x")), '"options", as "pair"'),
    "a number that is a positional": (lambda: bind(Command(), ("", "-5")), "args"),
    "the rest of short flags": (lambda: bind(Command(), ("-q", "f")), "in full"),
    "two dashes": (lambda: bind(Command(), ("", "--")), "args"),
    "a prefix of a sub-command": (lambda: bind(Files(), "go", ("", "/all")), "args"),
    "a file of a sub-command": (lambda: bind(Files(), "go", ("", "@file")), "positional argument"),
    "a file as the value of an option": (lambda: bind(Files(), "go", "--name", ("", "@file")), "--name=${{"),
    "a file in args": (lambda: bind(Files(), "go", args=["a", "@file"]), "positional argument"),
}


@pytest.mark.parametrize(("make", "way_out"), REFUSED.values(), ids=REFUSED.keys())
def test_a_value_that_would_become_an_option_or_a_file_is_refused(make: Callable[[], Binding], way_out: str) -> None:
    diagnostic = only(make())
    assert diagnostic.code == "RB410"
    assert way_out in diagnostic.help


TAKEN: dict[str, Callable[[], Binding]] = {
    "after an equals sign": lambda: bind(Command(), ("--offset=", "-5")),
    "a number right after its option": lambda: bind(Command(), "--offset", ("", "-5")),
    "numbers after an option": lambda: bind(Command(), "--pair", ("", "-1"), ("", "-2")),
    "the value of a short option": lambda: bind(Command(), ("-n", "-x")),
    "after written text": lambda: bind(Command(), ("x", "--offset=1")),
    "a prefix of another parser": lambda: bind(Command(), ("", "@file")),
    "a prefix in args": lambda: bind(Command(), args=["++force", "-q", "--", "-5"]),
    "a file after an equals sign": lambda: bind(Files(), "go", ("--name=", "@file")),
    "what is written": lambda: bind(Command(), "-q", "++force", "-5"),
    "unknown yet": lambda: bind(Command(), joined("--offset=", UNKNOWN)),
}


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN.keys())
def test_a_value_that_stays_a_value_is_accepted(make: Callable[[], Binding]) -> None:
    binding = make()
    assert binding.diagnostics == ()
    assert binding.tokens


@pytest.mark.parametrize("text", ["$HOME", "&&", "|", "$(rm)", ">"])
def test_only_written_text_is_shell_syntax(text: str) -> None:
    assert only(bind(Command(), text)).code == "RB411"
    assert bind(Command(), ("", text)).diagnostics == ()
    assert bind(Command(), args=[text]).diagnostics == ()


@pytest.mark.parametrize("value", ["?", "\ufdd0", "\ufffd", "${{ x }}"])
def test_no_value_is_read_as_unknown(value: str) -> None:
    steps = "  - {command: migrate, options: {verbosity: '${{ params.mode }}'}}\n"
    assert codes_of(steps.replace("params.mode", f'"{value}"'.replace("$", "$" if "{" not in value else ""))) == [
        "RB404"
    ]


def test_a_hole_keeps_its_place() -> None:
    text = joined("a=", UNKNOWN, "=b")
    assert isinstance(text, PartialText)
    assert [has_holes(part) for part in text.partition("=")] == [False, False, True]
    assert [has_holes(part) for part in text.split("=", 1)] == [False, True]
    assert [has_holes(part) for part in text.split("=")] == [False, True, False]
    assert not has_holes(text[:2])
    assert not has_holes("a=?=b")
    assert [text.partition("x"), joined("a", "b")] == [("a=?=b", "", ""), "ab"]


def test_a_plan_shows_unknown_values_and_quotes_a_question_mark() -> None:
    planned = plan_of("  - {id: one, command: say a, capture: text}\n  - 'say ? x${{ steps.one.output }}'\n")
    assert not has_errors(planned.diagnostics)
    assert [has_holes(token) for token in planned.steps["say"].binding.tokens] == [False, True]
