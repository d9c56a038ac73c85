"""Shows the calls on workers: ``manage.py show_calls``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser
from django.db import Error
from django.utils import timezone

from django_runbook import conf
from django_runbook.exceptions import RunbookError
from django_runbook.journal import unreadable
from django_runbook.locks import factory as locks
from django_runbook.management.clean_command import CleanCommand
from django_runbook.models.calls import Call, CallStatus
from django_runbook.queues import call_list, call_text

# Every database accepts this limit.
_MOST: Final = 10**9


class Command(CleanCommand):
    help = "List the calls that are queued, running or dead, newest first, and count them by queue and status."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--queue",
            action="append",
            metavar="NAME",
            help="Show only calls of the queue NAME, and count them even if there are none. May be repeated.",
        )
        parser.add_argument(
            "--status",
            choices=[status.value for status in CallStatus],
            help="Show only calls with this status; a call whose worker died is dead.",
        )
        parser.add_argument(
            "--all", action="store_true", help="Show also calls that have ended: done, cancelled, or dead and repeated."
        )
        parser.add_argument(
            "--limit",
            type=int,
            default=20,
            metavar="N",
            help="List at most N calls; all of them are counted. Default: %(default)s.",
        )
        parser.add_argument(
            "--format", choices=("text", "json"), default="text", help="Choose the output format. Default: text."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["limit"] <= _MOST:
            raise CommandError(f"--limit must be between 0 and {_MOST:,}", returncode=2)
        status = options["status"]
        statuses = (status,) if status else call_list.UNSETTLED + (call_list.ENDED if options["all"] else ())
        try:
            self._show(
                queues=options["queue"] or (),
                statuses=statuses,
                has_ended=options["all"] or status in call_list.ENDED,
                limit=options["limit"],
                is_json=options["format"] == "json",
            )
        except Error as error:
            why = unreadable.reason(error, using=conf.journal_alias())
            raise CommandError(f"{unreadable.CANNOT_BE_READ}{why}") from error
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error

    def _show(
        self, *, queues: Sequence[str], statuses: Sequence[str], has_ended: bool, limit: int, is_json: bool
    ) -> None:
        calls = Call.objects.using(conf.journal_alias()).all()
        if queues:
            calls = calls.filter(queue__in=queues)
        if not has_ended:
            calls = call_list.unsettled(calls)
        factory = locks.new_factory(conf.read(), what="show_calls")
        selected = call_list.list_calls(calls, factory, statuses=statuses)
        counts, found = selected.counts(queues=queues), selected.newest(limit)
        now = timezone.now()
        if is_json:
            total = {status: sum(one[status] for one in counts.values()) for status in statuses}
            rows = [call_text.as_dict(*row, now=now) for row in found]
            self.stdout.write(json.dumps({"total": total, "queues": counts, "calls": rows}, indent=2))
            return
        lines = [*call_text.table(found, now=now), ""] if found else []
        self.stdout.write("\n".join([*lines, *call_text.count_lines(counts)]) or "no calls found")
