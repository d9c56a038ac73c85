"""Writes schedules as CronJobs of Kubernetes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django_runbook.schedules.cron_syntax import portable
from django_runbook.schedules.job import Installation, Job, Unsupported, command
from django_runbook.schedules.notes import Ability, notes_on
from django_runbook.schedules.yaml_files import as_yaml

_ABILITY: Final = Ability(
    jitter="a CronJob starts on the minute, without a delay",
    skipped_fixed="{times} is left out",
    repeated_fixed="{times} is due twice (kubernetes/kubernetes#121594): choose a time outside that hour",
    overlap='if another run holds the lock, exit code 75 makes the job fail; "lock: {on_conflict: skip}" makes it 0',
)
# Kubernetes adds a suffix of eleven characters.
_MAX_NAME: Final = 52
# Without catch_up, a start is late by at most this: the controller checks every ten seconds.
_LATE_SECONDS: Final = 600


def render(jobs: Sequence[Job], place: Installation) -> dict[str, str]:
    """Return a CronJob for each job."""
    return {f"{job.name}.yaml": _manifest(job, place) for job in jobs}


def _manifest(job: Job, place: Installation) -> str:
    if len(job.name) > _MAX_NAME:
        raise Unsupported(f'{job.file}: the name of a CronJob has at most {_MAX_NAME} letters, unlike "{job.name}"')
    comments = "".join(f"# {note}\n" for note in notes_on(job, _ABILITY))
    return comments + as_yaml(_cron_job(job, place))


def _words(job: Job, place: Installation) -> list[str]:
    # Kubernetes expands $(NAME) in each word, and reads $$ as a dollar sign.
    return [word.replace("$", "$$") for word in command(job, place)]


def _cron_job(job: Job, place: Installation) -> dict[str, Any]:
    name = job.name
    container: dict[str, Any] = {"name": name, "image": place.image, "command": _words(job, place)}
    if place.directory is not None:
        container["workingDir"] = place.directory
    if place.secret is not None:
        container["envFrom"] = [{"secretRef": {"name": place.secret}}]
    spec: dict[str, Any] = {
        "schedule": portable(job, scheduler="Kubernetes"),
        "timeZone": job.timezone,
        "concurrencyPolicy": "Forbid",
    }
    if not job.schedule.catch_up:
        spec["startingDeadlineSeconds"] = _LATE_SECONDS
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": job.stop_seconds,
        "containers": [container],
    }
    spec["jobTemplate"] = {"spec": {"backoffLimit": 0, "template": {"spec": pod}}}
    metadata = {"name": name, **({"namespace": place.namespace} if place.namespace else {})}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}
