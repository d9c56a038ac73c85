from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_runbook import conf
from django_runbook.binding.catalog import Catalog
from django_runbook.document.keys import NODE_KEYS, Kind
from django_runbook.document.validation.schema import FIELDS
from django_runbook.language_server.cursor.editor_text import EditorText
from django_runbook.language_server.features.completion import complete
from django_runbook.language_server.features.definition import define
from django_runbook.language_server.features.hover import explain
from django_runbook.language_server.features.questions import Question
from django_runbook.language_server.features.rename import RefusedRenameError, id_at, rename
from django_runbook.language_server.features.symbols import symbols_of
from django_runbook.language_server.workspace.editor_files import EditorFiles
from django_runbook.language_server.workspace.project_files import new_project
from tests.examples import examples
from tests.slow_cases import slow_if

ROOT = Path(__file__).parent.parent.parent
FILES = sorted([*(ROOT / "tests" / "golden").glob("*/*.yml"), *(ROOT / "runbooks").rglob("*.yml")])
# The files without errors, in which each of these words can be suggested.
VALID = [path for path in FILES if path.parent.name in {"ok", "run", "runbooks"}]
# The few large files take half the time of all.
FAST_BYTES = 1000
WORDS = {
    "an option": r"(?<=\s)(--[a-z][a-z-]+)(?=[\s=\"'])",
    "a key": r"(?m)(?:^[ ]*(?:- )?|[{,] ?)([a-z_$]+)(?=:(?:\s|$))",
    "a command": r"(?m)(?:command: |^ *- )([a-z_]+)(?= |$)",
    "a step": r"\bsteps\.(\w+)",
    "an attribute": r"\bsteps\.\w+\.(\w+)",
    "a parameter": r"\bparams\.(\w+)",
    "a variable": r"\bvars\.(\w+)",
    "a filter": r"[^|]\| ?(\w+)",
}
KEYS = {key for kind in Kind for key in (*NODE_KEYS[kind], *FIELDS[kind])}
PROJECT = new_project(conf.read(), EditorFiles, catalog=Catalog())


def is_large(path: Path) -> bool:
    return path.stat().st_size > FAST_BYTES


def broken(text: str, offset: int) -> list[str]:
    """Return a text as it is, and as it may be while it is written."""
    end = text.find("\n", offset)
    rest = text[end:] if end >= 0 else ""
    return [
        text,
        f"{text[:offset]}{rest}",
        text[:offset],
        f"{text[:offset]}${{{{ {rest}",
        f"{text[:offset]}\n{text[offset:]}",
    ]


def words_in(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield the words that can be suggested, each with its kind and its offset; the author has chosen other keys."""
    for kind, pattern in WORDS.items():
        for found in re.finditer(pattern, text):
            line = text[text.rfind("\n", 0, found.start(1)) + 1 : found.start(1)]
            if "#" not in line and (kind != "a key" or found[1] in KEYS):
                yield kind, found[1], found.start(1)


@pytest.mark.django_db
@pytest.mark.parametrize("path", slow_if(is_large, VALID), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_word_of_a_file_is_suggested_where_it_was_written(path: Path) -> None:
    text = path.read_text()
    missing = []
    for number, (kind, word, offset) in enumerate(words_in(text)):
        # The file as it is, without the rest of the line, or written up to the word.
        one = broken(text, offset)[number % 3]
        question = Question(text=EditorText(text=one), offset=offset, path=path, project=PROJECT)
        if word not in {suggestion.label for suggestion in complete(question)}:
            missing.append(f"{kind}, line {text.count(chr(10), 0, offset) + 1}: {word}")
    assert missing == []


@pytest.mark.django_db
@pytest.mark.parametrize("path", slow_if(is_large, FILES), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_request_at_any_position_has_an_answer(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    choices = random.Random(path.name)
    for _ in range(examples(3)):
        offset = choices.randint(0, len(text))
        for one in broken(text, offset):
            question = Question(text=EditorText(text=one), offset=offset, path=path, project=PROJECT)
            for suggestion in complete(question):
                assert 0 <= suggestion.start <= suggestion.end == offset
            explain(question)
            define(question)
            if question.runbook is not None:
                symbols_of(question.runbook)
            with contextlib.suppress(RefusedRenameError):
                id_at(question)
                rename(question, "new_id")
