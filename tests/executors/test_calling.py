"""Calls commands as manage.py does: with Django's parser, with their own, or made with django-click."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from django.core.management import get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from django_runbook.results import StepStatus
from tests.binding.oracle import bound, called, from_shell
from tests.testapp.parsing import RECEIVED


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Add a command during a test."""
    return lambda command: monkeypatch.setitem(get_commands(), "made_here", command)


class Streams(BaseCommand):
    """Has options whose names `BaseCommand.execute` and runbooks also use."""

    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--stdout", action="store_true", dest="to_stdout")
        parser.add_argument("--progress", action="store_true")
        parser.add_argument("--skip-checks", action="store_true", dest="skip_checks")

    def handle(self, *args: Any, **options: Any) -> None:
        RECEIVED.append((args, options))


class Wrapping(BaseCommand):
    """Parses its command line itself, as commands of multi-tenant packages do."""

    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        if argv[2] == "bad":
            super().run_from_argv([argv[0], argv[1]])
        RECEIVED.append((tuple(argv), {}))

    def handle(self, *args: Any, **options: Any) -> None:
        raise CommandError("nothing to do", returncode=7)


@pytest.mark.parametrize("argv", [[], ["--stdout"], ["--progress", "--skip-checks"]])
def test_a_command_gets_exactly_the_options_of_its_command_line(install: Any, argv: list[str]) -> None:
    install(Streams())
    expected = from_shell("made_here", argv)
    RECEIVED.clear()
    assert called("made_here", argv).status is StepStatus.SUCCEEDED
    assert expected == RECEIVED


def test_a_command_that_reads_its_command_line_is_left_to_it(install: Any) -> None:
    install(Wrapping())
    RECEIVED.clear()
    assert called("made_here", ["tenant", "--unknown", "x"]).status is StepStatus.SUCCEEDED
    assert RECEIVED == [(("manage.py", "made_here", "tenant", "--unknown", "x"), {})]


def test_the_error_of_such_a_command_is_raised(install: Any) -> None:
    install(Wrapping())
    failure = called("made_here", ["bad"]).failure
    assert failure is not None
    assert (failure.error_type, failure.message, failure.exit_code) == ("CommandError", "nothing to do", 7)


@pytest.mark.django_db
def test_such_a_command_leaves_the_transaction_of_its_caller_open(install: Any) -> None:
    install(Wrapping())
    called("made_here", ["bad"])
    assert connection.is_usable()
    assert "close" not in vars(connection._connections[connection._alias])  # type: ignore[attr-defined]  # private: the stubs leave it out


def test_options_of_such_a_command_are_formatted_for_its_parser() -> None:
    planned, (warning,) = bound({"command": "parse_own_argv north", "options": {"live": False, "other": 3}})
    assert (warning.code, warning.severity) == ("RB421", "warning")
    assert planned.binding.tokens == ("north", "--no-live", "--other=3")
    assert planned.is_final


@pytest.mark.parametrize(
    "step", ["parse_own_argv x --settings=y", {"command": "parse_own_argv x", "options": {"help": True}}]
)
def test_such_a_command_cannot_choose_other_settings(step: Any) -> None:
    assert {item.code for item in bound(step)[1]} == {"RB406", "RB421"}


def test_a_click_command_runs() -> None:
    planned, (warning,) = bound({"command": "greet world", "options": {"count": 2}})
    assert (warning.code, warning.severity) == ("RB412", "warning")
    RECEIVED.clear()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        result = called("greet", planned.binding.tokens)
    assert result.status is StepStatus.SUCCEEDED
    assert RECEIVED == [(("world",), {"count": 2, "loud": True})]


@pytest.mark.parametrize(("argv", "exit_code"), [(["nobody"], 1), (["world", "--count", "many"], 2), ([], 2)])
def test_a_click_command_that_fails_is_a_failure(argv: list[str], exit_code: int) -> None:
    failure = called("greet", argv).failure
    assert failure is not None
    assert failure.exit_code == exit_code
