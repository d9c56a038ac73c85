"""Passes each pattern of argparse from a shell and from a runbook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook.document.codes import Severity
from tests.binding.oracle import bound, from_runbook, from_shell

EQUAL: dict[str, tuple[dict[str, Any], list[str]]] = {
    "positionals": ({"command": "parse_positionals a 2 c d"}, ["a", "2", "c", "d"]),
    "positionals in args": ({"command": "parse_positionals", "args": ["a", 2, "c d", ""]}, ["a", "2", "c d", ""]),
    "positionals in both": ({"command": "parse_positionals a", "args": [2]}, ["a", "2"]),
    "a quoted positional": ({"command": "parse_positionals 'a b' 2"}, ["a b", "2"]),
    "a dash in args": ({"command": "parse_positionals a 2", "args": ["-x", "--y"]}, ["a", "2", "--", "-x", "--y"]),
    "only dashes in args": ({"command": "parse_plus", "args": ["--size"]}, ["--", "--size"]),
    "dash and option": (
        {"command": "parse_plus", "args": ["a", "-b"], "options": {"size": 3}},
        ["--size", "3", "a", "--", "-b"],
    ),
    "no optional positional": ({"command": "parse_optional_positional"}, []),
    "an optional positional": (
        {"command": "parse_optional_positional", "args": ["x"], "options": {"loud": True}},
        ["x", "--loud"],
    ),
    "remainder": ({"command": "parse_remainder run --fast -x"}, ["run", "--fast", "-x"]),
    "remainder with an option before": (
        {"command": "parse_remainder run", "args": ["a", "-x"], "options": {"quick": True}},
        ["--quick", "run", "a", "-x"],
    ),
    "types": (
        {
            "command": "parse_typed",
            "options": {"count": 5, "ratio": 0.5, "day": "2013-01-31", "mode": "full", "level": 2},
        },
        ["--count=5", "--ratio=0.5", "--day=2013-01-31", "--mode=full", "--level=2"],
    ),
    "a negative number": ({"command": "parse_typed", "options": {"count": -5}}, ["--count=-5"]),
    "a float keeps its text": ({"command": "parse_dashes", "options": {"pattern": 1.5}}, ["--pattern", "1.5"]),
    "nargs": (
        {"command": "parse_nargs", "args": ["n"], "options": {"pair": [1, 2], "some": ["a", "b"], "any": []}},
        ["--some", "a", "b", "--any", "--pair", "1", "2", "n"],
    ),
    "several values before a positional": (
        {"command": "parse_nargs", "args": ["n", "m"], "options": {"some": ["a", "b"]}},
        ["n", "m", "--some", "a", "b"],
    ),
    "a dash among several values": ({"command": "parse_nargs", "options": {"some": "-a"}}, ["--some=-a"]),
    "maybe alone": ({"command": "parse_nargs", "options": {"maybe": True}}, ["--maybe"]),
    "maybe not": ({"command": "parse_nargs", "options": {"maybe": False}}, []),
    "maybe with a value": ({"command": "parse_nargs", "options": {"maybe": "x"}}, ["--maybe=x"]),
    "store_const by flag": ({"command": "parse_constants", "options": {"fast": True}}, ["--fast"]),
    "store_const by dest": ({"command": "parse_constants", "options": {"speed": 7}}, ["--slow"]),
    "store_const by its default": ({"command": "parse_constants", "options": {"speed": 1}}, []),
    "append": ({"command": "parse_constants", "options": {"tag": ["a", "-b"]}}, ["--tag=a", "--tag=-b"]),
    "append one": ({"command": "parse_constants", "options": {"tag": "a"}}, ["--tag=a"]),
    "append on the line too": (
        {"command": "parse_constants --tag z", "options": {"tag": ["a"]}},
        ["--tag=z", "--tag=a"],
    ),
    "append_const": (
        {"command": "parse_constants", "options": {"with-x": True, "with_y": True}},
        ["--with-x", "--with-y"],
    ),
    "count": ({"command": "parse_constants", "options": {"quiet": 3}}, ["-qqq"]),
    "count zero": ({"command": "parse_constants", "options": {"quiet": 0}}, []),
    "count on the line": ({"command": "parse_constants -qq"}, ["-qq"]),
    "extend": ({"command": "parse_constants", "options": {"more": ["a", "b"]}}, ["--more", "a", "b"]),
    "store_false by dest": ({"command": "parse_constants", "options": {"interactive": False}}, ["--no-input"]),
    "store_false by dest, the default": ({"command": "parse_constants", "options": {"interactive": True}}, []),
    "store_false by flag": ({"command": "parse_constants", "options": {"noinput": True}}, ["--noinput"]),
    "boolean, yes": ({"command": "parse_constants", "options": {"reload": True}}, ["--reload"]),
    "boolean, no": ({"command": "parse_constants", "options": {"reload": False}}, ["--no-reload"]),
    "boolean, denied": ({"command": "parse_constants", "options": {"no-reload": True}}, ["--no-reload"]),
    "a required group": ({"command": "parse_exclusive_required", "options": {"there": "x"}}, ["--there", "x"]),
    "required options": (
        {"command": "parse_required --name a", "options": {"num": 3, "flag": False}},
        ["--name", "a", "--number", "3", "--no-flag"],
    ),
    "a sub-command": ({"command": "parse_subcommands import x --limit 3"}, ["import", "x", "--limit", "3"]),
    "a sub-command by its alias": ({"command": "parse_subcommands in x"}, ["in", "x"]),
    "options of two levels": (
        {"command": "parse_subcommands import", "args": ["x"], "options": {"limit": 3, "root": "r", "verbosity": 2}},
        ["--root=r", "--verbosity=2", "import", "--limit=3", "x"],
    ),
    "several values in a sub-command": (
        {"command": "parse_subcommands import", "args": ["x"], "options": {"skip": ["a", "b"]}},
        ["import", "x", "--skip", "a", "b"],
    ),
    "a nested sub-command": (
        {"command": "parse_subcommands export csv a b", "options": {"output": "o", "separator": ";"}},
        ["export", "--output=o", "csv", "--separator=;", "a", "b"],
    ),
    "a custom action": (
        {"command": "parse_custom", "options": {"pairs": ["a=1", "b=2"]}},
        ["--pairs=a=1", "--pairs=b=2"],
    ),
    "a custom type": ({"command": "parse_custom", "options": {"upper": "x", "even": 4}}, ["--upper=x", "--even=4"]),
    "negative positionals": ({"command": "parse_dashes", "args": [-1, 2]}, ["--", "-1", "2"]),
    "negative positionals on the line": ({"command": "parse_dashes -1 2"}, ["-1", "2"]),
    "values with dashes": (
        {"command": "parse_dashes", "options": {"offset": -3, "pattern": "--all", "x": "-y"}},
        ["--offset=-3", "--pattern=--all", "-x=-y"],
    ),
    "a value with an equals sign": ({"command": "parse_dashes", "options": {"extra": "=a=b"}}, ["--extra==a=b"]),
    "an empty value": ({"command": "parse_dashes", "options": {"pattern": ""}}, ["--pattern="]),
    "same dest, by flag": (
        {"command": "parse_same_dest", "options": {"yaml": True, "from": "x"}},
        ["--yaml", "--from=x"],
    ),
    "same dest, by constant": ({"command": "parse_same_dest", "options": {"style": "json"}}, ["--json"]),
    "dest unlike the flag": ({"command": "parse_same_dest", "options": {"other_name": 3}}, ["--plain=3"]),
    "long names after one dash": (
        {"command": "parse_single_dash", "options": {"name": "-x", "n": 3, "flag": True}},
        ["-name=-x", "-n", "3", "-flag"],
    ),
    "null is not given": ({"command": "parse_typed", "options": {"count": None, "mode": None}}, []),
    "null for flags": (
        {"command": "parse_constants", "options": {"fast": None, "quiet": None, "interactive": None}},
        [],
    ),
    "the negative of a pair": ({"command": "parse_pairs", "options": {"live": False}}, ["--no-live"]),
    "the positive of a pair": ({"command": "parse_pairs", "options": {"live": True}}, ["--live"]),
    "the negative of a pair by its name": ({"command": "parse_pairs", "options": {"quick": False}}, ["--noquick"]),
    "a flag that is options out": (
        {"command": "parse_pairs", "options": {"--output": "x", "-n": 1}},
        ["--output=x", "-n1"],
    ),
    "a name that is a dest only": (
        {"command": "parse_pairs", "options": {"first": 1, "talks": False}},
        ["-n1", "--quiet"],
    ),
    "labels": ({"command": "parse_label a b", "options": {"force": True}}, ["a", "b", "--force"]),
    "apps": ({"command": "parse_app auth", "args": ["sessions"]}, ["auth", "sessions"]),
    "beside stealth options": ({"command": "parse_stealth", "options": {"shown": "x"}}, ["--shown=x"]),
}


@pytest.mark.parametrize(("step", "argv"), EQUAL.values(), ids=EQUAL.keys())
def test_a_runbook_passes_what_a_shell_passes(step: dict[str, Any], argv: list[str]) -> None:
    expected = from_shell(step["command"].split()[0], argv)
    assert expected is not None
    assert from_runbook(step) == expected


REFUSED: dict[str, tuple[dict[str, Any] | str, str]] = {
    "abbreviation": ("parse_typed --cou 3", "RB403"),
    "abbreviation after one dash": ("parse_single_dash -fla", "RB403"),
    "unknown option": ({"command": "parse_typed", "options": {"size": 3}}, "RB403"),
    "bad choice": ("parse_typed --mode half", "RB404"),
    "bad type": ("parse_typed --count many", "RB404"),
    "not one of typed choices": ("parse_typed --level 4", "RB404"),
    "too few values": ({"command": "parse_nargs", "options": {"pair": [1]}}, "RB404"),
    "no values": ({"command": "parse_nargs", "options": {"some": []}}, "RB404"),
    "several where one is taken": ({"command": "parse_typed", "options": {"count": [1, 2]}}, "RB404"),
    "true for a value": ({"command": "parse_typed", "options": {"mode": True}}, "RB404"),
    "empty for a positional": ({"command": "parse_plus", "args": [None]}, "RB404"),
    "a mapping for a value": ({"command": "parse_typed", "options": {"mode": {"a": 1}}}, "RB404"),
    "a mapping among values": ({"command": "parse_nargs", "options": {"some": ["a", {"b": 1}]}}, "RB404"),
    "a mapping for a flag": ({"command": "parse_constants", "options": {"fast": {}}}, "RB404"),
    "a mapping for a positional": ({"command": "parse_plus", "args": [{"a": "${{ today }}"}]}, "RB404"),
    "null for what is required": ({"command": "parse_required --name a --flag", "options": {"number": None}}, "RB413"),
    "an unknown name of null": ({"command": "parse_typed", "options": {"size": None}}, "RB403"),
    "not what is the default": ({"command": "parse_pairs", "options": {"json": False}}, "RB404"),
    "not what has no opposite": ({"command": "parse_pairs", "options": {"always": False}}, "RB404"),
    "no to a denial of a pair": ({"command": "parse_pairs", "options": {"no-live": False}}, "RB404"),
    "no to a denial by name": ({"command": "parse_pairs", "options": {"noquick": False}}, "RB404"),
    "a value that the only flag does not give": ({"command": "parse_pairs", "options": {"talks": True}}, "RB404"),
    "a name that is another option's dest": ({"command": "parse_pairs", "options": {"output": "x"}}, "RB407"),
    "a name of two flags": ({"command": "parse_pairs", "options": {"n": 1}}, "RB407"),
    "an abbreviated name": ({"command": "parse_typed", "options": {"cou": 3}}, "RB403"),
    "an option after its sub-command": ("parse_subcommands import x --root r", "RB403"),
    "false for what cannot be checked": ({"command": "parse_no_parser", "options": {"loud": False}}, "RB404"),
    "a value for a flag": ({"command": "parse_constants", "options": {"fast": "yes"}}, "RB404"),
    "no to a denial": ({"command": "parse_constants", "options": {"no-reload": False}}, "RB404"),
    "missing positional": ("parse_plus", "RB413"),
    "missing option": ("parse_required --name a --flag", "RB413"),
    "missing group": ("parse_exclusive_required", "RB413"),
    "both of a group": ("parse_exclusive --one 1 --two 2", "RB404"),
    "missing sub-command": ("parse_subcommands", "RB413"),
    "unknown sub-command": ("parse_subcommands imprt x", "RB404"),
    "an option of another sub-command": (
        {"command": "parse_subcommands import x", "options": {"output": "y"}},
        "RB403",
    ),
    "given twice": ({"command": "parse_typed --count 1", "options": {"count": 2}}, "RB409"),
    "given by two names": ({"command": "parse_constants", "options": {"noinput": True, "no_input": True}}, "RB409"),
    "an ambiguous dest": ({"command": "parse_same_dest", "options": {"start": "x"}}, "RB407"),
    "a custom type refuses": ("parse_custom --even 3", "RB404"),
    "a custom type crashes": ("parse_custom --broken 3", "RB404"),
    "a custom action refuses": ("parse_custom --pairs a", "RB404"),
    "stealth": ({"command": "parse_stealth", "options": {"hidden": 1}}, "RB403"),
    "a positional under options": ({"command": "parse_plus x", "options": {"names": ["y"]}}, "RB405"),
    "too many positionals": ("parse_optional_positional a b", "RB414"),
    "a dash among several": ({"command": "parse_dashes", "options": {"several": ["a", "-b"]}}, "RB408"),
    "help": ("parse_typed --help", "RB406"),
    "short help": ("parse_typed -h", "RB406"),
    "version": ({"command": "parse_typed", "options": {"version": True}}, "RB406"),
    "settings": ("parse_typed --settings=x", "RB406"),
    "pythonpath": ({"command": "parse_typed", "options": {"pythonpath": "x"}}, "RB406"),
    "a shell": ("parse_optional_positional a && b", "RB411"),
    "manage.py": ("manage.py migrate", "RB401"),
    "no such label": ("parse_label", "RB413"),
    "a database that is not there": ("dumpdata --database main", "RB416"),
}


@pytest.mark.parametrize(("step", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_invalid_arguments_are_refused(step: dict[str, Any] | str, code: str) -> None:
    _, diagnostics = bound(step)
    codes = {diagnostic.code for diagnostic in diagnostics if diagnostic.severity is Severity.ERROR}
    # Django 6.1 knows the choices of --database itself.
    assert codes == {code} or (code == "RB416" and codes == {"RB404"})


def test_one_error_is_one_diagnostic() -> None:
    for step in (
        "parse_required --nam a --number 1 --flag",
        "parse_required --name a --numbr 1 --flag",
        "parse_required --name a --number one --flag",
        "parse_exclusive_required --ther x",
        "parse_subcommands import x --limi 3",
        "parse_subcommands import x --root r",
        "parse_subcommands import x --output r",
        {"command": "parse_subcommands imprt x", "options": {"limit": 3}},
        {"command": "parse_required --name a --flag", "options": {"numbr": 1}},
        {"command": "parse_required --name a --flag", "options": {"number": "one"}},
        {"command": "parse_positionals a", "options": {"count": 2}},
    ):
        _, diagnostics = bound(step)
        assert len(diagnostics) == 1, step


def test_hints_name_the_fix() -> None:
    hints = {step: bound(step)[1][0] for step in ("parse_typed --cou 3", "parse_subcommands import x --root r")}
    assert [(item.message, item.help) for item in hints.values()] == [
        ('"--cou" is an abbreviation of --count', "write it in full: --count"),
        (
            '"--root" is an option of "parse_subcommands" and not of its sub-command',
            'write it before the sub-command, or put it under "options"',
        ),
    ]


def test_checking_opens_no_file(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("kept")
    _, diagnostics = bound(f"parse_files {tmp_path}/missing --output {precious} --log {tmp_path}/none")
    assert diagnostics == []
    assert precious.read_text() == "kept"


def test_files_are_opened_by_the_call(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x")
    argv = [f"{tmp_path}/in", "--output", f"{tmp_path}/out"]
    assert from_runbook({"command": "parse_files", "args": argv[:1], "options": {"output": argv[2]}}) == from_shell(
        "parse_files", argv
    )


def test_a_command_without_a_parser_is_a_warning_and_its_options_follow_the_usual_rules() -> None:
    planned, diagnostics = bound({"command": "parse_no_parser x", "options": {"dry_run": True, "size": 3, "no": None}})
    assert [(item.code, item.severity) for item in diagnostics] == [("RB412", Severity.WARNING)]
    assert planned.binding.tokens == ("x", "--dry-run", "--size=3")


@pytest.mark.django_db
def test_a_table_that_does_not_exist_yet_is_a_warning() -> None:
    planned, diagnostics = bound("parse_table --choice a")
    assert [(item.code, item.severity) for item in diagnostics] == [("RB402", Severity.WARNING)]
    assert not planned.is_final


@pytest.mark.parametrize("name", ["parse_broken", "parse_import_error"])
def test_a_command_that_cannot_be_loaded_is_an_error_that_names_the_reason(name: str) -> None:
    _, (diagnostic,) = bound(name)
    assert diagnostic.code == "RB415"
    assert "a setting that is not there" in diagnostic.message or "a_package_that_nobody_has" in diagnostic.message


def test_a_parser_serves_many_steps_without_losing_its_requirements() -> None:
    for _ in range(3):
        assert [item.code for item in bound("parse_required --name a --flag")[1]] == ["RB413"]
        assert [item.code for item in bound("parse_exclusive_required")[1]] == ["RB413"]


def test_positions_are_those_of_the_tokens() -> None:
    _, (diagnostic,) = bound("parse_typed --count 3 --mode half")
    line = '{"steps": ["parse_typed --count 3 --mode half"]}'
    start = line.index("half") + 1
    assert (diagnostic.span.column, diagnostic.span.end_column) == (start, start + 4)
