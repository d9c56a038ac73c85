"""Deletes the rows of a model that are older than a given age, in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError, transaction
from django.db.models import Model, ProtectedError, Q, QuerySet, RestrictedError
from django.db.models.deletion import Collector
from django.utils import timezone

from django_runbook.argparse_compat import actions_of
from django_runbook.batch.batch_command import BatchCommand
from django_runbook.batch.core.batch_result import BatchResult
from django_runbook.batch.parts import option_values
from django_runbook.management import purge_conditions
from django_runbook.management.clean_command import CleanCommand

if TYPE_CHECKING:
    from django_runbook.batch.estimates import Cascades

# Every database accepts this many values in one condition.
_KEYS_AT_ONCE: Final = 500


class Command(CleanCommand, BatchCommand):
    help = (
        "Delete the rows of a model whose --field is older than --older-than. Like QuerySet.delete(), it deletes "
        "cascading rows and sends signals. Rows without a value in --field are kept."
    )
    is_todo = True
    stealth_options = ("would_delete",)
    cursor_free_options: ClassVar[tuple[str, ...]] = ("would_delete",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model",
            type=purge_conditions.parse_model,
            metavar="APP.MODEL",
            help="Delete rows of APP.MODEL, for example sessions.Session.",
        )
        parser.add_argument(
            "--older-than",
            type=option_values.positive_age,
            required=True,
            metavar="DURATION",
            help="Delete rows older than DURATION, which needs a unit: 90d or 12h.",
        )
        parser.add_argument(
            "--field", required=True, metavar="FIELD", help="Determine the age of a row from FIELD, a date or time."
        )
        parser.add_argument(
            "--where",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="Delete only rows that also match NAME=VALUE, for example state=done; may be repeated.",
        )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Create the parser, and describe the dry run, which unlike others does not process rows and roll back."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        (dry_run,) = (action for action in actions_of(parser) if action.dest == "dry_run")
        dry_run.help = "Count the rows that would be deleted, and delete nothing."
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        self._model: type[Model] = options["model"]
        self._is_dry_run: bool = options["dry_run"]
        self._would_delete = options.get("would_delete")
        self._deleted = Counter[str]()
        # Computed once, so that the run comes to an end.
        try:
            self._condition: Q = purge_conditions.older_than(
                self._model, options["field"], age=options["older_than"], now=timezone.now()
            )
        except OverflowError:
            raise CommandError("--older-than is too long: no date is that old", returncode=2) from None
        for text in options["where"]:
            self._condition &= purge_conditions.where(self._model, text)
        super().handle(*args, **options)

    def get_lock_name(self, **options: Any) -> str | None:
        """Return the name of the lock, one for each model."""
        name = super().get_lock_name(**options)
        return f"{name} {options['model']._meta.label}" if name else None

    def get_queryset(self) -> QuerySet[Any]:
        return self._model._default_manager.filter(self._condition)

    def count_cascades(self, rows: Any, count: Callable[[Any], int | None]) -> Cascades:
        """Count the rows of other tables that would be deleted with these."""
        # Only an estimate needs it.
        from django_runbook.management import cascades

        return cascades.count_cascades(self.get_queryset().using(self.database).filter(pk__in=rows.values("pk")), count)

    def process_batch(self, rows: QuerySet[Any]) -> int | None:
        try:
            return self._count(rows) if self._is_dry_run else self._delete(rows)
        except (ProtectedError, RestrictedError) as error:
            # Django's own message lists every row.
            raise IntegrityError(str(error.args[0])) from error

    def _delete(self, rows: QuerySet[Any]) -> int | None:
        deleted: Any = rows.delete()
        if not isinstance(deleted, tuple):
            # A custom QuerySet.delete(), for example one that only marks rows, may return anything.
            return None
        # Counted on commit, so that a retried batch counts once.
        transaction.on_commit(partial(self._deleted.update, deleted[1]), using=self.database)
        return int(deleted[1].get(self._model._meta.label, 0))

    def _count(self, rows: QuerySet[Any]) -> int:
        # A real deletion would send signals, whose effects on files or mails cannot be rolled back.
        collector = Collector(using=self.database, origin=rows)
        collector.collect(rows)
        counts = Counter({model._meta.label: len(instances) for model, instances in collector.data.items()})
        for fast in collector.fast_deletes:
            counts[fast.model._meta.label] += fast.count()
        counts[self._model._meta.label] -= self._count_elsewhere(collector, rows)
        self._deleted.update(counts)
        return counts[self._model._meta.label]

    def _count_elsewhere(self, collector: Collector, rows: QuerySet[Any]) -> int:
        """Count the rows that cascade from this batch but are also counted in a batch of their own."""
        collected = {row.pk for row in collector.data.get(self._model, ())}
        keys = list(collected.difference(row.pk for row in rows)) if collected else []
        found = self.get_queryset().using(self.database)
        return sum(
            found.filter(pk__in=keys[first : first + _KEYS_AT_ONCE]).count()
            for first in range(0, len(keys), _KEYS_AT_ONCE)
        )

    def summary(self, result: BatchResult) -> str:
        label = self._model._meta.label
        counts = {label: result.done_count - result.earlier_count, **self._deleted}
        if result.is_dry_run and self._would_delete is not None:
            for name, count in self._deleted.items():
                self._would_delete(apps.get_model(name)._meta.db_table, count, alias=self.database)
        text = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name == label)
        text = f"{'would delete' if result.is_dry_run else 'deleted'} {text}"
        if result.failed_count:
            text += f", {result.failed_count:,} {'would fail' if result.is_dry_run else 'failed'}"
        return text + result.remaining_text
