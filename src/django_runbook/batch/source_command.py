"""What commands that work in batches have in common, whatever their work comes from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

from django.core.management.base import CommandError, CommandParser
from django.db import Error, connections, transaction

from django_runbook.batch.core.batch_loop import BatchLoop, Transactions
from django_runbook.batch.core.batch_options import NAMES, BatchOptions, ErrorLimit, add_options, shard_of
from django_runbook.batch.core.checkpoint import (
    DryStore,
    Identity,
    NoStore,
    Position,
    RowStore,
    StopAsked,
    Store,
    table_alias,
)
from django_runbook.batch.core.error_kinds import message
from django_runbook.batch.core.retry_failed import retry_failed
from django_runbook.batch.core.retrying import Patience
from django_runbook.batch.core.sizing import AdaptiveSize, FixedSize
from django_runbook.batch.core.timeouts import unlimit_idle
from django_runbook.batch.core.work import Source
from django_runbook.batch.parts.database_command import DatabaseCommand
from django_runbook.batch.parts.graceful_command import GracefulCommand
from django_runbook.batch.parts.locked_command import LockedCommand
from django_runbook.batch.parts.progress_command import Progress, ProgressCommand
from django_runbook.exceptions import LockHeld, LockLost

_LOOKS: Final = 3
# Options that every command has: they do not change what a cursor means.
_COMMON: Final = frozenset(
    {
        "database",
        "force_color",
        "lock_wait",
        "no_color",
        "progress",
        "pythonpath",
        "settings",
        "skip_checks",
        "stderr",
        "stdout",
        "stopping",
        "traceback",
        "verbosity",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run has come to; ``earlier_count`` of the rows were done before it, by one that was interrupted.

    ``left_count`` is for ``--retry-failed``: so many of the rows that had failed were not tried again.
    """

    done_count: int
    failed_count: int
    earlier_count: int = 0
    left_count: int = 0
    is_complete: bool = True
    is_dry_run: bool = False

    @property
    def what_is_left(self) -> str:
        """Say what is left to do, as the end of a summary; a dry run leaves no place to continue from."""
        if self.left_count:
            left = f"; {self.left_count:,} of those that failed are left"
            return left if self.is_dry_run else f"{left}; --retry-failed continues with them"
        if self.is_complete:
            return ""
        return "; more are left" if self.is_dry_run else "; the next run continues from there"


class SourceCommand(GracefulCommand, LockedCommand, ProgressCommand, DatabaseCommand):
    """A command that works in batches; `BatchCommand` and `FileBatchCommand` say on what.

    ``batch_size`` is the number of rows in a transaction; without it as many as take ``target_seconds``. With
    ``transaction_per = "command"`` all batches are one transaction, which a stop rolls back: for small work.
    """

    stealth_options = ("call_key", "mask_secrets")

    batch_size: ClassVar[int | None] = None
    target_seconds: ClassVar[float] = 0.5
    transaction_per: ClassVar[Literal["batch", "command"]] = "batch"
    idle_limit_seconds: ClassVar[float] = 60.0
    has_shards: ClassVar[bool] = False
    # What a resume asks of a command that was cut off: this one does nothing twice.
    continues_from_checkpoint: ClassVar[bool] = True
    is_todo: bool = False
    # Whether the work is counted, for progress where it takes a while, and for --max-errors with a share.
    has_total: ClassVar[bool] = True
    # What the command line gave, while the command runs.
    options: Mapping[str, Any] = MappingProxyType({})

    _shown: Progress | None = None
    # Where the numbers of the progress begin.
    _counted_from = Position()

    def process_item(self, item: Any) -> None:
        """Do the work of one item; override this, or `process_batch`."""
        raise NotImplementedError("a batch command needs process_item() or process_batch()")

    def get_lock_name(self, **options: Any) -> str | None:
        """The name of the lock: the command's, and for each shard one of its own.

        None for a dry run, which commits nothing: it may run beside a real one.
        """
        if options.get("dry_run"):
            return None
        name, shard = super().get_lock_name(**options), str(shard_of(options))
        return f"{name}, shard {shard}" if name and shard else name

    def throttle(self) -> float | None:
        """Asked between two batches: so many seconds to wait before it is asked again; None to go on."""
        return None

    def summary(self, result: Result) -> str:
        """The last line of the output."""
        count = result.done_count - result.earlier_count
        text = f"{count:,} {'would be done' if result.is_dry_run else 'done'}"
        if result.failed_count:
            text += f", {result.failed_count:,} {'would fail' if result.is_dry_run else 'failed'}"
        if result.earlier_count:
            text += f" ({result.done_count:,} with those of earlier runs)"
        return text + result.what_is_left

    def cursor_options(self) -> Mapping[str, Any]:
        """The options without which a cursor means something else: a run does not go on where another one with other
        values was interrupted. By default all that the command itself adds."""
        return {name: value for name, value in self.options.items() if name not in _COMMON | NAMES}

    def make_source(self) -> Source:
        """Where the work comes from."""
        raise NotImplementedError("a command on a source of its own needs make_source()")

    def describe_source(self) -> str:
        """What the cursor runs through, for people, and to tell unlike runs apart."""
        raise NotImplementedError("a command on a source of its own needs describe_source()")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The command's parser, with the options of batches."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        add_options(parser, has_shards=self.has_shards)
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the work, in batches."""
        _refuse_open_transaction(self.database)
        self.options = MappingProxyType(options)
        chosen = BatchOptions.of(options, batch_size=self.batch_size, target_seconds=self.target_seconds)
        try:
            with contextlib.closing(self.make_source()) as source:
                result = self._handle(source, chosen)
        except (LockHeld, LockLost) as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        finally:
            unlimit_idle(connections[self.database])
        if self.stopping and not result.is_complete:
            self.tell(f"stopped ({self.stop_reason}); {self.summary(result)}")
            return
        self.stdout.write(self.summary(result))
        if result.failed_count and not result.is_dry_run:
            raise CommandError(f"{result.failed_count:,} failed; --retry-failed does just those again")
        if result.failed_count:
            raise CommandError(f"{result.failed_count:,} would fail")

    def tell(self, text: str) -> None:
        """Say something that is no result, on standard error."""
        self.stderr.write(text, lambda line: line)

    def show_progress(self, position: Position) -> None:
        """Show how far the work is, which others can see in the checkpoint."""
        if self._shown is not None:
            counted = self._counted_from
            done_count = position.done_count + position.failed_count - counted.done_count - counted.failed_count
            self._shown.update(done_count, position.failed_count - counted.failed_count)

    def _handle(self, source: Source, chosen: BatchOptions) -> Result:
        rows = self._row_store(chosen)
        if chosen.retry_failed:
            return self._retry_failed(source, rows, chosen)
        store = self._store(rows, chosen)
        if rows is store and not store.is_together:
            _refuse_open_transaction(store.alias)
        if self.transaction_per == "batch":
            return self._run(source, store, rows, chosen)
        with transaction.atomic(using=self.database, durable=True):
            result = self._run(source, store, rows, chosen)
            if self.stopping:
                transaction.set_rollback(True, using=self.database)
                return Result(done_count=0, failed_count=0, is_complete=False, is_dry_run=chosen.dry_run)
            return result

    def _run(self, source: Source, store: Store, rows: RowStore | None, chosen: BatchOptions) -> Result:
        patience = Patience(alias=self.database, wait=self.wait)
        store_patience = Patience(alias=store.alias or self.database, wait=self.wait)

        def bounds() -> list[tuple[str, str]]:
            return patience.ask(lambda: _bounds(source, chosen))

        try:
            position = store_patience.ask(lambda: store.begin(bounds=bounds, restart=chosen.restart))
        except StopAsked:
            return Result(done_count=0, failed_count=0, is_complete=False)
        if position is None:
            # It has finished before; what failed then has still failed.
            failed_count = store_patience.ask(rows.failed_count) if rows and rows is store else 0
            return Result(done_count=0, failed_count=failed_count, is_dry_run=chosen.dry_run)
        if chosen.shard.count > 1 and not position.upper:
            store_patience.ask(lambda: store.finish(position))
            return Result(done_count=0, failed_count=0, is_dry_run=chosen.dry_run)
        earlier_count = position.done_count

        # A share of all needs their count before the first row fails, in the middle of a batch.
        total_count = self._count_first(source, position) if self.has_total and chosen.max_errors.percent else None
        loop = BatchLoop(
            source,
            store,
            host=self,
            options=chosen,
            transactions=Transactions(
                alias=self.database,
                is_whole=self.transaction_per == "command",
                idle_limit_seconds=self.idle_limit_seconds,
            ),
            size=AdaptiveSize(target_seconds=chosen.target_seconds)
            if chosen.batch_size is None
            else FixedSize(chosen.batch_size),
            total_count=total_count,
        )
        counts_later = self.has_total and total_count is None
        # A limit is one of this run, and so are the numbers and the estimate then.
        counted = self._counted_from = Position() if chosen.limit is None else position

        def total() -> int | None:
            count = self._count_late(source, loop.position) if counts_later else total_count
            if count is None or chosen.limit is None:
                return count
            return min(count - counted.done_count - counted.failed_count, chosen.limit)

        with self.progress(
            total=total if counts_later else total(),
            description=self._name,
            done_count=position.done_count + position.failed_count - counted.done_count - counted.failed_count,
            failed_count=position.failed_count - counted.failed_count,
        ) as self._shown:
            is_complete = loop.run(position)
            if is_complete and self.is_todo and not chosen.dry_run:
                is_complete = self._look_again(loop, source, rows, chosen)
            if is_complete:
                self._shown.finish()
        if is_complete:
            store_patience.ask(lambda: store.finish(loop.position))
        failed_count = loop.position.failed_count
        if failed_count and rows is not None and rows is store:
            # Some may have been done since, by --retry-failed.
            failed_count = store_patience.ask(rows.failed_rows_of_shard().count)
        return Result(
            done_count=loop.position.done_count,
            failed_count=failed_count,
            earlier_count=earlier_count,
            is_complete=is_complete,
            is_dry_run=chosen.dry_run,
        )

    def _count_first(self, source: Source, position: Position) -> int | None:
        patience = Patience(alias=self.database, wait=self.wait)
        try:
            return patience.ask(lambda: _total(source, position))
        except Error as error:
            raise CommandError(
                f"the rows cannot be counted, which a share in --max-errors is taken of: {message(error)}; "
                "give a number of rows instead"
            ) from error

    def _count_late(self, source: Source, position: Position) -> int | None:
        try:
            # What a failed count spoils ends with it, also where one transaction holds all.
            with transaction.atomic(using=self.database):
                return _total(source, position)
        except Error as error:
            self.tell(f"the rows could not be counted, so it is not shown how many there are: {message(error)}")
            return None

    def _look_again(self, loop: BatchLoop, source: Source, rows: RowStore | None, chosen: BatchOptions) -> bool:
        """Do what was committed behind the cursor meanwhile; returns whether all is done."""
        is_last_shard = chosen.shard.number == chosen.shard.count
        patience = Patience(alias=self.database, wait=self.wait)
        for _ in range(_LOOKS):
            if not self._are_left(loop.position, source, rows, is_open=is_last_shard):
                return True
            loop.look_again(upper=patience.ask(source.last) if is_last_shard else loop.position.upper)
            if not loop.run(loop.position):
                return False
        if self._are_left(loop.position, source, rows, is_open=False):
            raise CommandError(
                f"rows are left after {_LOOKS} more looks: the work does not take them out of get_queryset(), "
                "or they come faster than they are done"
            )
        return True

    def _are_left(self, position: Position, source: Source, rows: RowStore | None, *, is_open: bool) -> bool:
        without = list[str]()
        if rows is not None:
            failed = rows.failed_rows()
            patience = Patience(alias=rows.alias, wait=self.wait)
            without = patience.ask(lambda: list(failed.values_list("key", flat=True)))
        upto = "" if is_open else position.upper
        patience = Patience(alias=self.database, wait=self.wait)
        return patience.ask(lambda: source.are_left(after=position.start, upto=upto, without=without))

    def _row_store(self, chosen: BatchOptions) -> RowStore | None:
        alias = table_alias(self.database, wait=self.wait)
        if alias is None:
            return None
        return RowStore(
            self._identity(chosen),
            alias=alias,
            is_together=alias == self.database,
            idle_limit_seconds=self.idle_limit_seconds,
            tell=self.tell,
            wait=self.wait,
            mask=self.options.get("mask_secrets") or str,
        )

    def _store(self, rows: RowStore | None, chosen: BatchOptions) -> Store:
        if chosen.dry_run:
            return DryStore(rows, shard_index=chosen.shard.number - 1)
        if rows is None:
            for option, is_given in (("--shard", chosen.shard.count > 1), ("--run-key", chosen.run_key)):
                if is_given:
                    raise CommandError(f"{option} needs the table of checkpoints: migrate django_runbook")
            self._refuse_max_errors(chosen, "no database has the tables for them", where="")
            self.tell(
                "at least once: no database has the table of checkpoints for this one, so a run that is interrupted "
                "begins again from the start (migrate django_runbook there)"
            )
            return NoStore()
        if not rows.is_together and self.transaction_per == "command":
            # What is rolled back as a whole has no position to keep, and one elsewhere would not be rolled back.
            self._refuse_max_errors(
                chosen,
                f'a command that is one transaction has to do it in the database "{self.database}", which has no '
                "tables for them",
                where=" there",
            )
            if chosen.run_key:
                raise CommandError(
                    f'--run-key needs the table of checkpoints in the database "{self.database}", in which the command '
                    "is one transaction: migrate django_runbook there"
                )
            return NoStore()
        if not rows.is_together:
            self.tell(
                f'at least once: the database "{self.database}" has no table of checkpoints, so they are kept in '
                "another one, after each batch; a run that is killed between the two does a batch twice"
            )
        return rows

    def _refuse_max_errors(self, chosen: BatchOptions, why: str, *, where: str) -> None:
        if chosen.max_errors != ErrorLimit():
            raise CommandError(
                f"--max-errors records the rows that fail, and {why}: migrate django_runbook{where}, or leave the "
                "option out"
            )

    def _identity(self, chosen: BatchOptions) -> Identity:
        command = type(self).__module__
        description = self.describe_source()
        meaning = {
            "command": command,
            "database": self.database,
            "source": description,
            "options": {name: _lasting_text(name, value) for name, value in self.cursor_options().items()},
        }
        text = json.dumps(meaning, sort_keys=True)
        return Identity(
            command=self._name[:150],
            description=description,
            scope=hashlib.sha256(text.encode()).hexdigest(),
            shard=str(chosen.shard),
            run_key=chosen.run_key,
            call_key=chosen.call_key,
        )

    def _retry_failed(self, source: Source, rows: RowStore | None, chosen: BatchOptions) -> Result:
        if rows is None:
            raise CommandError("--retry-failed needs the table of checkpoints: migrate django_runbook")
        if not rows.is_together:
            _refuse_open_transaction(rows.alias)
        transactions = Transactions(alias=self.database, idle_limit_seconds=self.idle_limit_seconds)
        retried = retry_failed(source, rows, host=self, transactions=transactions, options=chosen)
        return Result(
            done_count=retried.done_count,
            failed_count=retried.failed_count,
            left_count=retried.left_count,
            is_complete=not retried.left_count,
            is_dry_run=chosen.dry_run,
        )


def do_each(
    items: Sequence[Any], process: Callable[[Any], object], *, is_stopping: Callable[[], bool]
) -> tuple[int, Exception | None]:
    """How many items were done one by one, in order, and the error of the next one, if it failed."""
    count = 0
    try:
        for item in items:
            process(item)
            count += 1
            if is_stopping():
                break
    except Exception as error:  # noqa: BLE001 - the caller says what becomes of it
        return count, error
    return count, None


def _lasting_text(name: str, value: Any) -> str:
    """The value of an option as text which is the same in every process."""

    def plain(part: Any) -> Any:
        if isinstance(part, set | frozenset):
            return sorted(json.dumps(one, sort_keys=True, default=plain) for one in part)
        module, qualified = getattr(part, "__module__", None), getattr(part, "__qualname__", "")
        # A lambda or a closure has no importable name, so it differs in each process.
        if callable(part) and module and qualified and "<" not in qualified:
            return f"{module}.{qualified}"
        text = str(part)
        if " at 0x" in text and not isinstance(part, os.PathLike):
            raise CommandError(
                f'the option "{name}" has the value {text}, which is another one in each process, so that no run could '
                "go on where another one was interrupted: cursor_options() can leave it out, or say what it means"
            )
        return text

    return json.dumps(value, sort_keys=True, default=plain)


def _total(source: Source, position: Position) -> int | None:
    left_count = source.count(after=position.cursor, upto=position.upper)
    return None if left_count is None else position.done_count + position.failed_count + left_count


def _bounds(source: Source, chosen: BatchOptions) -> list[tuple[str, str]]:
    return source.shard_bounds(chosen.shard.count) if chosen.shard.count > 1 else [("", source.last())]


def _refuse_open_transaction(alias: str) -> None:
    blocks: Iterable[Any] = connections[alias].atomic_blocks
    # Django's own TestCase wraps each test in transactions, and marks them.
    if any(not block._from_testcase for block in blocks):
        raise CommandError(
            f'a transaction is open on the database "{alias}", and a batch command commits its own: '
            "call it outside of atomic()"
        )
    connection = connections[alias]
    connection.ensure_connection()
    if not connection.in_atomic_block and not connection.get_autocommit():
        # atomic() commits nothing then, and all would be lost at the end.
        raise CommandError(
            f'the database "{alias}" has AUTOCOMMIT off, and a batch command commits each batch by itself: turn it on'
        )
