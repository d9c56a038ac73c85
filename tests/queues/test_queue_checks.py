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
    settings.RUNBOOK = {"QUEUE": {"BACKEND": "celery"}}
    ((code, message, help_text),) = found_in(tmp_path, f"steps: [{STEP}]")
    assert code == "RB431"
    assert message == "the step has a queue, but Celery has no app in this project"
    assert help_text == 'set up Celery or TASKS, or name an engine in RUNBOOK["QUEUE"]'
