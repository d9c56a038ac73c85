"""Tests runbooks without running their commands, and batch commands by killing them.

This package is for the tests of a project; nothing else imports it.
"""

from __future__ import annotations

from django_runbook.planning.selection import Selection
from django_runbook.testing.faked_run import FakedRun, run
from django_runbook.testing.fakes import FakeCall, UnfakedCommandError
from django_runbook.testing.kill_points import kill_points
from django_runbook.testing.mixin import RunbookTestMixin

__all__ = ["FakeCall", "FakedRun", "RunbookTestMixin", "Selection", "UnfakedCommandError", "kill_points", "run"]
