"""Tests which interrupted commands a resumed run repeats without a question."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.management import find_commands
from pytest_django import Settings

from django_runbook import conf
from django_runbook.exceptions import InvalidUsage
from django_runbook.resume import repeatable
from django_runbook.resume.repeatable import VERDICTS, RepeatableCommands
from tests.locks.backends import alias_on

CONTRIB = [
    f"django.contrib.{module.name}" for module in pkgutil.iter_modules([str(Path(django.__file__).parent / "contrib")])
]


def commands_of(app: str) -> set[str]:
    path = Path(str(importlib.import_module(app).__file__)).parent
    return set(find_commands(str(path / "management")))


@pytest.mark.parametrize("app", ["django.core", "django_runbook", *CONTRIB])
def test_each_command_of_django_and_of_ours_has_a_verdict_with_its_reason(app: str) -> None:
    # Some releases of Django have fewer commands.
    assert commands_of(app) - set(VERDICTS.get(app, {})) == set()
    assert all(verdict.why for verdict in VERDICTS.get(app, {}).values())


def test_an_app_without_commands_has_no_verdicts() -> None:
    assert set(VERDICTS) <= {"django.core", "django_runbook", *CONTRIB}


@pytest.mark.parametrize(
    ("command", "is_safe"),
    [
        ("collectstatic", True),
        ("clearsessions", True),
        ("wait_for", True),
        ("loaddata", False),
        ("say", False),
        ("", False),
    ],
)
def test_the_verdict_decides_whether_a_command_is_safe(command: str, is_safe: bool) -> None:  # noqa: FBT001 - a parameter
    assert RepeatableCommands().is_safe(command, ()) is is_safe


def test_a_project_lists_its_own_commands(settings: Settings) -> None:
    settings.RUNBOOK = {"IDEMPOTENT": ["say", "loaddata"]}
    repeatable = RepeatableCommands(own=conf.read().idempotent)
    assert [repeatable.is_safe(name, ()) for name in ("say", "loaddata", "flush")] == [True, True, False]


@pytest.mark.parametrize("value", ["say", 5, [5], {"say": True}, None])
def test_a_setting_other_than_a_list_of_names_is_refused(settings: Settings, value: object) -> None:
    settings.RUNBOOK = {"IDEMPOTENT": value}
    with pytest.raises(InvalidUsage, match=r'RUNBOOK\["IDEMPOTENT"\] must be a list of names of commands'):
        conf.read()


def test_a_command_that_a_project_has_replaced_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RepeatableCommands().is_safe("migrate", ())
    found: dict[str, Any] = {"migrate": "shop", "check": object()}
    monkeypatch.setattr(repeatable, "get_commands", lambda: found)
    assert not RepeatableCommands().is_safe("migrate", ())
    assert not RepeatableCommands().is_safe("check", ())


@pytest.mark.slow
def test_migrate_is_safe_if_the_database_rolls_back_schema_changes() -> None:
    migrate = RepeatableCommands().is_safe
    with alias_on("mariadb") as maria, alias_on("postgresql") as postgres:
        for words, is_safe in (
            ((), True),
            (("--database", postgres), True),
            ((f"--database={postgres}", "--no-input"), True),
            (("--database", maria), False),
            ((f"--database={maria}",), False),
            (("--database", "nowhere"), False),
            (("--database", "***"), False),
        ):
            assert migrate("migrate", ("migrate", *words)) is is_safe, words
