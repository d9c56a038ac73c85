from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator

from django_runbook import api
from django_runbook.binding.catalog import Catalog
from django_runbook.document.diagnostics import has_errors
from django_runbook.document.keys import NODE_KEYS, Kind
from django_runbook.document.validation.schema import FIELDS
from django_runbook.editor.project_schema import as_text, generic_schema, project_schema
from tests.documentation import PAGES, blocks_of
from tests.editor.support import is_accepted, read, value_of

ROOT: Final = Path(__file__).parent.parent.parent
GOLDEN: Final = ROOT / "tests" / "golden"
DATABASES: Final = ("default", "replica")
# The valid files of the repository: the golden files, those of the example project, and the blocks of the documentation.
FOLDERS: Final = [*(GOLDEN / name for name in ("ok", "warn", "run")), ROOT / "runbooks"]
FILES: Final = sorted(path for folder in FOLDERS for path in folder.rglob("*.yml"))
BLOCKS: Final = [block for page in PAGES for block in blocks_of(page) if block.is_runbook and not block.code]
# What only the check sees: other files, expressions, the arguments of a command line, and the text of the file itself.
UNSEEN: Final = {
    "ambiguous", "arguments", "calls", "called", "expressions", "filters", "no_engine", "no_value", "queues", "quotes",
    "too_many_steps", "unknown_reporter",
}  # fmt: skip
# No YAML that another reader could read.
UNREADABLE: Final = {"control_character", "not_utf8", "syntax", "deep", "unsupported_yaml"}
INVALID: Final = [path for path in sorted(GOLDEN.glob("err/*.yml")) if path.stem not in UNSEEN | UNREADABLE]


@cache
def whole() -> dict[str, Any]:
    return project_schema(Catalog(), databases=DATABASES)


@cache
def generic() -> dict[str, Any]:
    return generic_schema()


@pytest.mark.django_db
@pytest.mark.parametrize("schema", [pytest.param(whole, marks=pytest.mark.slow), generic])
def test_the_schema_is_a_draft_7_schema(schema: Any) -> None:
    Draft7Validator.check_schema(schema())


def test_the_meta_schema_refuses_what_is_not_a_schema() -> None:
    assert not Draft7Validator(Draft7Validator.META_SCHEMA).is_valid({"type": "no type"})


@pytest.mark.django_db
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_valid_file_is_accepted(path: Path) -> None:
    errors = [
        f"{'.'.join(map(str, error.path))}: {error.message}"
        for error in Draft7Validator(whole()).iter_errors(read(path))
    ]
    assert errors == []
    assert Draft7Validator(generic()).is_valid(read(path))


@pytest.mark.django_db
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.id)
def test_each_example_of_the_documentation_is_accepted(block: Any) -> None:
    assert is_accepted(whole(), block.whole())


@pytest.mark.django_db
@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_each_invalid_file_is_refused_if_a_schema_can_see_why(path: Path) -> None:
    assert not Draft7Validator(whole()).is_valid(read(path))


def test_the_lists_of_what_a_schema_cannot_see_are_of_files() -> None:
    assert {path.stem for path in GOLDEN.glob("err/*")} >= UNSEEN | UNREADABLE


# It makes the schema of all commands twice.
@pytest.mark.slow
@pytest.mark.django_db
def test_the_same_project_gives_the_same_text() -> None:
    assert as_text(whole()) == as_text(project_schema(Catalog(), databases=DATABASES))


@pytest.mark.django_db
def test_notify_accepts_the_reporters_of_the_project() -> None:
    schema = project_schema(Catalog(), databases=DATABASES, reporters=["oncall", "log"])
    assert is_accepted(schema, "notify: [oncall, log]\nsteps: [noop]\n")
    assert not is_accepted(schema, "notify: [pager]\nsteps: [noop]\n")
    assert is_accepted(generic(), "notify: [pager]\nsteps: [noop]\n")


def test_the_generic_schema_has_no_command() -> None:
    schema = generic()
    assert is_accepted(schema, "steps:\n  - command: unknown\n    options: {anything: 1}\n")
    assert not is_accepted(schema, "steps: [' ']\n")


def test_the_published_schema_is_the_generic_one() -> None:
    published = ROOT / "docs" / "_static" / "runbook.schema.json"
    if os.environ.get("UPDATE_GOLDEN"):
        published.write_text(as_text(generic()))
    assert published.read_text() == as_text(generic())


def test_each_key_of_each_mapping_is_in_the_schema() -> None:
    schema = generic()
    known = {Kind.FILE: schema["properties"]}
    for kind, name in (
        (Kind.COMMAND, "commandStep"),
        (Kind.GROUP, "group"),
        (Kind.PARALLEL, "parallelGroup"),
        (Kind.CALL, "runbookStep"),
        (Kind.RETRY, "retrySettings"),
        (Kind.LOCK, "lockSettings"),
        (Kind.SCHEDULE, "scheduleSettings"),
        (Kind.PARAM, "parameter"),
        (Kind.VARIABLE, "variable"),
        (Kind.DEFAULTS, "defaults"),
    ):
        found = schema["definitions"][name]
        known[kind] = found.get("else", found)["properties"]
    assert {kind: set(keys) for kind, keys in known.items()} == {
        kind: {*NODE_KEYS[kind], *FIELDS[kind]} for kind in Kind
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# yaml-language-server: $schema=a.json\n$schema: a.json\nsteps: [check]\n", True),
        ("$schema: 5\nsteps: [check]\n", False),
        ("name: null\nsteps: [check]\n", True),
        ("steps: []\n", False),
        ("name: Nightly\n", False),
        ("steps: [{command: check, captrue: json}]\n", False),
        ("steps: [{command: check, ignore_errors: true}]\n", False),
        ("steps: [{command: check, steps: [check]}]\n", False),
        ("steps: [{steps: [check], capture: text}]\n", False),
        ("steps: [{command: check, timeout: 5 minutes}]\n", False),
        ("steps: [{command: check, timeout: ''}]\n", False),
        ("steps: [{command: check, timeout: 1h30m}]\n", True),
        ("steps: [{command: check, lock: true}]\n", False),
        ("lock: true\nsteps: [check]\n", True),
        ("lock: {on_conflict: skip}\nsteps: [check]\n", True),
        ("steps: [{command: check, lock: {on_conflict: skip}}]\n", False),
        ("schedule: 15 2 * * *\nsteps: [check]\n", True),
        ("schedule: {cron: 15 2 * * *, jitter: 5m}\nsteps: [check]\n", True),
        ("schedule: '@daily'\nsteps: [check]\n", False),
        ("schedule: {timezone: UTC}\nsteps: [check]\n", False),
        ("steps: [{command: check, schedule: 15 2 * * *}]\n", False),
        ("steps: [{command: check, when: false}]\n", True),
        ("steps: [{command: check, for_each: EWR}]\n", False),
        ("params: {day: null}\nsteps: [check]\n", False),
        ("params: {a-b: 1}\nsteps: [check]\n", False),
        ("params: {größe: 1}\nsteps: [check]\n", True),
    ],
)
def test_the_schema_agrees_with_the_check(text: str, tmp_path: Path, *, expected: bool) -> None:
    path = tmp_path / "runbook.yml"
    path.write_text(text)
    [checked] = api.check([str(path)])
    assert (is_accepted(generic(), text), not has_errors(checked.diagnostics)) == (expected, expected)


def test_foreign_words_are_answered_with_the_key_to_use() -> None:
    [refused] = [
        one for one in generic()["definitions"]["foreignWords"]["allOf"] if "ignore_errors" in one["properties"]
    ]
    assert 'use "continue_on_error"' in refused["errorMessage"]
    errors = list(Draft7Validator(generic()).iter_errors(value_of("version: 3\nsteps: [check]\n")))
    assert len(errors) == 1
