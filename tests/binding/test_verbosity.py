"""Passes the verbosity of the run to commands that accept it, lack it, or override it in a sub-command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management.base import BaseCommand

from tests.binding.local import bind, command_of, parsed


def lacking(parser: argparse.ArgumentParser) -> None:
    action = parser._option_string_actions["--verbosity"]
    parser._handle_conflict_resolve(action, [(flag, action) for flag in ("-v", "--verbosity")])


def narrow(parser: argparse.ArgumentParser) -> None:
    lacking(parser)
    parser.add_argument("--verbosity", type=int, choices=[0, 1], default=1)


def another(parser: argparse.ArgumentParser) -> None:
    lacking(parser)
    parser.add_argument("--verbosity", choices=["quiet", "loud"], default="quiet")


def resetting(parser: argparse.ArgumentParser) -> None:
    go = parser.add_subparsers(dest="sub", required=True).add_parser("go")
    go.add_argument("--verbosity", type=int, default=1)


def plain_subcommand(parser: argparse.ArgumentParser) -> None:
    parser.add_subparsers(dest="sub", required=True).add_parser("go").add_argument("words", nargs="*")


def excluding(parser: argparse.ArgumentParser) -> None:
    lacking(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--verbosity", type=int, default=1)
    group.add_argument("--silent", action="store_true")


CASES: dict[str, tuple[Callable[[argparse.ArgumentParser], object], list[str], Any]] = {
    "the usual one": (lambda parser: None, [], 2),
    "given by the step": (lambda parser: None, ["-v", "0"], 0),
    "other choices": (narrow, [], 1),
    "other values": (another, [], "quiet"),
    "a default in a sub-command": (resetting, ["go"], 2),
    "none in a sub-command": (plain_subcommand, ["go", "x"], 2),
    "given in the sub-command": (resetting, ["go", "--verbosity=3"], 3),
    "excluded by another option": (excluding, ["--silent"], 1),
    "not excluded": (excluding, [], 2),
}


@pytest.mark.parametrize(("declare", "words", "verbosity"), CASES.values(), ids=CASES.keys())
def test_the_verbosity_reaches_a_command_that_takes_it(
    declare: Callable[[argparse.ArgumentParser], object], words: list[str], verbosity: object
) -> None:
    command = command_of(declare)
    binding = bind(command, words, verbosity=2)
    assert binding.diagnostics == ()
    given = parsed(command, binding.tokens)
    assert given is not None
    assert given["verbosity"] == verbosity
    without = parsed(command, words)
    assert without is not None
    assert {**given, "verbosity": 0} == {**without, "verbosity": 0}


def test_a_command_that_lacks_the_option_gets_none() -> None:
    command = command_of(lacking)
    assert bind(command, verbosity=2).tokens == ()


def test_the_step_of_an_open_ended_option_keeps_its_values() -> None:
    class Command(BaseCommand):
        def add_arguments(self, parser: argparse.ArgumentParser) -> None:
            parser.add_argument("--some", nargs="+")
            parser.add_subparsers(dest="sub").add_parser("go").add_argument("--verbosity", type=int, default=1)

    command = Command()
    binding = bind(command, ["go"], options={"some": ["a", "b"]}, verbosity=3)
    given = parsed(command, binding.tokens)
    assert given is not None
    assert (given["some"], given["sub"], given["verbosity"]) == (["a", "b"], "go", 3)
