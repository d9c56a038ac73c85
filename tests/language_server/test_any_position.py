from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from django_runbook import conf
from django_runbook.binding.catalog import Catalog
from django_runbook.language_server.completion import complete
from django_runbook.language_server.definition import define
from django_runbook.language_server.editor_files import EditorFiles
from django_runbook.language_server.editor_text import EditorText
from django_runbook.language_server.hover import explain
from django_runbook.language_server.project_files import new_project
from django_runbook.language_server.questions import Question
from django_runbook.language_server.rename import RefusedRenameError, id_at, rename
from django_runbook.language_server.symbols import symbols_of
from tests.examples import examples

ROOT = Path(__file__).parent.parent.parent
FILES = sorted([*(ROOT / "tests" / "golden").glob("*/*.yml"), *(ROOT / "runbooks").rglob("*.yml")])
PROJECT = new_project(conf.read(), EditorFiles, catalog=Catalog())


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


@pytest.mark.django_db
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
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
