"""Reports invalid runbooks and settings to ``manage.py check``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.core import checks

if TYPE_CHECKING:
    from django_runbook.conf import Configuration


def _is_run_by_check() -> bool:
    """Return whether the command `check` runs the checks, and not the start of another command."""
    frame = sys._getframe()
    while (caller := frame.f_back) is not None:
        frame = caller
        if frame.f_globals.get("__name__") == "django.core.management.commands.check":
            return True
    return False


def _of_check_command(check: Callable[[], list[checks.CheckMessage]]) -> Callable[..., list[checks.CheckMessage]]:
    """Register a check of the whole project that only ``manage.py check`` and its callers run.

    Django also runs its checks before most commands, which a check of all runbooks would slow down.
    """

    def checked(app_configs: Sequence[Any] | None, **_: Any) -> list[checks.CheckMessage]:
        return check() if app_configs is None and _is_run_by_check() else []

    return checks.register("runbooks")(checked)


def _valid_settings() -> Configuration | None:
    """Return the settings, or None if they are invalid, which the check of the runbooks reports."""
    from django_runbook import conf
    from django_runbook.exceptions import InvalidUsage

    try:
        return conf.read()
    except InvalidUsage:
        return None


@_of_check_command
def check_runbooks() -> list[checks.CheckMessage]:
    """Return the errors and warnings of all runbooks of the project."""
    # Imported here, so that other commands do not pay for it.
    from django_runbook.checking import messages

    return messages()


@_of_check_command
def check_locks() -> list[checks.CheckMessage]:
    """Return the errors in ``RUNBOOK["LOCK"]``, without connecting to anything."""
    from django_runbook.exceptions import InvalidUsage
    from django_runbook.locks.factory import new_factory

    configuration = _valid_settings()
    if configuration is None:
        return []
    try:
        return list(new_factory(configuration, what="manage.py check").check())
    except InvalidUsage as error:
        return [checks.Error(str(error), id="django_runbook.E002")]


@_of_check_command
def check_reporters() -> list[checks.CheckMessage]:
    """Return the errors in ``RUNBOOK["REPORTERS"]``, without connecting to anything."""
    from django_runbook.configured_reporters import make_all
    from django_runbook.exceptions import InvalidUsage

    configuration = _valid_settings()
    if configuration is None:
        return []
    try:
        make_all(configuration)
    except InvalidUsage as error:
        return [checks.Error(str(error), id="django_runbook.E003")]
    return []


@_of_check_command
def check_idempotent() -> list[checks.CheckMessage]:
    """Return a warning for each name in ``RUNBOOK["IDEMPOTENT"]`` that is not a command."""
    from django.core.management import get_commands

    from django_runbook.document.similar_names import nearest

    configuration = _valid_settings()
    names = frozenset[str]() if configuration is None else configuration.idempotent
    known = sorted(get_commands())
    return [
        checks.Warning(
            f'RUNBOOK["IDEMPOTENT"] names the unknown command "{name}".',
            hint=f'Did you mean "{near}"?' if (near := nearest(name, known)) else None,
            id="django_runbook.W004",
        )
        for name in sorted(names - set(known))
    ]


@_of_check_command
def check_isolation() -> list[checks.CheckMessage]:
    """Return the reason if steps cannot run in their own processes."""
    from django_runbook.process import isolation

    reason = isolation.lasting_obstacle()
    if not reason:
        return []
    message = f"All steps of runbooks run in the process of their run, one at a time: {reason}."
    hint = "Changes that a step makes to the process can affect the next step, and timeouts cannot end a step."
    return [checks.Info(message, hint=hint, id="django_runbook.I002")]
