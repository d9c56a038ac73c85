from __future__ import annotations

import pytest

from django_runbook.language_server.features.hover import explain
from tests.language_server.support import ask

STEP = "steps:\n  - command: import_flights data.csv --format csv\n"
FORMAT = "`--format FORMAT`\n\nRead this format.\n\nChoices: `csv`, `jsonl`\n\nDefault: `csv`"
FILE = """\
params: {day: {type: date, default: 2013-01-31, help: The day to import.}}
vars: {folder: reports}
steps:
  - id: late
    name: Count
    command: noop
    capture: json
"""
HELP = {
    "a command": ("steps:\n  - imp¦ort_flights data.csv\n", "**import_flights** (tests)\n\nImport flights.\n\n`import_flights file [options]`"),
    "an option in a line": ("steps:\n  - import_flights data.csv --for¦mat csv\n", FORMAT),
    "an option with its value": ("steps:\n  - import_flights data.csv --for¦mat=csv\n", FORMAT),
    "the value of an option": ("steps:\n  - import_flights data.csv --format c¦sv\n", FORMAT),
    "a positional argument": ("steps:\n  - import_flights da¦ta.csv\n", "`file`\n\nThe file to read."),
    "a sub-command": ("steps:\n  - count_flights fu¦ll\n", "Count all."),
    "an option with a metavar": ("steps:\n  - import_flights --batch¦-size 3\n", "`--batch-size N`\n\nWrite N rows per transaction.\n\nDefault: `500`"),
    "a flag": ("steps:\n  - import_flights --up¦date\n", "`--update`\n\nUpdate known flights."),
    "an option by its dest": (f"{STEP}    options: {{batch¦_size: 3}}\n", "`--batch-size N`\n\nWrite N rows per transaction.\n\nDefault: `500`"),
    "a value under options": (f"{STEP}    options: {{format: c¦sv}}\n", FORMAT),
    "a parameter": (f"{FILE}  - noop ${{{{ params.d¦ay }}}}\n", "**day**: date\n\nThe day to import.\n\nDefault: `2013-01-31`"),
    "the declaration of a parameter": (FILE.replace("day", "d¦ay", 1), "**day**: date\n\nThe day to import.\n\nDefault: `2013-01-31`"),
    "a variable": (f"{FILE}  - noop ${{{{ vars.fol¦der }}}}\n", "`reports`"),
    "a step": (f"{FILE}  - noop ${{{{ steps.la¦te.output }}}}\n", "**late**: Count\n\n`noop`"),
    "an attribute of a step": (f"{FILE}  - noop ${{{{ steps.late.out¦put }}}}\n", "Its captured output; absent if it did not succeed."),
    "a name": (f"{FILE}  - noop ${{{{ tod¦ay }}}}\n", "The day on which the run started, in the time zone of the project."),
    "a function": (f"{FILE}  - noop ${{{{ add_mon¦ths(today, 1) }}}}\n", "`add_months(date, n)`\n\nReturn the same day n months later, or the last day of a shorter month."),
    "a filter": (f"{FILE}  - noop ${{{{ vars.folder | up¦per }}}}\n", "Convert to upper case."),
    "a called runbook": ("steps:\n  - {id: week, runbook: weekly.yml, description: Count the week.}\n  - noop ${{ steps.we¦ek.id }}\n", "**week**: weekly\n\nrunbook `weekly.yml`\n\nCount the week."),
    "a method": (f"{FILE}  - noop ${{{{ params.day.strf¦time('%d') }}}}\n", "`strftime` date"),
    "a test in a condition": (f"{FILE}  - command: noop\n    when: steps.late.output is def¦ined\n", "True for a value that is present."),
}  # fmt: skip
NOTHING = {
    "an unknown command": "steps:\n  - nothi¦ng\n",
    "an unknown option": f"{STEP}    options: {{not¦hing: 1}}\n",
    "an unknown key": "nothi¦ng: 1\n",
    "an unknown name": f"{FILE}  - noop ${{{{ params.not¦hing }}}}\n",
    "plain text": "name: Nig¦htly\nsteps: [noop]\n",
    "a comment": "steps:\n  - noop # imp¦ort_flights\n",
    "an empty file": "¦",
}


@pytest.mark.parametrize(("text", "expected"), HELP.values(), ids=HELP)
def test_the_word_at_the_cursor_is_explained(text: str, expected: str) -> None:
    answer = explain(ask(text))
    assert answer is not None
    assert answer.text == expected


@pytest.mark.parametrize("text", NOTHING.values(), ids=NOTHING)
def test_what_is_unknown_has_no_help(text: str) -> None:
    assert explain(ask(text)) is None


def test_a_key_is_explained_with_an_example_and_a_link() -> None:
    answer = explain(ask("steps:\n  - command: noop\n    ret¦ry: 3\n"))
    assert answer is not None
    assert answer.text.startswith("Set the total number of attempts")
    assert "retry: {attempts: 3, delay: 10s}" in answer.text
    assert answer.text.endswith("file.md#retry)")


def test_a_listed_value_is_explained_by_its_key() -> None:
    answer = explain(ask("lock: {name: a, on_conflict: wa¦it}\nsteps: [noop]\n"))
    assert answer is not None
    assert answer.text.startswith("Choose what happens if another run holds the lock")


def test_the_help_is_that_of_the_whole_word() -> None:
    question = ask("steps:\n  - import_flights --for¦mat csv\n")
    answer = explain(question)
    assert answer is not None
    assert question.text.text[answer.start : answer.end] == "--format"
