"""Defines the task of a project that calls runbooks, for Django's framework or its backport."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tests.hosts.calling import call_runbook

_tasks: Any = import_module("django.tasks" if find_spec("django.tasks") else "django_tasks")


@_tasks.task  # type: ignore[untyped-decorator]  # found at run time
def call(path: str, log: str) -> None:
    """Call a runbook."""
    call_runbook(path, log)
