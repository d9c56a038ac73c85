"""Invalid runbooks and settings to messages of ``manage.py check``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from django.core import checks


@checks.register("runbooks")
def check_runbooks(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Errors and warnings of all runbooks of the project.

    Django runs its checks before most commands too; reading every runbook there would slow all of them down, so only
    ``manage.py check`` and what calls it get the answer.
    """
    if app_configs is not None or "django.core.management.commands.check" not in sys.modules:
        return []
    # Only now: what a runbook needs is imported by no other command.
    from django_runbook.checking import messages

    return messages()


@checks.register("runbooks")
def check_locks(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """What stands against the locks that ``RUNBOOK["LOCK"]`` asks for; nothing is connected to."""
    if app_configs is not None or "django.core.management.commands.check" not in sys.modules:
        return []
    from django_runbook import conf
    from django_runbook.exceptions import InvalidUsage
    from django_runbook.locks.factory import new_factory

    try:
        configuration = conf.read()
    except InvalidUsage:
        # Told by the check of the runbooks.
        return []
    try:
        backend = new_factory(configuration, what="manage.py check")
    except InvalidUsage as error:
        return [checks.Error(str(error), id="django_runbook.E002")]
    # A backend may have more to say, as Django's own do.
    check = getattr(backend, "check", None)
    return list(check()) if callable(check) else []
