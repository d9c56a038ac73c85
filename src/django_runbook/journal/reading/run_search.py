"""Finds a recorded run by the beginning of its id."""

from __future__ import annotations

from django_runbook.exceptions import InvalidUsage
from django_runbook.models import Run
from django_runbook.models.fields import to_db_text


def find_run(id_prefix: str, *, using: str) -> Run:
    """Find the run whose id begins with ``id_prefix``; raises InvalidUsage unless there is exactly one."""
    if not id_prefix:
        raise InvalidUsage("a run is given by its id, or by its first characters")
    found = list(Run.objects.using(using).filter(pk__startswith=to_db_text(id_prefix)).newest_first()[:2])
    if len(found) != 1:
        raise InvalidUsage(f"{'several runs have' if found else 'no run has'} an id that begins with {id_prefix}")
    return found[0]
