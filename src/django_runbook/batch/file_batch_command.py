"""A command that takes in a file, in batches that survive being killed.

    class Command(FileBatchCommand):
        help = "Import flights from a CSV file."

        def parse_row(self, row):
            return Flight(number=int(row["flight"]), carrier=row["carrier"])

        def process_batch(self, flights):
            Flight.objects.using(self.database).bulk_create(flights)

``manage.py import_flights flights.csv.gz --max-errors 5`` goes on where it was interrupted, and leaves out up to five
lines that are no flights, which it names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser

from django_runbook.batch.core.work import Source
from django_runbook.batch.source_command import SourceCommand, do_each
from django_runbook.batch.sources.file_source import Done, FileSource
from django_runbook.batch.sources.records import Format


class FileBatchCommand(SourceCommand):
    """A command that works on the records of a CSV or JSON-lines file, gzipped or not, by its name.

    Line numbers and a checksum of what has been read make the checkpoint: a file that has changed there is refused, one
    that has grown is gone on with.
    """

    file_format: ClassVar[Format] = "csv"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The command's parser, with ``file`` as its first argument."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if not any(action.dest == "file" for action in parser._actions):
            parser.add_argument("file", help="The file to read; unpacked where its name ends in .gz.")
        return parser

    def get_path(self) -> Path:
        """The file to read."""
        return Path(self.options["file"])

    def get_format(self) -> Format:
        """``csv``, whose first line names the columns, or ``jsonl``, with an object in each line."""
        return self.file_format

    def parse_row(self, row: Any) -> Any:
        """What `process_item` or `process_batch` is given for a row; a ValueError or KeyError says that it is none.

        It must have no effect: it may be called more than once for a row.
        """
        return row

    def process_batch(self, rows: Sequence[Any]) -> int | None:
        """Do the work of a batch. Returns how many rows were done, or None for all of them."""
        raise NotImplementedError("a batch command needs process_item() or process_batch()")

    def make_source(self) -> Source:
        """The records of the file."""
        by_item = type(self).process_batch is FileBatchCommand.process_batch
        if by_item and type(self).process_item is SourceCommand.process_item:
            raise CommandError("the command has neither process_item() nor process_batch()")
        return FileSource(
            self.get_path(),
            file_format=self.get_format(),
            parse=self.parse_row,
            work=self._one_by_one if by_item else self._all_at_once,
        )

    def describe_source(self) -> str:
        """The file, wherever the command is called. A link stays one: what it points to is compared when it is read."""
        return os.path.abspath(self.get_path())  # noqa: PTH100 - resolve() would follow it

    def cursor_options(self) -> Mapping[str, Any]:
        """All options of the command, with the file by its whole path."""
        return {name: value for name, value in super().cursor_options().items() if name != "file"}

    def _one_by_one(self, rows: Sequence[Any]) -> Done:
        count, error = do_each(rows, self.process_item, is_stopping=lambda: self.stopping)
        return Done(count=count, seen_count=count, error=error)

    def _all_at_once(self, rows: Sequence[Any]) -> Done:
        count = self.process_batch(rows) if rows else 0
        return Done(count=len(rows) if count is None else count, seen_count=len(rows))
