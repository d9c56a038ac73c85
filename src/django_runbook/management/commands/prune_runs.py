"""Deletes old runs from the history: ``manage.py prune_runs``."""

from __future__ import annotations

import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import router
from django.db.models import Q, QuerySet
from django.utils import timezone

from django_runbook import conf
from django_runbook.batch import BatchCommand
from django_runbook.batch.parts import option_values
from django_runbook.exceptions import RunbookError
from django_runbook.journal import liveness, unreadable
from django_runbook.journal.liveness import ProcessState
from django_runbook.locks import factory as locks
from django_runbook.locks.base import Probe
from django_runbook.locks.factory import Locks
from django_runbook.management.clean_command import CleanCommand
from django_runbook.models import RUNNING, Run
from django_runbook.models.calls import Call, CallStatus
from django_runbook.models.checkpoints import Checkpoint, FinishedKey
from django_runbook.queues.call_liveness import probe_worker
from django_runbook.results import RunStatus


class Command(CleanCommand, BatchCommand):
    help = "Delete old runs with their steps, except for the newest runs of each runbook."
    is_todo = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default_database = router.db_for_write(Run)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=option_values.age,
            default="90d",
            metavar="DURATION",
            help="Delete runs that started more than DURATION ago, which needs a unit. Default: %(default)s.",
        )
        parser.add_argument(
            "--keep",
            type=int,
            default=100,
            metavar="N",
            help="Keep the newest N runs of each runbook, whatever their age. Default: %(default)s.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["keep"] < 0:
            raise CommandError("--keep must not be negative", returncode=2)
        try:
            before = timezone.now() - (
                option_values.option_value(options, "older_than", option_values.age) or datetime.timedelta()
            )
        except OverflowError:
            raise CommandError("--older-than is too long: no date is that old", returncode=2) from None
        try:
            unreadable.refuse_other_tables(self.database)
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        self._is_verbose = options["verbosity"] > 1
        self._rows = Run.objects.using(self.database).filter(
            _old(self.database, before=before, keep=options["keep"]) & self._over(before)
        )
        super().handle(*args, **options)
        if not (options["dry_run"] or self.stopping):
            # A finished checkpoint is kept for a run that dies before it records the end; such a run is not this old.
            Checkpoint.objects.using(self.database).filter(finished_at__lt=before).delete()
            # A call that is repeated after this long is meant to run again.
            FinishedKey.objects.using(self.database).filter(finished_at__lt=before).delete()

    def get_queryset(self) -> QuerySet[Run]:
        return self._rows.all()

    def process_batch(self, rows: QuerySet[Run]) -> int:
        selected = self._rows.filter(pk__in=list(rows.values_list("pk", flat=True)))
        # A resume that starts now waits for the locked row and finds it deleted; an earlier one no longer matches.
        found = list(selected.select_for_update().values_list("pk", flat=True))
        Run.objects.using(self.database).filter(pk__in=found).delete()
        return len(found)

    def _over(self, before: datetime.datetime) -> Q:
        """Match runs that are not running: those that ended, and those whose process is dead, and all their workers.

        The latter are matched by the token of their process, which a resume replaces.
        """
        claims = list(Run.objects.using(self.database).filter(status=RUNNING, started_at__lt=before))
        try:
            new_lock = locks.new_factory(conf.read(), what="prune_runs")
            process_states = liveness.process_states_of(claims, new_lock)
            called = self._runs_on_workers(before, new_lock)
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        unknown = [run for run in claims if process_states[run.pk] is ProcessState.UNKNOWN]
        for run in unknown if self._is_verbose else ():
            self.write_message(f"run {run.pk} is kept: this host cannot tell whether it is still running")
        for pk in called if self._is_verbose else ():
            self.write_message(f"run {pk} is kept: a worker may still run one of its steps")
        dead = [run.owner for run in claims if process_states[run.pk] is ProcessState.DEAD]
        return (~Q(status=RUNNING) | Q(owner__in=dead)) & ~Q(pk__in=called)

    def _runs_on_workers(self, before: datetime.datetime, new_lock: Locks) -> list[str]:
        """Return the runs with a call whose worker may live: it would end the command of a call that is deleted."""
        calls = Call.objects.using(self.database).filter(status=CallStatus.RUNNING.value, run__started_at__lt=before)
        workers: dict[str, set[str]] = {}
        for worker, run_id in calls.values_list("worker", "run"):
            workers.setdefault(worker, set()).add(run_id)
        living = [ids for worker, ids in workers.items() if probe_worker(worker, new_lock) is not Probe.FREE]
        return sorted(set().union(*living))


def _old(alias: str, *, before: datetime.datetime, keep: int) -> Q:
    """Match the runs before a time, except for the newest accepted runs of each runbook."""
    runs = Run.objects.using(alias).exclude(status=RunStatus.REFUSED)
    found = Q(status=RunStatus.REFUSED, started_at__lt=before)
    for runbook in runs.order_by().values_list("runbook", flat=True).distinct():
        newest = runs.of(runbook).newest_first().values_list("started_at", flat=True)
        oldest_kept = newest[keep - 1 : keep].first() if keep else before
        if oldest_kept is not None:
            found |= Q(runbook=runbook, started_at__lt=min(before, oldest_kept))
    return found
