"""Queues are checked before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook import api

STEP = "{command: noop, queue: heavy}"
OWN = "tests.queues.engines.test_choice.OwnEngine"


def found_in(tmp_path: Path, text: str) -> list[tuple[str, str, str]]:
    path = tmp_path / "q.yml"
    path.write_text(text)
    (checked,) = api.check([str(path)])
    return [(item.code, item.message, item.help) for item in checked.diagnostics]


@pytest.fixture(autouse=True)
def engine(settings: Any) -> None:
    settings.TASKS = {}
    settings.RUNBOOK = {"QUEUE": OWN, "JOURNAL": True}


def codes_in(tmp_path: Path, text: str) -> list[str]:
    return [code for code, _, _ in found_in(tmp_path, text)]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (f"steps: [{STEP}]", []),
        ("steps: [{command: noop, queue: heavi}]", ["RB430"]),
        (
            "steps: [{queue: heavi, steps: [noop, {command: noop, queue: heavy}, {command: noop, queue: false}]}]",
            ["RB430"],
        ),
        ("defaults: {queue: heavi}\nsteps: [noop]", ["RB430"]),
        ("steps: [{command: noop, queue: heavy, isolate: false}]", ["RB434"]),
        (f"journal: false\nsteps: [{STEP}]", ["RB432"]),
        ("steps: [{command: noop, queue: 5}]", ["RB205"]),
        ("steps: [{command: noop, queue: true}]", ["RB205"]),
        ("steps: [{runbook: q.yml, queue: heavy}]", ["RB201", "RB214"]),
        (f"steps: [noop]\nfinally: [{STEP}, {{command: noop, queue: x}}]", ["RB430"]),
    ],
)
def test_each_kind_of_error_has_its_code(tmp_path: Path, text: str, codes: list[str]) -> None:
    found = codes_in(tmp_path, text)
    # In SQLite, which the tests use, all workers must run on one host.
    assert sorted(set(found) - {"RB433"}) == codes


def test_the_nearest_queue_is_named(tmp_path: Path) -> None:
    found = found_in(tmp_path, "steps: [{command: noop, queue: heavi}]")
    assert ("RB430", 'own has no queue "heavi"', 'did you mean "heavy"?') in found


def test_a_project_without_an_engine_names_what_it_needs(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {"QUEUE": {"BACKEND": "celery", "OPTIONS": {"app": "tests.celery_apps.fallback"}}}
    ((code, message, help_text),) = found_in(tmp_path, f"steps: [{STEP}]")
    assert code == "RB431"
    assert message == "the step has a queue, but Celery has no app in this project"
    assert help_text == 'set up Celery or TASKS, or name an engine in RUNBOOK["QUEUE"]'


def places_in(tmp_path: Path, text: str) -> list[str]:
    """Return the code of each diagnostic with the text that it points at."""
    path = tmp_path / "q.yml"
    path.write_text(text)
    (checked,) = api.check([str(path)])
    found = []
    for item in checked.diagnostics:
        line = Path(item.path or path).read_text().splitlines()[item.span.line - 1]
        found.append(f"{item.code} {line[item.span.column - 1 : item.span.end_column - 1]}")
    return found


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("steps:\n- command: noop\n  queue: heavi\n", ["RB430 heavi", "RB433 heavi"]),
        ("steps:\n- steps: [noop, noop]\n  queue: heavi\n", ["RB430 heavi", "RB433 heavi"]),
        ("defaults:\n  queue: heavi\nsteps: [noop, noop]\n", ["RB430 heavi", "RB433 heavi"]),
        ("steps:\n- command: noop\n  queue: heavy\n  isolate: false\n", ["RB434 noop", "RB433 heavy"]),
        ("journal: false\nsteps:\n- command: noop\n  queue: heavy\n", ["RB432 heavy", "RB433 heavy"]),
    ],
    ids=["step", "group", "defaults", "isolate", "journal"],
)
def test_diagnostics_point_at_the_queue(tmp_path: Path, text: str, places: list[str]) -> None:
    assert sorted(places_in(tmp_path, text)) == sorted(places)


def test_diagnostics_of_an_included_runbook_point_at_its_file(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text(
        "steps:\n\n\n- {command: noop, queue: inside}\n- {command: noop, isolate: false}\n"
    )
    text = "steps:\n- steps: [{runbook: inner.yml}]\n  queue: around\n"
    assert sorted(places_in(tmp_path, text)) == ["RB430 around", "RB430 inside", "RB433 inside", "RB434 noop"]


def test_a_missing_engine_is_reported_at_the_queue(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {"QUEUE": {"BACKEND": "celery", "OPTIONS": {"app": "tests.celery_apps.fallback"}}}
    assert places_in(tmp_path, "steps:\n- command: noop\n  queue: heavy\n") == ["RB431 heavy"]
