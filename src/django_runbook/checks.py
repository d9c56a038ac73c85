"""Invalid runbooks to messages of ``manage.py check``."""

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
