"""Runs commands in batches, whatever the source of their work."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from django.core.management.base import CommandError, CommandParser
from django.db import connections, transaction

from django_runbook.batch.core.batch_options import NAMES, BatchOptions, add_options, shard_of
from django_runbook.batch.core.batch_result import BatchResult
from django_runbook.batch.core.batch_run import BatchRun
from django_runbook.batch.core.checkpoint import CheckpointStore
from django_runbook.batch.core.checkpoint_tables import checkpoint_alias
from django_runbook.batch.core.retry_failed import retry_failed
from django_runbook.batch.core.store import PositionStore
from django_runbook.batch.core.store_choice import choose_store
from django_runbook.batch.core.timeouts import reset_idle_timeout
from django_runbook.batch.core.transactions import Transactions, refuse_open_transaction
from django_runbook.batch.core.work import WorkSource
from django_runbook.batch.core.work_identity import identify
from django_runbook.batch.parts.database_command import DatabaseCommand
from django_runbook.batch.parts.graceful_command import GracefulCommand
from django_runbook.batch.parts.locked_command import LockedCommand
from django_runbook.batch.parts.mixin import refuse_unknown_free_options
from django_runbook.batch.parts.progress_command import ProgressCommand
from django_runbook.cleaning import encodable
from django_runbook.exceptions import LockHeld, LockLost
from django_runbook.structs import replace

if TYPE_CHECKING:
    from django_runbook.batch.estimates import Cascades, EstimateRequest


class SourceCommand(GracefulCommand, LockedCommand, ProgressCommand, DatabaseCommand):
    """Processes a source in batches; the base of `BatchCommand` and `FileBatchCommand`.

    ``batch_size`` is the number of rows per transaction; if None, transactions are sized to take ``target_seconds``.
    ``transaction_per = "command"`` makes all batches one transaction, which a stop rolls back: for small work.
    """

    stealth_options: tuple[str, ...] = ("call_key", "mask_secrets", "estimate")
    cursor_free_options: ClassVar[tuple[str, ...]] = (*NAMES, "call_key", "mask_secrets", "estimate")

    batch_size: ClassVar[int | None] = None
    target_seconds: ClassVar[float] = 0.5
    transaction_per: ClassVar[Literal["batch", "command"]] = "batch"
    idle_limit_seconds: ClassVar[float] = 60.0
    has_shards: ClassVar[bool] = False
    # Read by a resume: an interrupted call of this command can be repeated safely.
    continues_from_checkpoint: ClassVar[bool] = True
    is_todo: bool = False
    # Whether rows are counted, for progress that takes a while and for --max-errors with a share.
    has_total: ClassVar[bool] = True
    # The options of the current call.
    options: Mapping[str, Any] = MappingProxyType({})
    _deadline: float = math.inf

    def process_item(self, item: Any) -> None:
        """Process one item; override this or `process_batch`."""
        raise NotImplementedError("a batch command needs process_item() or process_batch()")

    def get_lock_name(self, **options: Any) -> str | None:
        """Return the name of the lock, one for each shard.

        It is None for a dry run, which commits nothing and may run at the same time as a real run.
        """
        if options.get("dry_run"):
            return None
        name, shard = super().get_lock_name(**options), str(shard_of(options))
        return f"{name}, shard {shard}" if name and shard else name

    def remaining_seconds(self) -> float:
        """Return how much of ``--max-runtime`` remains; infinity without that option."""
        return self._deadline - self._clock()

    def throttle(self) -> float | None:
        """Return how many seconds to wait before this is called again; None to process the next batch."""
        return None

    def summary(self, result: BatchResult) -> str:
        """Return the last line of the output."""
        count = result.done_count - result.earlier_count
        text = f"{count:,} {'would be done' if result.is_dry_run else 'done'}"
        if result.failed_count:
            text += f", {result.failed_count:,} {'would fail' if result.is_dry_run else 'failed'}"
        if result.earlier_count:
            text += f" ({result.done_count:,} including earlier runs)"
        return text + result.remaining_text

    def cursor_options(self) -> Mapping[str, Any]:
        """Return the options that change the meaning of a cursor, by default all but ``cursor_free_options``.

        A run continues an interrupted one only if these options have the same values.
        """
        return {name: value for name, value in self.options.items() if name not in self.cursor_free_options}

    def make_source(self) -> WorkSource:
        """Return the source of the work."""
        raise NotImplementedError("a command with its own source needs make_source()")

    def describe_source(self) -> str:
        """Describe the source for people, and to tell different work apart."""
        raise NotImplementedError("a command with its own source needs describe_source()")

    def count_cascades(self, rows: Any, count: Callable[[Any], int | None]) -> Cascades:
        """Count the rows of other tables that go with ``rows``, for an estimate; ``count`` may give up."""
        from django_runbook.batch.estimates import Cascades

        return Cascades()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Create the parser of the command and add the options of batches."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        add_options(parser, has_shards=self.has_shards)
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        """Process the work in batches."""
        self.options = MappingProxyType(options)
        chosen = BatchOptions.of(options, batch_size=self.batch_size, target_seconds=self.target_seconds)
        if options.get("estimate") is not None:
            self._estimate(chosen, options["estimate"])
            return
        refuse_open_transaction(self.database)
        refuse_unknown_free_options(self, options)
        self._deadline = math.inf
        if chosen.max_runtime is not None:
            self._deadline = self._clock() + chosen.max_runtime.total_seconds()
        try:
            with contextlib.closing(self.make_source()) as source:
                result = self._run(source, chosen)
        except (LockHeld, LockLost) as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        finally:
            reset_idle_timeout(connections[self.database])
        if self.stopping and not result.is_complete:
            self.write_message(f"stopped ({self.stop_reason}); {self.summary(result)}")
            return
        self.stdout.write(encodable(self.summary(result), self.stdout))
        if result.failed_count and not result.is_dry_run:
            raise CommandError(f"{result.failed_count:,} failed; --retry-failed retries them")
        if result.failed_count:
            raise CommandError(f"{result.failed_count:,} would fail")

    def write_message(self, text: str) -> None:
        """Write a message to standard error, which keeps standard output for results."""
        self.stderr.write(text, lambda line: line)

    def _estimate(self, chosen: BatchOptions, request: EstimateRequest) -> None:
        # Only a plan with estimates needs it.
        from django_runbook.batch.estimates import estimate_work

        checkpoints = self._open_checkpoints(chosen)
        # Like a run, it fails if an option needs a table that is missing.
        is_kept = chosen.retry_failed or checkpoints is self._choose_store(checkpoints, replace(chosen, dry_run=False))
        request.receive(estimate_work(self, chosen, store=checkpoints if is_kept else None, request=request))

    def _clock(self) -> float:
        return time.monotonic()

    def _run(self, source: WorkSource, chosen: BatchOptions) -> BatchResult:
        checkpoints = self._open_checkpoints(chosen)
        if chosen.retry_failed:
            return self._retry_failed(source, checkpoints, chosen)
        is_whole = self.transaction_per == "command"
        store = self._choose_store(checkpoints, chosen)
        if checkpoints is store and not store.is_together:
            refuse_open_transaction(store.alias)
        run = BatchRun(
            source=source,
            store=store,
            checkpoints=checkpoints,
            host=self,
            options=chosen,
            transactions=self._make_transactions(is_whole=is_whole),
            description=self._name,
            is_todo=self.is_todo,
            has_total=self.has_total,
        )
        return self._run_whole(run, chosen) if is_whole else run.run()

    def _choose_store(self, checkpoints: CheckpointStore | None, chosen: BatchOptions) -> PositionStore:
        is_whole = self.transaction_per == "command"
        return choose_store(
            checkpoints, options=chosen, database=self.database, is_whole=is_whole, log=self.write_message
        )

    def _run_whole(self, run: BatchRun, chosen: BatchOptions) -> BatchResult:
        with transaction.atomic(using=self.database, durable=True):
            result = run.run()
            if self.stopping:
                transaction.set_rollback(True, using=self.database)
                return BatchResult(done_count=0, failed_count=0, is_complete=False, is_dry_run=chosen.dry_run)
            return result

    def _make_transactions(self, *, is_whole: bool) -> Transactions:
        return Transactions(alias=self.database, is_whole=is_whole, idle_limit_seconds=self.idle_limit_seconds)

    def _open_checkpoints(self, chosen: BatchOptions) -> CheckpointStore | None:
        alias = checkpoint_alias(self.database, wait=self.wait)
        if alias is None:
            return None
        identity = identify(
            module=type(self).__module__,
            command=self._name,
            database=self.database,
            description=self.describe_source(),
            cursor_options=self.cursor_options(),
            options=chosen,
        )
        return CheckpointStore(
            identity,
            alias=alias,
            is_together=alias == self.database,
            idle_limit_seconds=self.idle_limit_seconds,
            log=self.write_message,
            wait=self.wait,
            mask=self.options.get("mask_secrets") or str,
        )

    def _retry_failed(
        self, source: WorkSource, checkpoints: CheckpointStore | None, chosen: BatchOptions
    ) -> BatchResult:
        if checkpoints is None:
            raise CommandError("--retry-failed needs the table of checkpoints: migrate django_runbook")
        if not checkpoints.is_together:
            refuse_open_transaction(checkpoints.alias)
        transactions = self._make_transactions(is_whole=False)
        counts = retry_failed(source, checkpoints, host=self, transactions=transactions, options=chosen)
        return BatchResult(
            done_count=counts.done_count,
            failed_count=counts.failed_count,
            left_count=counts.left_count,
            is_complete=not counts.left_count,
            is_dry_run=chosen.dry_run,
        )
