"""Builds the row of a new run, and the columns that a resume changes."""

from __future__ import annotations

import datetime
import getpass
import hashlib
import json
import os
import socket
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from django_runbook.cleaning import Mask
from django_runbook.document.inputs import names_of_env
from django_runbook.git_commit import commit_of
from django_runbook.models import Run
from django_runbook.models.fields import to_db_text
from django_runbook.planning.plan import Plan
from django_runbook.planning.selection import Selection


def new_run(
    plan: Plan, *, path: Path, runbook: str, given: Collection[str], options: Mapping[str, Any], mask: Mask
) -> Run:
    """Build the row of a new run, without storing it.

    ``runbook`` is its name in all releases, ``given`` are the names of the parameters that the caller passed.
    """
    params, withheld = _split(plan, given, mask=mask)
    run = Run(
        id=str(plan.inputs.run["id"]),
        runbook=to_db_text(runbook),
        name=to_db_text(plan.runbook.name),
        file=to_db_text(plan.runbook.path),
        file_hash=hashlib.sha256(path.read_bytes()).hexdigest(),
        git_commit=commit_of(path.resolve().parent),
        params=params,
        options={**options, "withheld_params": withheld, **_env(plan, mask=mask)},
        owner=new_owner(),
        **process_columns(),
    )
    run.begin(plan.inputs.now)
    return run


def columns_for_resume(
    run: Run, plan: Plan, *, given: Collection[str], options: Mapping[str, Any], mask: Mask
) -> dict[str, Any]:
    """Return the columns that a resume changes: the process, and the parameters and options that are new."""
    params, withheld = _split(plan, given, mask=mask)
    withheld = sorted({*run.options.get("withheld_params", ()), *withheld})
    # A value that held a secret once is not stored after the secret has changed.
    new = {name: value for name, value in params.items() if name not in withheld}
    kept = {name: value for name, value in run.params.items() if name in plan.inputs.params and name not in withheld}
    return {
        **process_columns(),
        "params": new | kept,
        "options": {**run.options, **options, "withheld_params": withheld},
    }


def _split(plan: Plan, given: Collection[str], *, mask: Mask) -> tuple[dict[str, object], list[str]]:
    """Return the parameters to record, and the names of passed parameters that cannot be recorded."""
    params = {name: plain for name, value in plan.inputs.params.items() if (plain := _to_json(value)) is not None}
    shown = {name: value for name, value in params.items() if mask(str(value)) == str(value)}
    return shown, sorted(name for name in given if name not in shown)


def _env(plan: Plan, *, mask: Mask) -> dict[str, dict[str, str | None]]:
    """Return the environment variables to record, None for one that was not set; a resume reads the others again."""
    values = {name: plan.inputs.all_env.get(name) for name in names_of_env(plan.runbook)}
    shown = {name: value for name, value in values.items() if value is None or mask(value) == value}
    return {"env": shown} if shown else {}


def new_owner() -> str:
    """Return a unique token of this process."""
    return uuid.uuid4().hex


def process_columns() -> dict[str, Any]:
    """Return the columns that identify this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # The user of a container often has no name.
        user = str(os.getuid())
    return {"host": socket.gethostname()[:255], "pid": os.getpid(), "user": to_db_text(user)[:150]}


def stored_options(selection: Selection, **more: Any) -> dict[str, Any]:
    """Return the options of a run as JSON, with its selection."""
    names = ("only", "skip", "start_at", "tags", "skip_tags")
    return {**{name: getattr(selection, name) for name in names}, **more}


def stored_selection(run: Run) -> Selection:
    """Return the selection that a run began with."""
    options = run.options
    return Selection(
        only=tuple(options.get("only", ())),
        skip=tuple(options.get("skip", ())),
        start_at=options.get("start_at"),
        tags=tuple(options.get("tags", ())),
        skip_tags=tuple(options.get("skip_tags", ())),
    )


def _to_json(value: object) -> object:
    """Return a parameter as JSON; None if JSON cannot represent it."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return None
    return value
