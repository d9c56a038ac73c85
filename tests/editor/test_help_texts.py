from __future__ import annotations

import argparse
import enum
import math
from pathlib import Path
from typing import Any

import pytest
from django.utils.functional import lazystr

from django_runbook.editor.help_texts import help_of, is_plain, plain, usage_of


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    ONE = "one"


def help_with(**declaration: Any) -> str:
    parser = argparse.ArgumentParser(prog="manage.py noop")
    return help_of(parser.add_argument("--it", **declaration), parser)


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ({}, ""),
        ({"help": argparse.SUPPRESS}, ""),
        ({"help": "At  most\n %(default)s of %(prog)s.", "default": 3}, "At most 3 of manage.py noop."),
        ({"help": "One of %(choices)s.", "choices": ["a", "b"]}, "One of a, b."),
        ({"help": "A %(type)s.", "type": int}, "A int."),
        ({"help": "100 %"}, "100 %"),
        ({"help": "%(unknown)s"}, "%(unknown)s"),
        ({"help": lazystr("Later")}, "Later"),
        ({"help": "In %(default)s.", "default": Path("/srv/project")}, "In …."),
        ({"help": "In %(default)s.", "default": "/srv/project"}, "In …."),
        ({"help": "Is %(default)s.", "default": "hunter22", "dest": "api_token"}, "Is …."),
    ],
)
def test_the_help_is_that_of_argparse_without_paths_and_secrets(declaration: dict[str, Any], expected: str) -> None:
    assert help_with(**declaration) == expected


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "one", Number.ONE, Word.ONE], ids=repr)
def test_plain_values_lose_their_class(value: Any) -> None:
    assert is_plain(value)
    assert plain(value) == value
    assert type(plain(value)) in {type(None), bool, int, float, str}


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, (), {}, object()], ids=lambda value: type(value).__name__ + str(value)[:3]
)
def test_other_values_are_not_plain(value: Any) -> None:
    assert not is_plain(value)


def test_the_usage_has_positional_arguments_and_required_options() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("one")
    parser.add_argument("maybe", nargs="?", metavar="MAYBE")
    parser.add_argument("rest", nargs="*")
    parser.add_argument("-d", "--day", required=True)
    parser.add_argument("--size")
    assert usage_of("noop", parser) == "noop one [MAYBE] [rest …] --day … [options]"


def test_the_usage_has_sub_commands() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    commands.add_parser("import")
    commands.add_parser("export")
    assert usage_of("noop", parser) == "noop {import,export} [options]"
