from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from django_runbook.language_server.features.answers import SuggestionKind
from django_runbook.language_server.features.completion import complete
from tests.editor.support import FixedCatalog, command_of
from tests.language_server.support import ask, project

STEP = "steps:\n  - command: import_flights data.csv\n"
OPTIONS = ["batch-size", "database", "format", "only", "update"]
FLAGS = [f"--{name}" for name in OPTIONS]
SHARED = {"verbosity", "traceback", "no-color", "force-color", "skip-checks"}
FILE = """\
params: {day: {type: date}, mode: full}
vars: {folder: reports}
secrets: [TOKEN]
env: [REGION, {name: BUCKET, default: reports}]
steps:
  - id: late
    command: noop
    capture: json
  - noop
  - noop
"""

# The text with the cursor, and the suggestions in alphabetical order.
EXACT = {
    "an option in a line": ("steps:\n  - import_flights data.csv --¦\n", FLAGS),
    "an option that is given already": ("steps:\n  - import_flights data.csv --update --¦\n", FLAGS[:-1]),
    "an option in an open quote": ('steps:\n  - command: "import_flights data.csv --f¦\n    retry: 3\n', FLAGS),
    "an option behind an expression": ("steps:\n  - import_flights ${{ run.name }} --¦\n", FLAGS),
    "the value of an option": ("steps:\n  - import_flights --format ¦\n", ["csv", "jsonl"]),
    "the value after an equals sign": ("steps:\n  - import_flights --format=c¦ data.csv\n", ["csv", "jsonl"]),
    "the first of several values": ("steps:\n  - import_flights --only ¦\n", ["EWR", "JFK", "La Guardia"]),
    "a database": ("steps:\n  - import_flights --database ¦\n", ["default", "replica"]),
    "a value without choices": ("steps:\n  - import_flights --batch-size ¦\n", []),
    "a file with line breaks of Windows": ("steps:\r\n  - import_flights --format ¦\r\n  - noop\r\n", ["csv", "jsonl"]),
    "a sub-command": ("steps:\n  - count_flights ¦\n", ["delta", "full"]),
    "an option of a sub-command": ("steps:\n  - count_flights full --b¦\n", ["--by"]),
    "a value of a sub-command": ("steps:\n  - count_flights full --by ¦\n", ["day", "month"]),
    "an option whose type needs a database that is down": ("steps:\n  - assign --owner ann --¦\n", ["--owner"]),
    "a value whose type needs a database that is down": ("steps:\n  - assign --owner ¦\n", ["ann", "bob"]),
    "an option with its prefix alone": ("steps:\n  - import_flights -¦\n", FLAGS),
    "an option of a broken command": ("steps:\n  - nothing\n  - command: nothing\n    options: {¦}\n", []),
    "the value of an unknown option": (f"{STEP}    options: {{nothing: ¦}}\n", []),
    "an unknown command": ("steps:\n  - nothing --¦\n", []),
    "options": (f"{STEP}    options:\n      ¦\n    retry: 3\n", OPTIONS),
    "options in braces": (f"{STEP}    options: {{update: true, f¦}}\n", OPTIONS[:-1]),
    "options in open braces": (f"{STEP}    options: {{¦\n    retry: 3\n", OPTIONS),
    "options above the command": ("steps:\n  - options:\n      ¦\n    command: import_flights\n", OPTIONS),
    "the value of an option under its dest": (f"{STEP}    options: {{format: ¦}}\n", ["csv", "jsonl"]),
    "the value of a flag": (f"{STEP}    options: {{update: ¦}}\n", ["false", "true"]),
    "a value in a list": (f"{STEP}    options:\n      only:\n        - ¦\n", ["EWR", "JFK", "La Guardia"]),
    "the value of a key": (f"{STEP}    capture: ¦\n", ["json", "lines", "text"]),
    "the value of a boolean key": (f"{STEP}    no_log: ¦\n", ["false", "true"]),
    "a nested value": ("lock: {name: a, on_conflict: ¦}\nsteps: [noop]\n", ["fail", "skip", "wait"]),
    "a reporter of the project": ("notify: [¦]\nsteps: [noop]\n", ["monitor", "oncall"]),
    "keys of retry": (
        f"{STEP}    retry:\n      attempts: 3\n      ¦\n",
        ["backoff", "delay", "errors", "jitter", "max_delay", "until"],
    ),
    "a runbook": ("steps:\n  - runbook: arch¦\n", ["archive/monthly.yml", "weekly.yml"]),
    "a step": (f"{FILE}  - noop ${{{{ steps.¦\n  - noop\n", ["late", "noop", "noop-2"]),
    "a step in brackets": (f"{FILE}  - noop ${{{{ steps['¦ }}}}\n", ["late", "noop", "noop-2"]),
    "an attribute of a step that captures": (
        f"{FILE}  - noop ${{{{ steps.late.¦ }}}}\n",
        ["attempts", "error", "exit_code", "id", "ignored", "name", "output", "status"],
    ),
    "an attribute of a loop": (
        "steps:\n  - command: noop\n    for_each: [1]\n  - noop ${{ steps.noop.r¦ }}\n",
        ["attempts", "error", "exit_code", "id", "ignored", "name", "results", "status"],
    ),
    "the own step in until": (
        "steps:\n  - id: poll\n    command: noop\n    retry: {attempts: 3, until: steps.poll.¦}\n",
        ["attempts", "exit_code", "id", "status"],
    ),
    "a step in the name of a step without its command": (f"{FILE}  - name: Count ${{{{ steps.¦\n", ["late", "noop", "noop-2"]),
    "an item of a step without its command": ("steps:\n  - {for_each: {a: [1]}, name: '${{ item.¦ }}'}\n", ["a"]),
    "a later step": ("steps:\n  - noop ${{ steps.¦ }}\n  - id: late\n    command: noop\n", []),
    "params": (f"{FILE}  - noop ${{{{ params.¦ }}}}\n", ["day", "mode"]),
    "vars": (f"{FILE}  - noop ${{{{ vars.¦ }}}}\n", ["folder"]),
    "secrets": (f"{FILE}  - noop ${{{{ secrets.¦ }}}}\n", ["TOKEN"]),
    "environment variables": (f"{FILE}  - noop ${{{{ env.¦ }}}}\n", ["BUCKET", "REGION"]),
    "the run": (f"{FILE}  - noop ${{{{ run.¦ }}}}\n", ["file", "id", "name"]),
    "the run in a handler": (
        "steps: [noop]\non_failure:\n  - noop ${{ run.¦ }}\n",
        ["error", "failed_step", "file", "id", "name", "status"],
    ),
    "an item": (
        "steps:\n  - command: noop ${{ item.¦ }}\n    for_each: {origin: [EWR], mode: [full]}\n",
        ["mode", "origin"],
    ),
    "a string in an expression": (f"{FILE}  - noop ${{{{ 'steps.¦' }}}}\n", []),
    "an expression in a key without expressions": (f"{STEP}    description: ${{{{ params.¦ }}}}\n", []),
    "a comment": ("steps:\n  - noop # import_flights --¦\n", []),
}  # fmt: skip
INCLUDED = {
    "commands of a new step": ("steps:\n  - ¦\n", ["count_flights", "import_flights", "noop", "command", "runbook"]),
    "the beginning of a command": ("steps:\n  - imp¦\n", ["import_flights"]),
    "a command in a mapping": ("steps:\n  - command: ¦\n", ["import_flights"]),
    "a command in brackets": ("steps: [noop, ¦]\n", ["import_flights"]),
    "a command in a handler": ("steps: [noop]\nfinally:\n  - ¦\n", ["import_flights"]),
    "a value and the options after it": (
        "steps:\n  - import_flights --only EWR ¦\n", ["JFK", "La Guardia", "--format"],
    ),
    "keys of a command step": (f"{STEP}    ¦\n", ["options", "capture", "retry", "when"]),
    "keys of a group": ("steps:\n  - steps: [noop]\n    ¦\n", ["on_failure", "fail_fast"]),
    "keys of the file": ("name: Nightly\n¦\nsteps: [noop]\n", ["params", "lock", "finally"]),
    "names of an expression": (
        f"{FILE}  - noop ${{{{ ¦ }}}}\n", ["params", "vars", "secrets", "steps", "run", "today", "now", "days"],
    ),
    "names of a condition": (f"{FILE}  - command: noop\n    when: ¦\n", ["params", "steps", "add_months"]),
    "names of a condition above its command": (f"{FILE}  - when: steps.¦\n", ["late"]),
    "a method of a parameter": (f"{FILE}  - noop ${{{{ params.day.¦ }}}}\n", ["year", "strftime"]),
    "a method of today": (f"{FILE}  - noop ${{{{ today.¦ }}}}\n", ["month", "isoweekday"]),
    "filters": (f"{FILE}  - noop ${{{{ params.mode | ¦ }}}}\n", ["default", "upper"]),
    "tests": (f"{FILE}  - command: noop\n    when: steps.late.output is not d¦\n", ["defined", "divisibleby"]),
}  # fmt: skip
EXCLUDED = {
    "keys that are there": ("steps:\n  - command: noop\n    retry: 3\n    ¦\n", ["retry"]),
    "keys of commands in a group": ("steps:\n  - steps: [noop]\n    ¦\n", ["capture", "args"]),
    "hidden options": ("steps:\n  - import_flights --¦\n", ["--old", "--help", "--version", "--settings"]),
    "the item outside of a loop": (f"{FILE}  - noop ${{{{ ¦ }}}}\n", ["item"]),
    "steps in vars": ("vars: {a: '${{ ¦ }}'}\nsteps: [noop]\n", ["steps", "item"]),
    "comparisons among tests": (f"{FILE}  - command: noop\n    when: params.mode is ¦\n", ["=="]),
}  # fmt: skip


def labels(text: str) -> list[str]:
    return [suggestion.label for suggestion in complete(ask(text))]


@pytest.mark.parametrize(("text", "expected"), EXACT.values(), ids=EXACT)
def test_the_suggestions_are_these(text: str, expected: list[str]) -> None:
    assert sorted(label for label in labels(text) if label.lstrip("-") not in SHARED) == sorted(expected)


@pytest.mark.parametrize(("text", "expected"), INCLUDED.values(), ids=INCLUDED)
def test_the_suggestions_include_these(text: str, expected: list[str]) -> None:
    assert set(expected) - set(labels(text)) == set()


@pytest.mark.parametrize(("text", "unexpected"), EXCLUDED.values(), ids=EXCLUDED)
def test_the_suggestions_leave_out_these(text: str, unexpected: list[str]) -> None:
    found = labels(text)
    assert found
    assert set(unexpected) & set(found) == set()


@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("steps:\n  - import_flights --f¦ data.csv\n", "--format", "steps:\n  - import_flights --format  data.csv\n"),
        ("steps:\n  - import_flights --format=c¦\n", "csv", "steps:\n  - import_flights --format=csv\n"),
        ("steps:\n  - import_flights --only ¦\n", "La Guardia", "steps:\n  - import_flights --only 'La Guardia'\n"),
        (f"{STEP}    options: {{only: ¦}}\n", "La Guardia", f'{STEP}    options: {{only: "La Guardia"}}\n'),
        (f"{STEP}    capt¦\n", "capture", f"{STEP}    capture: \n"),
        (f"{STEP}    ca¦pt: json\n", "capture", f"{STEP}    capturept: json\n"),
        (f"{FILE}  - noop ${{{{ steps.la¦ }}}}\n", "late", f"{FILE}  - noop ${{{{ steps.late }}}}\n"),
        (f"{FILE}  - noop ${{{{ steps.no¦ }}}}\n", "noop-2", f'{FILE}  - noop ${{{{ steps["noop-2"] }}}}\n'),
        (f"{FILE}  - command: \"noop ${{{{ steps.¦ }}}}\"\n", "noop-2", f"{FILE}  - command: \"noop ${{{{ steps['noop-2'] }}}}\"\n"),
        (f"{FILE}  - noop ${{{{ today - d¦ }}}}\n", "days", f"{FILE}  - noop ${{{{ today - days() }}}}\n"),
        ("steps:\n  - runbook: archive/m¦\n", "archive/monthly.yml", "steps:\n  - runbook: archive/monthly.yml\n"),
    ],
)  # fmt: skip
def test_a_suggestion_replaces_the_word_that_was_begun(text: str, label: str, expected: str) -> None:
    question = ask(text)
    [chosen] = [one for one in complete(question) if one.label == label]
    before, after = question.text.text[: chosen.start], question.text.text[chosen.end :]
    assert before + (chosen.text or chosen.label) + after == expected


def test_an_option_is_suggested_with_its_help_its_choices_and_its_default() -> None:
    [chosen] = [one for one in complete(ask("steps:\n  - import_flights --¦\n")) if one.label == "--format"]
    assert chosen.help == "`--format FORMAT`\n\nRead this format.\n\nChoices: `csv`, `jsonl`\n\nDefault: `csv`"


def test_options_of_the_command_come_before_those_of_every_command() -> None:
    found = [label.lstrip("-") for label in labels("steps:\n  - import_flights --¦\n")]
    assert {*found[-len(SHARED) :]} == SHARED


def test_a_new_step_begins_with_the_commands() -> None:
    kinds = [suggestion.kind for suggestion in complete(ask("steps:\n  - ¦\n"))]
    assert kinds[0] is SuggestionKind.COMMAND
    assert SuggestionKind.KEY in kinds


class NoChoices(list[str]):
    """Is read by the parser, and then raises an error."""

    is_broken = False

    def __iter__(self) -> Iterator[str]:
        if self.is_broken:
            raise RuntimeError("no choices")
        return iter(["a"])


def test_choices_that_raise_an_error_do_not_hide_the_other_options() -> None:
    choices = NoChoices()

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--kind", choices=choices)
        parser.add_argument("--size")

    catalog = FixedCatalog({"noop": command_of(add)})
    spec = catalog.get("noop")
    catalog.get = lambda name: spec  # type: ignore[method-assign]  # the parser was built before the error
    choices.is_broken = True
    found = complete(ask("steps:\n  - noop --¦\n", about=project(catalog)))
    assert {"--kind", "--size"} <= {suggestion.label for suggestion in found}


def test_choices_are_suggested_as_they_are_declared() -> None:
    """A choice that YAML reads as a number has one spelling on a command line."""
    catalog = FixedCatalog({"noop": command_of(lambda parser: parser.add_argument("--by", choices=["2.50", "a"]))})
    found = complete(ask("steps:\n  - noop --by ¦\n", about=project(catalog)))
    assert [suggestion.label for suggestion in found] == ["2.50", "a"]
