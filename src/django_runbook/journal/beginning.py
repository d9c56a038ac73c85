"""Make the row of a run that is about to start, with what of it can be given to a later attempt."""

from __future__ import annotations

import datetime
import getpass
import hashlib
import json
import os
import socket
import subprocess
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from django_runbook.binding.plan import Plan
from django_runbook.fields import to_db_text
from django_runbook.models import Run
from django_runbook.process.masking import Mask
from django_runbook.runner.selection import Selection

_GIT_SECONDS: Final = 2.0


def new_run(
    plan: Plan, *, path: Path, runbook: str, given: Collection[str], options: Mapping[str, Any], mask: Mask
) -> Run:
    """Make the row of a new run, without storing it.

    ``runbook`` is its name over releases, ``given`` are the names of the parameters that the caller gave.
    """
    params, withheld = _split(plan, given, mask=mask)
    run = Run(
        id=str(plan.inputs.run["id"]),
        runbook=to_db_text(runbook),
        name=to_db_text(plan.runbook.name),
        file=to_db_text(plan.runbook.path),
        file_hash=hashlib.sha256(path.read_bytes()).hexdigest(),
        git_commit=_commit_of(path),
        params=params,
        options={**options, "withheld_params": withheld},
        owner=new_owner(),
        **here(),
    )
    run.begin(plan.inputs.now)
    return run


def columns_to_resume(
    run: Run, plan: Plan, *, given: Collection[str], options: Mapping[str, Any], mask: Mask
) -> dict[str, Any]:
    """Return what a resumed run was given: as it began, and what is new since then."""
    params, withheld = _split(plan, given, mask=mask)
    withheld = sorted({*run.options.get("withheld_params", ()), *withheld})
    # What held a secret once is not stored when the secret is another one.
    new = {name: value for name, value in params.items() if name not in withheld}
    kept = {name: value for name, value in run.params.items() if name in plan.inputs.params and name not in withheld}
    return {
        **here(),
        "params": new | kept,
        "options": {**run.options, **options, "withheld_params": withheld},
    }


def _split(plan: Plan, given: Collection[str], *, mask: Mask) -> tuple[dict[str, object], list[str]]:
    """Return the parameters that can be recorded, and the names of those that were given and cannot."""
    params = {name: plain for name, value in plan.inputs.params.items() if (plain := _plain(value)) is not None}
    shown = {name: value for name, value in params.items() if mask(str(value)) == str(value)}
    return shown, sorted(name for name in given if name not in shown)


def new_owner() -> str:
    """Return a token that no other process has."""
    return uuid.uuid4().hex


def here() -> dict[str, Any]:
    """Return this process, by the names of the columns."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user often has no name.
        user = str(os.getuid())
    return {"host": socket.gethostname()[:255], "pid": os.getpid(), "user": to_db_text(user)[:150]}


def options_of(selection: Selection, **more: Any) -> dict[str, Any]:
    """Return a selection as plain data, for `selection_of`."""
    names = ("only", "skip", "start_at", "tags", "skip_tags")
    return {**{name: getattr(selection, name) for name in names}, **more}


def selection_of(run: Run) -> Selection:
    """Return the selection that a run began with."""
    options = run.options
    return Selection(
        only=tuple(options.get("only", ())),
        skip=tuple(options.get("skip", ())),
        start_at=options.get("start_at"),
        tags=tuple(options.get("tags", ())),
        skip_tags=tuple(options.get("skip_tags", ())),
    )


def _plain(value: object) -> object:
    """Return a parameter as JSON has it; None if that could not be given back."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return None
    return value


def _commit_of(path: Path) -> str:
    """Return the commit of the checkout that has the file; empty if there is none."""
    folder = path.resolve().parent
    if not any((place / ".git").exists() for place in (folder, *folder.parents)):
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()[:64] if done.returncode == 0 else ""
