"""Estimates what each step of a plan and the whole run usually take."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Collection

from django.core.exceptions import ImproperlyConfigured
from django.db import Error

from django_runbook import clock, wording
from django_runbook.cleaning import Mask
from django_runbook.forecasts.figures import figures_key
from django_runbook.forecasts.history import read_history
from django_runbook.forecasts.judgments import History
from django_runbook.forecasts.subject import Subject, subject_of
from django_runbook.journal import unreadable
from django_runbook.journal.definitions import Definitions
from django_runbook.planning.plan import Plan
from django_runbook.structs import Struct


class PlanForecast(Struct):
    """Holds the earlier runs that are comparable with a plan."""

    subject: Subject
    history: History
    now: datetime.datetime

    def step_text(self, step_id: str) -> str:
        """Return what a step usually takes; empty if that is unknown."""
        past = self.history.step(figures_key(step_id), self.subject.definition_of(step_id))
        forecast = past.forecast(self.now.date())
        return "" if forecast is None else forecast.text

    @property
    def run_text(self) -> str:
        """Return what the run usually takes, and when it would end if it started now; empty if that is unknown."""
        forecast = self.history.forecast(self.subject.shape, self.now.date())
        if forecast is None:
            return ""
        end = clock.later(self.now, forecast.usual_seconds)
        return f"{forecast.text}; started now, it ends at about {wording.clock_time(end, now=self.now)}"


def forecast_plan(
    plan: Plan,
    *,
    runbook: str,
    unselected: Collection[str],
    mask: Mask,
    using: str,
    warn: Callable[[str], None],
) -> PlanForecast | None:
    """Read the history of a plan; None if there is none. A history that cannot be read is a warning."""
    definitions = Definitions(plan=plan, mask=mask)
    subject = subject_of(
        plan, runbook=runbook, unselected=unselected, definition_of=lambda step_id: definitions.of(step_id).digest
    )
    try:
        history = read_history(runbook, subject.kind, step_count=subject.step_count, using=using)
    except ImproperlyConfigured:
        return None
    except Error as error:
        with contextlib.suppress(Error):
            if unreadable.has_no_tables(using):
                return None
        warn(f"no forecast: the run history cannot be read: {unreadable.in_one_line(error)}")
        return None
    if history.notice:
        warn(history.notice)
    return PlanForecast(subject=subject, history=history, now=clock.now())
