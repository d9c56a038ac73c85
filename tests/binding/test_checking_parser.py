"""Checks unusual parsers: valid arguments are accepted, and nothing is changed."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from django_runbook.binding.partial_text import UNKNOWN, joined
from django_runbook.document.codes import Severity
from tests.binding.local import Declare, argument, bind, command_of, errors, parsed


class KeyValue(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        key, value = values.split(sep="=", maxsplit=1)
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), key: value})


class Once(argparse.Action):
    was_seen = False

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if self.was_seen:
            raise argparse.ArgumentError(self, "only once")
        self.was_seen = True
        setattr(namespace, self.dest, values)


class Opening(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, open(values, "w"))  # noqa: PTH123, SIM115 - as commands do


def subcommands(parser: argparse.ArgumentParser) -> None:
    choices = parser.add_subparsers(dest="sub", required=True)
    choices.add_parser("import").add_argument("--limit", type=int)
    show = choices.add_parser("show")
    show.add_argument("--version")
    show.add_argument("--settings")


def with_several(parser: argparse.ArgumentParser) -> None:
    go = parser.add_subparsers(dest="sub").add_parser("go")
    go.add_argument("--more", nargs="+")
    go.add_argument("name")


def reading_files(parser: argparse.ArgumentParser) -> None:
    parser.fromfile_prefix_chars = "@"
    parser.add_argument("names", nargs="*")


def ignoring_the_rest(parser: Any) -> None:
    original = parser.parse_known_args
    parser.parse_args = lambda args=None, namespace=None: original(args, namespace)[0]


def ignoring_some(parser: Any) -> None:
    ignoring_the_rest(parser)
    parser.add_argument("--some", nargs="+")


def existing(text: str) -> str:
    if not os.path.exists(text):  # noqa: PTH110 - as commands do
        raise argparse.ArgumentTypeError(f"{text} is not there")
    return text


TAKEN: dict[str, tuple[Declare, list[str]]] = {
    "a positional with the name of a refused option": (argument("settings", nargs="*"), ["a", "b"]),
    "a sub-command's own --version": (subcommands, ["show", "--version", "3"]),
    "a sub-command's own --settings": (subcommands, ["show", "--settings=x"]),
    "a custom action that splits": (argument("--set", action=KeyValue), ["--set", "a=b", "--set=c=d"]),
    "an action that remembers": (argument("--set", action=Once), ["--set", "a"]),
    "a parser that ignores what it does not know": (ignoring_the_rest, ["--what", "ever"]),
    "a file of arguments": (reading_files, ["@/nowhere/arguments"]),
    "an unknown sub-command": (subcommands, [UNKNOWN, "--limit", "3"]),
    "an unknown pair": (argument("--set", action=KeyValue), ["--set", UNKNOWN]),
    "an unknown option": (argument("--set"), [joined("--", UNKNOWN, "=3")]),
    "several unknown choices": (argument("--set", nargs="+", choices=["a"]), ["--set", UNKNOWN, "a"]),
    "a database that is a file": (argument("--database"), ["--database", "x.sqlite"]),
    "several databases": (argument("--database"), ["--database", "default,replica"]),
}


@pytest.mark.parametrize(("declare", "words"), TAKEN.values(), ids=TAKEN.keys())
def test_arguments_that_a_shell_accepts_are_accepted(declare: Declare, words: list[str]) -> None:
    binding = bind(command_of(declare), words, databases=("default", "replica"))
    assert binding.diagnostics == ()
    assert list(binding.tokens) == words


def test_an_unknown_subcommand_keeps_its_options_for_later() -> None:
    binding = bind(command_of(subcommands), [UNKNOWN], options={"limit": 3})
    assert (binding.diagnostics, binding.is_checked) == ((), False)


def effects(path: Path) -> Iterable[tuple[Declare, str]]:
    yield argument("--file", type=lambda text: open(text, "w")), "a lambda"  # noqa: PTH123, SIM115 - as commands do
    yield argument("--file", type=functools.partial(open, mode="w")), "a partial"
    yield argument("--file", type=lambda text: Path(text).open("w")), "a method"  # noqa: SIM115 - as commands do
    yield argument("--file", type=lambda text: Path(text).write_text("")), "a write"
    yield argument("--file", type=argparse.FileType("w")), "argparse's own"
    yield argument("--file", type=rewritten), "a helper"
    yield argument("--file", action=Opening), "an action"


def rewritten(text: str) -> str:
    truncate(text)
    return text


def truncate(text: str) -> None:
    Path(text).write_text("")


@pytest.mark.parametrize("index", range(7))
def test_checking_does_not_touch_files(tmp_path: Path, index: int) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    declare, label = list(effects(tmp_path))[index]
    for path in (precious, tmp_path / "missing" / "file"):
        assert bind(command_of(declare), ["--file", str(path)]).diagnostics == (), label
        assert bind(command_of(declare), options={"file": str(path)}).diagnostics == (), label
    assert precious.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [precious]


def test_a_file_that_an_earlier_step_may_create_is_a_warning() -> None:
    binding = bind(command_of(argument("--file", type=existing)), ["--file", "/nowhere"])
    (diagnostic,) = binding.diagnostics
    assert (diagnostic.code, diagnostic.severity, binding.is_checked) == ("RB402", Severity.WARNING, False)
    assert "/nowhere is not there" in diagnostic.message
    assert binding.tokens == ("--file", "/nowhere")


WRONG: dict[str, tuple[Declare, list[str], dict[str, Any], str]] = {
    "text for a count": (argument("-q", "--quiet", action="count"), [], {"quiet": "2"}, "RB404"),
    "less than no count": (argument("-q", "--quiet", action="count"), [], {"quiet": -1}, "RB404"),
    "text for a flag's dest": (argument("--on", dest="state", action="store_true"), [], {"state": "no"}, "RB404"),
    "another constant": (argument("--on", dest="state", action="store_const", const=5), [], {"state": 6}, "RB404"),
    "no opposite": (argument("-f", action=argparse.BooleanOptionalAction), [], {"f": False}, "RB404"),
    "a denial": (argument("--no-x", action=argparse.BooleanOptionalAction), [], {"no-x": False}, "RB404"),
    "nothing for several": (argument("--some", nargs=2), [], {"some": ""}, "RB404"),
    "a dash among several": (argument("--some", nargs=2), [], {"some": ["a", "-b"]}, "RB408"),
    "a dash that a parser ignores": (ignoring_some, [], {"some": ["a", "-b"]}, "RB408"),
    "an abbreviation that a parser knows": (ignoring_some, ["--som", "a"], {}, "RB403"),
    "a dash in front of several": (argument("--some", nargs="+"), [], {"some": ["-a", "b"]}, "RB408"),
    "a word with a message's word": (argument("--x"), ["--is-required"], {}, "RB403"),
    "a variable of the shell": (argument("x", nargs="*"), ["$HOME"], {}, "RB411"),
    "a type that divides by zero": (argument("--x", type=lambda text: 1 / 0), ["--x=1"], {}, "RB404"),
    "a type that exits": (argument("--x", type=lambda text: sys.exit(3)), ["--x=1"], {}, "RB404"),
    "one of several databases": (
        argument("--database", nargs="+", default=["default"]),
        ["--database", "default", "repica"],
        {},
        "RB416",
    ),
}


@pytest.mark.parametrize(("declare", "words", "options", "code"), WRONG.values(), ids=WRONG.keys())
def test_invalid_arguments_are_refused(declare: Declare, words: list[str], options: dict[str, Any], code: str) -> None:
    binding = bind(command_of(declare), words, options=options, databases=("default", "replica"))
    assert {item.code for item in errors(binding)} == {code}


def test_all_errors_of_a_step_are_reported_at_once() -> None:
    command = command_of(
        argument("names", nargs="*"), argument("--mode", choices=["full"]), argument("--size", type=int)
    )
    binding = bind(command, ["--size", "big"], args=[True], options={"mod": "x", "mode": "half"})
    assert sorted(item.code for item in errors(binding)) == ["RB403", "RB404", "RB404", "RB404"]


def test_a_value_that_looks_like_an_abbreviation_is_not_an_option() -> None:
    command = command_of(argument("name", nargs="?"))
    binding = bind(command, args=["--= "])
    assert binding.diagnostics == ()
    assert parsed(command, binding.tokens) == parsed(command, ["--", "--= "])


MEANT: dict[str, tuple[list[Declare], tuple[list[str], list[Any], dict[str, Any]], list[str]]] = {
    "a bare optional value in front of a positional": (
        [argument("--maybe", nargs="?", const="c"), argument("name")],
        ([], ["x"], {"maybe": True}),
        ["x", "--maybe"],
    ),
    "a list of one with a dash": ([argument("--some", nargs="+")], ([], [], {"some": ["-a"]}), ["--some=-a"]),
    "extend with dashes": (
        [argument("--some", nargs="+", action="extend")],
        ([], [], {"some": ["-a", "b"]}),
        ["--some=-a", "--some=b"],
    ),
    "lists of a list": (
        [argument("--some", nargs="+", action="append")],
        ([], [], {"some": [["a", "b"], ["c"]]}),
        ["--some", "a", "b", "--some", "c"],
    ),
    "a word that would take the positionals": (
        [argument("--some", nargs="+"), argument("name")],
        (["--some", "a", "b"], ["x"], {}),
        ["--some", "a", "b", "--", "x"],
    ),
    "an option that would take a word": (
        [argument("--some", nargs="+"), argument("name"), argument("rest", nargs="*")],
        (["x"], ["-y"], {"some": ["a"]}),
        ["--some", "a", "--verbosity=1", "x", "--", "-y"],
    ),
    "open-ended options of two levels": (
        [argument("--some", nargs="+"), with_several],
        (["go"], ["x"], {"some": ["a"], "more": ["b"]}),
        ["--some", "a", "--verbosity=1", "go", "--more", "b", "--", "x"],
    ),
    "an option with all the rest": (
        [argument("name"), argument("--z"), argument("--rest", nargs=argparse.REMAINDER)],
        (["x"], [], {"rest": ["a", "-b"], "z": 1}),
        ["x", "--z=1", "--rest", "a", "-b"],
    ),
    "an option of a sub-command with a refused name": (
        [subcommands],
        (["show"], [], {"version": 3}),
        ["show", "--version=3"],
    ),
}


@pytest.mark.parametrize(("declares", "step", "argv"), MEANT.values(), ids=MEANT.keys())
def test_values_reach_their_arguments(
    declares: list[Declare], step: tuple[list[str], list[Any], dict[str, Any]], argv: list[str]
) -> None:
    command = command_of(*declares)
    binding = bind(command, *step)
    assert binding.diagnostics == ()
    assert parsed(command, binding.tokens) == parsed(command, argv)


@pytest.mark.parametrize("words", [[], ["--some", "a"]])
def test_the_verbosity_of_the_run_is_kept(words: list[str]) -> None:
    command = command_of(argument("--some", nargs="+"), argument("name"))
    binding = bind(command, words, args=["x"], options={} if words else {"some": ["a"]}, verbosity=2)
    given = parsed(command, binding.tokens)
    assert given is not None
    assert (given["verbosity"], given["some"], given["name"]) == (2, ["a"], "x")
