from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook import conf
from django_runbook.binding.catalog import Catalog
from django_runbook.language_server.features.definition import define, place_of_class
from django_runbook.language_server.workspace.editor_files import EditorFiles
from django_runbook.language_server.workspace.project_files import new_project
from tests.language_server.support import ask

FILE = """\
params:
  day: {type: date}
vars:
  folder: reports
secrets: [TOKEN]
env: [REGION, {name: BUCKET, default: reports}]
steps:
  - id: late
    command: noop
  - noop
"""
# The text with the cursor, and the line and column of the definition in it.
PLACES = {
    "a step with an id": (f"{FILE}  - noop ${{{{ steps.la¦te.id }}}}\n", (8, 9)),
    "a step without an id": (f"{FILE}  - noop ${{{{ steps.no¦op.id }}}}\n", (10, 5)),
    "an attribute of a step": (f"{FILE}  - noop ${{{{ steps.late.i¦d }}}}\n", (8, 9)),
    "a parameter": (f"{FILE}  - noop ${{{{ params.d¦ay }}}}\n", (2, 3)),
    "a variable": (f"{FILE}  - command: noop\n    when: vars.fol¦der == 'x'\n", (4, 3)),
    "an environment variable": (f"{FILE}  - noop ${{{{ env.REG¦ION }}}}\n", (6, 7)),
    "an environment variable with a default": (f"{FILE}  - noop ${{{{ env.BUCK¦ET }}}}\n", (6, 22)),
    "a secret": (f"{FILE}  - noop ${{{{ secrets.TOK¦EN }}}}\n", (5, 11)),
    "a name in a quoted string": (f'{FILE}  - command: "noop 😀 ${{{{ params.d¦ay }}}}"\n', (2, 3)),
}
NOWHERE = {
    "a name without a definition": f"{FILE}  - noop ${{{{ tod¦ay }}}}\n",
    "an unknown step": f"{FILE}  - noop ${{{{ steps.not¦hing }}}}\n",
    "an unknown command": "steps:\n  - not¦hing\n",
    "an unknown runbook": "steps:\n  - runbook: noth¦ing.yml\n",
    "a key": "steps:\n  - comm¦and: noop\n",
    "an empty file": "¦",
}


@pytest.mark.parametrize(("text", "expected"), PLACES.values(), ids=PLACES)
def test_a_name_is_defined_in_the_file(text: str, expected: tuple[int, int]) -> None:
    target = define(ask(text))
    assert target is not None
    assert (target.path, target.span.line, target.span.column) == (None, *expected)


@pytest.mark.parametrize("text", NOWHERE.values(), ids=NOWHERE)
def test_what_is_not_defined_has_no_place(text: str) -> None:
    assert define(ask(text)) is None


@pytest.mark.parametrize(
    "text", ["steps:\n  - imp¦ort_flights data.csv\n", "steps:\n  - command: import_flights da¦ta.csv\n"]
)
def test_a_command_is_defined_by_its_class(text: str) -> None:
    about = new_project(conf.read(), EditorFiles, catalog=Catalog())
    target = define(ask(text, about=about))
    assert target is not None
    assert target.path is not None
    assert target.path.name == "import_flights.py"
    assert target.path.read_text().splitlines()[target.span.line - 1].startswith("class Command(")


def test_a_command_that_cannot_be_loaded_has_no_place() -> None:
    assert place_of_class("parse_import_error") is None


def test_a_called_runbook_and_its_parameters_are_defined_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "weekly.yml").write_text("params: {day: 1}\nsteps: [noop]\n")
    about = new_project(conf.read(), EditorFiles, catalog=Catalog())
    text = "steps:\n  - runbook: weekly.yml\n    params: {day: 2}\n"
    for cursor, column in ((text.index("weekly") + 2, 1), (text.index("day") + 1, 10)):
        marked = f"{text[:cursor]}¦{text[cursor:]}"
        target = define(ask(marked, about=about, path=tmp_path / "nightly.yml"))
        assert target is not None
        assert (target.path, target.span.line, target.span.column) == (tmp_path / "weekly.yml", 1, column)
