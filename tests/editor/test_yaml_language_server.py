"""Asks a yaml-language-server what an editor shows with the schema of a project, and compares it with a transcript.

UPDATE_GOLDEN=1 rewrites the transcript: read the change before you commit it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.editor.language_client import LanguageClient
from tests.editor.support import command_of, schema_of

TRANSCRIPT: Final = Path(__file__).with_suffix(".txt")
# The cursor is at ¦.
COMPLETIONS: Final = {
    "a new step": "steps:\n  - ¦\n",
    "the name of a command": "steps:\n  - imp¦\n",
    "the name in a mapping": "steps:\n  - command: ¦\n",
    "an option": "steps:\n  - command: import_flights data.csv\n    options:\n      ¦\n",
    "an option above the command": "steps:\n  - options:\n      ¦\n    command: import_flights data.csv\n",
    "the value of a choice": "steps:\n  - command: import_flights\n    options:\n      format: ¦\n",
    "the value of a flag": "steps:\n  - command: import_flights\n    options:\n      update: ¦\n",
    "a key of a command step": "steps:\n  - command: import_flights\n    ¦\n",
    "a key of a group": "steps:\n  - steps: [import_flights]\n    ¦\n",
    "a key of a file": "¦\n",
    "the value of a key": "steps:\n  - command: import_flights\n    capture: ¦\n",
}
HOVERS: Final = {
    "a key": "steps:\n  - command: import_flights\n    ret¦ry: 3\n",
    "a command": "steps:\n  - imp¦ort_flights\n",
    "an option": "steps:\n  - command: import_flights\n    options: {batch-¦size: 3}\n",
    "an option with underscores": "steps:\n  - command: import_flights\n    options: {batch_¦size: 3}\n",
}
ERRORS: Final = {
    "options": (
        "steps:\n  - command: import_flights\n    options: {format: xml, batch_size: many, update: perhaps, nope: 1}\n"
    ),
    "commands": "steps:\n  - imprt_flights\n  - command: imprt_flights data.csv\n",
    "keys": "steps:\n  - command: import_flights\n    ignore_errors: true\n    captrue: json\n    timeout: 5 minutes\n",
    "kinds of steps": "steps:\n  - name: Group\n    steps: [import_flights]\n    capture: text\n  - run: ls\n",
    "the file": "stepz: []\nversion: 3\n",
    "nothing": 'steps:\n  - command: import_flights\n    options: {format: "${{ run.name }}", --update: true}\n',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file")
    parser.add_argument("--format", choices=["csv", "jsonl"], default="csv", help="Read this format.")
    parser.add_argument("--batch-size", type=int, help="Process this many rows per transaction.")
    parser.add_argument("--update", action="store_true", help="Update known flights.")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageClient]:
    root = tmp_path_factory.mktemp("project")
    schema = root / "runbook.schema.json"
    commands = {
        "import_flights": command_of(add_arguments, help="Import flights."),
        "noop": command_of(lambda parser: None),
    }
    schema.write_text(json.dumps(schema_of(**commands)))
    yaml = {"schemas": {schema.as_uri(): "*.yml"}, "schemaStore": {"enable": False}, "hoverSchemaSource": False}
    program = shutil.which("yaml-language-server")
    if program is None:
        pytest.skip("yaml-language-server is not installed (npm install --global yaml-language-server@2.0.0)")
    with LanguageClient([program, "--stdio"], root=root, settings={"yaml": yaml}) as client:
        # From its first diagnostics on, it has read the settings and the schema.
        client.problems(client.open(root / "first.yml", "steps: [noop]\n"))
        yield client


def answers(client: LanguageClient, folder: Path) -> Iterator[str]:
    for number, (name, text) in enumerate(COMPLETIONS.items()):
        found = place(client, folder / f"completion{number}.yml", "completion", text)["items"]
        yield f"complete {name}:"
        yield from filter(None, described(found))
    for number, (name, text) in enumerate(HOVERS.items()):
        shown = place(client, folder / f"hover{number}.yml", "hover", text)["contents"]["value"]
        yield f"hover {name}:"
        yield from (f"  {line}" for line in shown.splitlines() if line)
    for number, (name, text) in enumerate(ERRORS.items()):
        problems = client.problems(client.open(folder / f"errors{number}.yml", text))
        yield f"errors in {name}:"
        yield from sorted(
            f"  {problem['range']['start']['line'] + 1}:{problem['range']['start']['character'] + 1}: {problem['message']}"
            for problem in problems
        )


def described(items: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the keys in one line, and each command and each option with its documentation."""
    # What every command of Django has differs between its versions.
    shared = {"verbosity", "traceback", "no-color", "force-color", "skip-checks"}
    texts = {item["label"]: text_of(item) for item in items if item["label"] not in shared}
    yield from (f"  {label}: {text}" for label, text in texts.items() if text and "[Reference]" not in text)
    # The order of the keys is that of our tables, and of no meaning to an editor.
    keys = sorted(label for label, text in texts.items() if not text or "[Reference]" in text)
    yield f"  {', '.join(keys)}".rstrip()


def text_of(item: dict[str, Any]) -> str:
    documentation = item.get("documentation") or ""
    return " ".join((documentation["value"] if isinstance(documentation, dict) else documentation).split())


def place(client: LanguageClient, path: Path, method: str, text: str) -> Any:
    before = text[: text.index("¦")]
    uri = client.open(path, text.replace("¦", ""))
    return client.at(method, uri, line=before.count("\n") + 1, column=len(before.rpartition("\n")[2]) + 1)


@pytest.mark.slow
def test_an_editor_shows_what_the_transcript_says(client: LanguageClient, tmp_path: Path) -> None:
    text = "\n".join(answers(client, tmp_path)) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        TRANSCRIPT.write_text(text)
    assert text == TRANSCRIPT.read_text()
