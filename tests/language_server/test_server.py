"""Drives the server as an editor does, over its standard streams, and compares its answers with a transcript.

UPDATE_GOLDEN=1 rewrites the transcript: read the change before you commit it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.editor.language_client import LanguageClient
from tests.patience import eventually

ROOT: Final = Path(__file__).parent.parent.parent
TRANSCRIPT: Final = Path(__file__).with_suffix(".txt")
# What every command of Django has differs between its versions.
SHARED: Final = {"verbosity", "traceback", "no-color", "force-color", "skip-checks"}
# A project whose settings print, whose database cannot be reached, and with a command that uses the standard streams
# when it is loaded.
SETTINGS: Final = """\
from tests.settings import *
print("printed by the settings")
INSTALLED_APPS = [*INSTALLED_APPS, "loudapp"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": "1", "NAME": "x"}}
"""
NOISY: Final = """\
import os, subprocess, sys
from django.core.management.base import BaseCommand
print("printed")
os.write(1, b"written")
subprocess.run(["echo", "echoed"])
assert sys.stdin.read() == "" and os.read(0, 1) == b""

class Command(BaseCommand):
    def add_arguments(self, parser):
        print("printed")
        parser.add_argument("--loud", choices=["yes", "no"])
"""
FILE: Final = """\
params: {day: {type: date, help: The day to import.}}
steps:
  - id: late
    command: count_delays --format json
    capture: json
"""
# The cursor is at ¦.
COMPLETIONS: Final = {
    "an option of a command": "steps:\n  - import_flights data.csv --¦\n",
    "the value of an option": "steps:\n  - import_flights data.csv --format ¦\n",
    "an option under options": "steps:\n  - command: send_reports\n    options:\n      ¦\n",
    "an option with other positions": "steps:\n  - import_flights 😀 --update --fo¦\n",
    "a key of retry": "steps:\n  - command: import_flights\n    retry: {¦}\n",
    "the value of a key": "lock: {name: a, on_conflict: ¦}\nsteps: [check]\n",
    "a step": f"{FILE}  - notify_operations ${{{{ steps.¦\n",
    "an attribute of a step": f"{FILE}  - command: notify_operations\n    when: steps.late.¦\n",
    "a parameter": f"{FILE}  - notify_operations ${{{{ params.¦ }}}}\n",
    "a called runbook": "steps:\n  - runbook: ¦\n",
}
HOVERS: Final = {
    "a command": "steps:\n  - imp¦ort_flights data.csv\n",
    "an option": "steps:\n  - import_flights data.csv --for¦mat csv\n",
    "a key": "steps:\n  - command: check\n    capt¦ure: json\n",
    "a parameter": f"{FILE}  - notify_operations ${{{{ params.d¦ay }}}}\n",
    "a filter": f"{FILE}  - notify_operations ${{{{ params.day | str¦ing }}}}\n",
}
DEFINITIONS: Final = {
    "a step": f"{FILE}  - notify_operations ${{{{ steps.la¦te.output }}}}\n",
    "a parameter": f"{FILE}  - notify_operations ${{{{ params.d¦ay }}}}\n",
    "a command": "steps:\n  - imp¦ort_flights data.csv\n",
    "a called runbook": "steps:\n  - runbook: week¦ly.yml\n",
}
RENAMES: Final = {
    "count": f"{FILE}  - notify_operations 😀 ${{{{ steps.la¦te.output }}}}\n",
    "Not-valid": f"{FILE}  - notify_operations ${{{{ steps.la¦te.output }}}}\n",
    "check": f"{FILE}  - check ${{{{ steps.la¦te.output }}}}\n",
}
ERRORS: Final = {
    "a command line": "steps:\n  - import_flights 😀 --fromat csv\n",
    "options and names": (
        "steps:\n  - command: import_flights data.csv\n    options: {format: xml}\n    when: steps.late.output\n"
    ),
    "ids": "steps:\n  - {id: a, command: check}\n  - {id: a, command: check}\n",
    "a word of another tool": "steps:\n  - command: check\n    ignore_errors: true\n",
    "a called runbook": "steps:\n  - runbook: weekly.yml\n",
    "nothing": "steps: [check]\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "runbooks"
    folder.mkdir()
    (folder / "weekly.yml").write_text("params: {mode: full}\nsteps:\n  - check\n  - nothing\n")
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[LanguageClient]:
    (folder / "loud.py").write_text(SETTINGS)
    commands = folder / "loudapp" / "management" / "commands"
    commands.mkdir(parents=True)
    (commands / "noisy.py").write_text(NOISY)
    paths = [str(folder), str(ROOT), str(ROOT / "example_project")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "DJANGO_SETTINGS_MODULE": "loud"}
    command = [sys.executable, "-m", "django", "runbook_lsp", "--stdio"]
    with LanguageClient(command, root=folder, settings={}, env=environment, cwd=folder) as client:
        yield client
    assert client.exit_code == 0


def answers(client: LanguageClient, folder: Path) -> Iterator[str]:
    for number, (name, text) in enumerate(ERRORS.items()):
        client.published.clear()
        uri = client.open(folder / f"errors{number}.yml", text)
        client.problems(uri)
        yield f"errors in {name}:"
        for file, problems in sorted(client.published.items()):
            yield from (f"  {file.rpartition('/')[2]} {line}" for problem in problems for line in explained(problem))
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    for number, (name, text) in enumerate(COMPLETIONS.items()):
        items = place(client, folder / f"completion{number}.yml", "completion", text)["items"]
        yield f"complete {name}:"
        yield from (f"  {line}" for item in items if (line := described(item)))
    for number, (name, text) in enumerate(HOVERS.items()):
        shown = place(client, folder / f"hover{number}.yml", "hover", text)
        yield f"hover {name} at {range_of(shown)}:"
        yield from (f"  {line}" for line in shown["contents"]["value"].splitlines() if line)
    for number, (name, text) in enumerate(DEFINITIONS.items()):
        target = place(client, folder / f"definition{number}.yml", "definition", text)
        yield f"define {name}: {target['uri'].rpartition('/')[2]} {range_of(target)}"
    for number, (new_id, text) in enumerate(RENAMES.items()):
        yield f"rename to {new_id}: {renamed(client, folder / f'rename{number}.yml', text, new_id)}"


def described(item: dict[str, Any]) -> str:
    if item["label"].lstrip("-") in SHARED:
        return ""
    text = " ".join(item.get("documentation", {}).get("value", "").partition("\n\n[Reference]")[0].split())
    edit = item["textEdit"]
    return f"{item['label']} ({range_of(edit)} {edit['newText']!r}): {text}"


def explained(problem: dict[str, Any]) -> Iterator[str]:
    kind = {1: "error", 2: "warning"}[problem["severity"]]
    yield f"{range_of(problem)} {kind} {problem['code']} {problem['message']!r}"
    for related in problem.get("relatedInformation", ()):
        yield f"  {range_of(related['location'])} {related['message']}"


def range_of(answer: dict[str, Any]) -> str:
    start, end = answer["range"]["start"], answer["range"]["end"]
    return f"{start['line'] + 1}:{start['character'] + 1}-{end['line'] + 1}:{end['character'] + 1}"


def renamed(client: LanguageClient, path: Path, text: str, new_id: str) -> str:
    before = text[: text.index("¦")]
    uri = client.open(path, text.replace("¦", ""))
    character = len(before.rpartition("\n")[2].encode("utf-16-le")) // 2
    position = {"line": before.count("\n"), "character": character}
    params = {"textDocument": {"uri": uri}, "position": position, "newName": new_id}
    if new_id != "count":
        return f"refused: {client.refusal('textDocument/rename', params)}"
    edits = client.ask("textDocument/rename", params)["changes"][uri]
    return ", ".join(f"{range_of(edit)} {edit['newText']}" for edit in edits)


def place(client: LanguageClient, path: Path, method: str, text: str) -> Any:
    before = text[: text.index("¦")]
    uri = client.open(path, text.replace("¦", ""))
    column = len(before.rpartition("\n")[2].encode("utf-16-le")) // 2 + 1
    return client.at(method, uri, line=before.count("\n") + 1, column=column)


@pytest.mark.slow
def test_an_editor_is_answered_what_the_transcript_says(client: LanguageClient, folder: Path) -> None:
    text = "\n".join(answers(client, folder)) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        TRANSCRIPT.write_text(text)
    assert text == TRANSCRIPT.read_text()


@pytest.mark.slow
def test_a_command_that_prints_when_it_is_loaded_does_not_reach_the_editor(
    client: LanguageClient, folder: Path
) -> None:
    uri = client.open(folder / "loud.yml", "steps: [noisy --loud maybe]\n")
    [problem] = client.problems(uri)
    assert problem["message"] == '--loud cannot be "maybe"\nchoose from yes, no'


@pytest.mark.slow
def test_options_that_depend_on_a_table_are_a_warning_if_the_database_is_down(
    client: LanguageClient, folder: Path
) -> None:
    uri = client.open(folder / "down.yml", "steps: [check]\n")
    assert client.problems(uri) == []
    client.change(uri, "steps: [parse_table, check]\n")
    [problem] = client.problems(uri)
    assert (problem["code"], problem["severity"]) == ("RB402", 2)


@pytest.mark.slow
def test_a_change_of_a_called_runbook_is_checked_where_it_is_called(client: LanguageClient, folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    shared, caller = other / "shared.yml", other / "caller.yml"
    shared.write_text("steps: [check]\n")
    uri = client.open(caller, "steps:\n  - runbook: shared.yml\n    params: {day: 1}\n")
    assert [problem["code"] for problem in client.problems(uri)] == ["RB215"]
    client.published.pop(uri)
    client.open(shared, "params: {day: 2}\nsteps: [check]\n")
    assert client.problems(uri) == []


@pytest.mark.slow
def test_a_file_of_another_tool_is_left_alone(client: LanguageClient, folder: Path) -> None:
    other = client.open(folder.parent / "compose.yml", "services: {}\n")
    assert client.at("completion", other, line=2, column=1)["items"] == []
    client.problems(client.open(folder / "mine.yml", "steps: [check]\n"))
    assert other not in client.published


@pytest.mark.slow
def test_the_help_of_a_command_is_loaded_when_it_is_looked_at(client: LanguageClient, folder: Path) -> None:
    items = place(client, folder / "resolve.yml", "completion", "steps:\n  - imp¦\n")["items"]
    [item] = [one for one in items if one["label"] == "import_flights"]
    assert "documentation" not in item
    resolved = client.ask("completionItem/resolve", item)
    assert "Import flights from a CSV" in resolved["documentation"]["value"]


@pytest.mark.slow
def test_a_closed_file_has_no_problems(client: LanguageClient, folder: Path) -> None:
    uri = client.open(folder / "closed.yml", "steps: [nothing]\n")
    assert client.problems(uri)
    client.published.pop(uri)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert client.problems(uri) == []
    assert eventually(lambda: client.at("hover", uri, line=1, column=9) is None)


@pytest.mark.slow
def test_the_outline_has_the_steps_of_a_group(client: LanguageClient, folder: Path) -> None:
    uri = client.open(folder / "outline.yml", "steps:\n  - name: Group\n    steps: [check]\n")
    [group] = client.ask("textDocument/documentSymbol", {"textDocument": {"uri": uri}})
    assert (group["name"], [child["name"] for child in group["children"]]) == ("Group", ["check"])


@pytest.mark.slow
def test_a_step_is_found_in_all_its_places(client: LanguageClient, folder: Path) -> None:
    uri = client.open(folder / "uses.yml", f"{FILE}  - notify_operations 😀 ${{{{ steps.late.id }}}}\n")
    position = {"textDocument": {"uri": uri}, "position": {"line": 2, "character": 9}}
    found = client.ask("textDocument/references", {**position, "context": {"includeDeclaration": True}})
    assert [range_of(place) for place in found] == ["3:9-3:13", "6:36-6:40"]
    assert client.ask("textDocument/prepareRename", position)["placeholder"] == "late"
    position["position"] = {"line": 0, "character": 2}
    assert client.refusal("textDocument/prepareRename", position) == "the cursor is not on the ID of a step"
