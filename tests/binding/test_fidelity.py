"""Passes options to random parsers by name, by dest and on the command line, and compares them with manage.py."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import get_commands
from django.core.management.base import BaseCommand, CommandParser
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from django_runbook.binding.argv import Binding, UnboundCommand, Word, bind_command
from django_runbook.binding.catalog import Catalog
from django_runbook.document.diagnostics import has_errors
from django_runbook.document.runbook import Option
from tests.binding.local import HERE, located
from tests.binding.oracle import called, from_shell
from tests.examples import examples
from tests.testapp.parsing import RECEIVED, received

NAME = "random_command"
# Values that a parser could take for an option, for a file of arguments, or for a number.
TEXTS = st.sampled_from(
    ["x", "-x", "--on", "+on", "++on-a", "@file", "-1", "-1.5", "", "a b", "--", "-", "?", "$HOME", "=x"]
)


class TolerantParser(CommandParser):
    """Ignores unknown arguments, as parsers of some commands do."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        return self.parse_known_args(args, namespace)[0]


class PlainParser(CommandParser):
    """Accepts only a list of arguments, and nothing by name."""

    def parse_args(self, arguments: Any) -> Any:  # type: ignore[override]  # it disagrees with argparse
        return super().parse_args(arguments)


PARSERS = {"django": CommandParser, "tolerant": TolerantParser, "plain": PlainParser}


@dataclass(frozen=True, slots=True)
class Shape:
    """Describes a random command."""

    pairs: tuple[tuple[str, Any], ...]
    values: tuple[dict[str, Any], ...]
    prefix_chars: str
    file_chars: str | None
    parser: str
    verbosity: str
    has_subcommand: bool
    reads_own_argv: bool

    def build(self) -> BaseCommand:
        shape = self

        class Command(BaseCommand):
            requires_system_checks = ()

            def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
                parser = PARSERS[shape.parser](
                    prog=f"{prog_name} {subcommand}",
                    prefix_chars=shape.prefix_chars,
                    fromfile_prefix_chars=shape.file_chars,
                    called_from_command_line=getattr(self, "_called_from_command_line", None),
                    conflict_handler="resolve",
                )
                for flag in ("--settings", "--pythonpath"):
                    parser.add_argument(flag)
                for flag in ("--traceback", "--no-color", "--force-color"):
                    parser.add_argument(flag, action="store_true")
                if shape.verbosity != "lacking":
                    choices = [0, 1] if shape.verbosity == "narrow" else [0, 1, 2, 3]
                    parser.add_argument("--verbosity", type=int, choices=choices, default=1)
                self.add_arguments(parser)
                return parser

            def add_arguments(self, parser: CommandParser) -> None:
                target: argparse.ArgumentParser = parser
                if shape.has_subcommand:
                    target = parser.add_subparsers(dest="sub", required=True).add_parser("go")
                    if shape.verbosity == "reset":
                        target.add_argument("--verbosity", type=int, choices=[0, 1, 2, 3], default=1)
                for letter, (kind, default) in zip("abc", shape.pairs, strict=False):
                    declare_pair(target, letter, kind, default)
                for letter, kwargs in zip("xyz", shape.values, strict=False):
                    target.add_argument(f"--opt-{letter}", **kwargs)
                target.add_argument("words", nargs="*")

            def handle(self, *args: Any, **options: Any) -> None:
                received(args, options)

        if shape.reads_own_argv:

            class OwnCommand(Command):
                def run_from_argv(self, argv: list[str]) -> None:
                    super().run_from_argv([*argv, "own"])

            return OwnCommand()
        return Command()

    @property
    def front(self) -> list[str]:
        return ["go"] if self.has_subcommand else []


def declare_pair(parser: argparse.ArgumentParser, letter: str, kind: str, default: Any) -> None:
    positive, negative, dest = f"--on-{letter}", f"--no-on-{letter}", f"on_{letter}"
    match kind:
        case "bool":
            parser.add_argument(positive, dest=dest, action="store_true", default=default)
            parser.add_argument(negative, dest=dest, action="store_false", default=default)
        case "const":
            parser.add_argument(positive, dest=dest, action="store_const", const="yes", default=default)
            parser.add_argument(negative, dest=dest, action="store_const", const="no", default=default)
        case "two-sided":
            parser.add_argument(positive, dest=dest, action=argparse.BooleanOptionalAction, default=default)
        case "true":
            parser.add_argument(positive, dest=dest, action="store_true", default=default)
        case "false":
            parser.add_argument(negative, dest=dest, action="store_false", default=default)
        case "hiding":
            # The name of this flag is the dest of the next option.
            parser.add_argument(positive, dest=f"other_{letter}", action="store_true", default=default)
            parser.add_argument(f"--also-{letter}", dest=dest)
    if "+" in parser.prefix_chars:
        parser.add_argument(f"++plus-{letter}", action="store_true")


SHAPES = st.builds(
    Shape,
    pairs=st.lists(
        st.tuples(
            st.sampled_from(["bool", "const", "two-sided", "true", "false", "hiding"]),
            st.sampled_from([None, True, False, "yes", "no"]),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    values=st.lists(
        st.sampled_from([{}, {"type": int}, {"nargs": "?"}, {"nargs": "+"}, {"nargs": 2}, {"action": "append"}]),
        max_size=2,
    ).map(tuple),
    prefix_chars=st.sampled_from(["-", "-+"]),
    file_chars=st.sampled_from([None, "@"]),
    parser=st.sampled_from(sorted(PARSERS)),
    verbosity=st.sampled_from(["usual", "narrow", "lacking", "reset"]),
    has_subcommand=st.booleans(),
    reads_own_argv=st.booleans(),
)


@pytest.fixture(autouse=True)
def only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the random command after a test."""
    monkeypatch.setitem(get_commands(), NAME, "tests.testapp")


def install(shape: Shape) -> None:
    names: dict[str, Any] = get_commands()
    names[NAME] = shape.build()


def bind(
    shape: Shape,
    words: Sequence[Word] = (),
    options: dict[str, Any] | None = None,
    args: Sequence[Any] = (),
    verbosity: int | None = None,
) -> Binding:
    install(shape)
    invocation = UnboundCommand(
        name=NAME,
        name_span=HERE,
        words=tuple(words),
        args=tuple(map(located, args)),
        options=tuple(
            Option(name=name, name_span=HERE, value=located(value)) for name, value in (options or {}).items()
        ),
        verbosity=verbosity,
    )
    return bind_command(invocation, Catalog().get(NAME))


def shell(shape: Shape, argv: Sequence[str]) -> dict[str, Any] | None:
    install(shape)
    calls = from_shell(NAME, argv)
    return calls[0][1] if calls else None


def given_by(shape: Shape, binding: Binding) -> dict[str, Any]:
    """Return the options that ``handle()`` receives from the tokens of a binding."""
    assume(not shape.reads_own_argv or shell(shape, binding.tokens) is not None)
    RECEIVED.clear()
    install(shape)
    result = called(NAME, binding.tokens)
    assert result.failure is None, f"what passes the check fails on its arguments: {result.failure}"
    ((_, options),) = RECEIVED
    return options


def written(*texts: str) -> list[Word]:
    return [Word(text=text, span=HERE) for text in texts]


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=SHAPES,
    index=st.integers(0, 2),
    value=st.sampled_from([True, False, None]),
    name=st.sampled_from(["on-{}", "on_{}", "--on-{}", "no-on-{}", "other_{}"]),
    verbosity=st.sampled_from([None, 0, 1, 3]),
)
def test_a_flag_has_the_value_that_is_written_or_is_refused(
    shape: Shape, index: int, value: Any, name: str, verbosity: int | None
) -> None:
    kind, _ = shape.pairs[index % len(shape.pairs)]
    name = name.format("abc"[index % len(shape.pairs)])
    binding = bind(shape, written(*shape.front), {name: value}, verbosity=verbosity)
    if has_errors(binding.diagnostics):
        return
    default, got = shell(shape, shape.front), given_by(shape, binding)
    assert default is not None
    dest = name.lstrip("-").replace("-", "_").removeprefix("no_")
    if kind == "hiding":
        dest = dest.replace("on_", "other_") if name.startswith("--") else dest
        name = f"--on-{dest[-1]}"
    changed = {place for place in got if got[place] != default[place]} - {"verbosity", "words"}
    assert changed <= {dest}
    if value is None:
        assert {**got, "verbosity": None} == {**default, "verbosity": None}
        return
    assume(dest in got)
    # Without checks, a parser may receive an unknown option.
    assume(not (shape.reads_own_argv and kind == "false" and name.startswith("--on")))
    # The flag alone means true; false is anything else.
    flags = [f"--{name.lstrip('-')}"] if kind != "false" else [f"--no-on-{dest[-1]}"]
    on = shell(shape, [*shape.front, *[flag.replace("_", "-") for flag in flags]])
    assert on is not None
    if kind == "false" and not name.startswith("no-"):
        assert bool(got[dest]) is value
    else:
        assert (got[dest] == on[dest]) is value


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=SHAPES,
    text=st.one_of(TEXTS, st.lists(TEXTS, min_size=1, max_size=2)),
    name=st.sampled_from(["opt-x", "opt_x", "--opt-x"]),
    args=st.lists(TEXTS, max_size=2),
)
def test_values_are_kept_whole_or_refused(shape: Shape, text: Any, name: str, args: list[str]) -> None:
    binding = bind(shape, written(*shape.front), {name: text} if shape.values else {}, args)
    if has_errors(binding.diagnostics):
        return
    # Without checks, a parser may drop two dashes, or receive too few values.
    is_pair = bool(shape.values) and shape.values[0].get("nargs") == 2
    assume(not (shape.reads_own_argv and ("--" in flat(text) or is_pair)))
    # It also reads a written word as an option where one may be.
    alone = [*args, *(flat(text) if isinstance(text, list) else ())]
    assume(not (shape.reads_own_argv and any(one.startswith("-") for one in alone)))
    default, got = shell(shape, shape.front), given_by(shape, binding)
    assert default is not None
    own = ["own"] if shape.reads_own_argv else []
    changed = {place for place in got if got[place] != default[place]} - {"words", "opt_x"}
    assert changed == set()
    if not shape.reads_own_argv:
        assert got["words"] == args
    if shape.values:
        assert flat(got["opt_x"]) in (list(map(str, flat(text))), list(map(str, flat(text))) + own)


def flat(value: Any) -> list[Any]:
    return [str(item) for one in value for item in flat(one)] if isinstance(value, list) else [str(value)]


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=SHAPES,
    value=st.one_of(TEXTS, st.text(alphabet="-+@1=a?", max_size=3)),
    front=st.sampled_from([[], ["--opt-x"], ["--on-a"], ["w"], ["--opt-x", "1"]]),
    written_part=st.sampled_from(["", "", "--opt-x=", "w", "-"]),
)
def test_a_value_on_the_command_line_never_becomes_an_option(
    shape: Shape, value: str, front: list[str], written_part: str
) -> None:
    front = [*shape.front, *front]
    word = Word(text=written_part + value, span=HERE, written_length=len(written_part))
    binding = bind(shape, [*written(*front), word])
    if has_errors(binding.diagnostics):
        return
    got = given_by(shape, binding)
    assert got == shell(shape, [*front, written_part + value])
    if written_part == "-" or shape.reads_own_argv:
        return
    # Another value at this place changes only the value.
    other = shell(shape, [*front, written_part + "1"])
    if other is not None:
        differing = {place for place in got if got[place] != other[place]}
        assert differing <= {"words", "opt_x"}


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=SHAPES,
    words=st.lists(
        st.one_of(
            TEXTS.filter(lambda text: text not in {"$HOME", "@file"}),
            st.sampled_from(["--on-a", "--no-on-a", "--on-b", "--opt-x=1", "--opt-x", "2", "--also-a=3", "++plus-a"]),
        ),
        max_size=4,
    ),
    verbosity=st.sampled_from([None, 0, 2]),
)
def test_a_command_line_is_parsed_as_by_manage_py_or_refused(
    shape: Shape, words: list[str], verbosity: int | None
) -> None:
    argv = [*shape.front, *words]
    binding = bind(shape, written(*argv), verbosity=verbosity)
    expected = shell(shape, argv)
    if shape.reads_own_argv:
        assert list(binding.tokens) == argv
    elif not has_errors(binding.diagnostics):
        got = given_by(shape, binding)
        assert expected is not None
        assert {**got, "verbosity": None} == {**expected, "verbosity": None}
        if verbosity is not None and shape.verbosity in {"usual", "reset"}:
            assert got["verbosity"] == verbosity
