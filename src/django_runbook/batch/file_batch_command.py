"""Processes the records of a file, in batches that survive being killed.

    class Command(FileBatchCommand):
        help = "Import flights from a CSV file."

        def parse_row(self, row):
            return Flight(number=int(row["flight"]), carrier=row["carrier"])

        def process_batch(self, flights):
            Flight.objects.using(self.database).bulk_create(flights)

``manage.py import_flights flights.csv.gz --max-errors 5`` continues an interrupted import, and skips and reports up to
five invalid lines.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser

from django_runbook.argparse_compat import actions_of
from django_runbook.batch.core.work import WorkSource, process_each
from django_runbook.batch.source_command import SourceCommand
from django_runbook.batch.sources.file_source import FileSource, ValuesOutcome
from django_runbook.batch.sources.records import Format


class FileBatchCommand(SourceCommand):
    """Processes the records of a CSV or JSON-lines file, gzipped or not.

    The checkpoint is a line number and a checksum of the file up to there: a file that has changed there is refused,
    and a file that has grown is continued.
    """

    # describe_source() identifies the file.
    cursor_free_options: ClassVar[tuple[str, ...]] = ("file",)
    file_format: ClassVar[Format] = "csv"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Create the parser of the command and add ``file`` as its first argument, unless the command defines it."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if not any(action.dest == "file" for action in actions_of(parser)):
            parser.add_argument("file", help="Read this file; a name that ends in .gz is decompressed.")
        return parser

    def get_path(self) -> Path:
        """Return the file to read."""
        return Path(self.options["file"])

    def get_format(self) -> Format:
        """Return ``csv``, whose first line names the columns, or ``jsonl``, with an object on each line."""
        return self.file_format

    def parse_row(self, row: Any) -> Any:
        """Convert a row for `process_item` or `process_batch`; ValueError and KeyError report an invalid line.

        It must have no side effects, because it may be called several times for a row.
        """
        return row

    def process_batch(self, rows: Sequence[Any]) -> int | None:
        """Process a batch; returns how many rows were done, or None for all of them."""
        raise NotImplementedError("a batch command needs process_item() or process_batch()")

    def make_source(self) -> WorkSource:
        """Return the records of the file."""
        by_item = type(self).process_batch is FileBatchCommand.process_batch
        if by_item and type(self).process_item is SourceCommand.process_item:
            raise CommandError("the command has neither process_item() nor process_batch()")
        return FileSource(
            self.get_path(),
            file_format=self.get_format(),
            parse=self.parse_row,
            work=self._values_by_items if by_item else self._values_at_once,
        )

    def describe_source(self) -> str:
        """Describe the file by its absolute path; a symbolic link is kept, since reading compares its content."""
        return os.path.abspath(self.get_path())  # noqa: PTH100 - resolve() would follow it

    def _values_by_items(self, rows: Sequence[Any]) -> ValuesOutcome:
        count, error = process_each(rows, self.process_item, is_stopping=lambda: self.stopping)
        return ValuesOutcome(done_count=count, seen_count=count, error=error)

    def _values_at_once(self, rows: Sequence[Any]) -> ValuesOutcome:
        count = self.process_batch(rows) if rows else 0
        return ValuesOutcome(done_count=len(rows) if count is None else count, seen_count=len(rows))
