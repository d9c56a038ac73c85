"""Parses the options of batch commands into checked values."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Any, Final, Self

from django.core.management.base import CommandError, CommandParser

from django_runbook.batch.parts.option_values import option_value, runtime
from django_runbook.models.checkpoints import MAX_RUN_KEY_LENGTH
from django_runbook.structs import Struct

# The base of a percentage while the total is unknown.
_LEAST_COUNT = 1000


class ErrorLimit(Struct):
    """Limits how many rows may fail: a number, or a share of all rows."""

    count: int = 0
    percent: float = 0.0

    def allows(self, failed_count: int, *, of: int) -> bool:
        """Return whether this many failures of ``of`` rows are within the limit."""
        return failed_count <= max(self.count, math.floor(Fraction(str(self.percent)) * of / 100))

    def base(self, *, total_count: int | None, seen_count: int) -> int:
        """Return the number of rows on which a percentage is based."""
        return max(total_count, seen_count) if total_count is not None else max(seen_count, _LEAST_COUNT)


class Shard(Struct):
    """Identifies one of ``count`` shards by its number, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}" if self.count > 1 else ""


class BatchOptions(Struct):
    """Holds the options of a run; ``batch_size`` is None if it adapts.

    ``run_key`` names the work on the command line, ``call_key`` is the runner's name for the call.
    """

    batch_size: int | None
    target_seconds: float
    limit: int | None = None
    max_runtime: timedelta | None = None
    max_errors: ErrorLimit = ErrorLimit()
    retry_failed: bool = False
    pause_seconds: float = 0.0
    restart: bool = False
    dry_run: bool = False
    shard: Shard = Shard(number=1, count=1)
    run_key: str = ""
    call_key: str = ""

    @classmethod
    def of(cls, options: Mapping[str, Any], *, batch_size: int | None, target_seconds: float) -> Self:
        """Take the values of the command line, with those of the command as defaults."""
        given_size, given_time = (
            option_value(options, "batch_size", _positive),
            option_value(options, "target_time", _seconds),
        )
        if given_size is not None:
            batch_size = given_size
        elif given_time is not None:
            batch_size, target_seconds = None, given_time
        retry_failed, run_key = bool(options.get("retry_failed")), _given_run_key(options)
        if retry_failed and run_key:
            raise CommandError(
                "--run-key cannot be combined with --retry-failed, which deletes the record of each row that succeeds",
                returncode=2,
            )
        return cls(
            batch_size=batch_size,
            target_seconds=target_seconds,
            limit=option_value(options, "limit", _positive),
            max_runtime=option_value(options, "max_runtime", runtime),
            max_errors=option_value(options, "max_errors", _error_limit) or ErrorLimit(),
            retry_failed=retry_failed,
            pause_seconds=option_value(options, "pause", _seconds) or 0.0 if options.get("pause") else 0.0,
            restart=bool(options.get("restart")),
            dry_run=bool(options.get("dry_run")),
            shard=shard_of(options),
            run_key=run_key,
            call_key=options.get("call_key") or "",
        )


# The names of the options that add_options() adds.
NAMES: Final = (
    "batch_size",
    "dry_run",
    "limit",
    "max_errors",
    "max_runtime",
    "pause",
    "restart",
    "retry_failed",
    "run_key",
    "shard",
    "target_time",
)


def shard_of(options: Mapping[str, Any]) -> Shard:
    """Return the shard from the options, by default the single one."""
    return option_value(options, "shard", _shard) or Shard(number=1, count=1)


def add_options(parser: CommandParser, *, has_shards: bool) -> None:
    """Add the options to a command's parser."""
    group = parser.add_argument_group("batches")
    size = group.add_mutually_exclusive_group()
    size.add_argument("--batch-size", type=_positive, metavar="N", help="Process exactly N rows per transaction.")
    size.add_argument(
        "--target-time",
        type=_seconds,
        metavar="SECONDS",
        help="Size transactions to take about SECONDS. Default: 0.5.",
    )
    group.add_argument(
        "--limit", type=_positive, metavar="N", help="Stop after N rows; the next run continues after them."
    )
    group.add_argument(
        "--max-runtime",
        type=runtime,
        metavar="DURATION",
        help="Stop after the batch in which DURATION ends, for example 2h; the next run continues after it.",
    )
    group.add_argument(
        "--max-errors",
        type=_error_limit,
        metavar="N",
        help="Tolerate up to N failing rows, or a share such as 1%%, and record each. Default: 0.",
    )
    group.add_argument("--pause", type=_seconds, metavar="SECONDS", help="Wait SECONDS between transactions.")
    group.add_argument("--dry-run", action="store_true", help="Process the rows and roll back each transaction.")
    if has_shards:
        group.add_argument(
            "--shard",
            type=_shard,
            metavar="I/N",
            help="Process shard I of N; start one process per shard.",
        )
    group.add_argument(
        "--run-key",
        type=_run_key,
        metavar="KEY",
        help="Name the work, for example 2026-01-31; work that has finished under KEY is not repeated.",
    )
    start = group.add_mutually_exclusive_group()
    start.add_argument("--restart", action="store_true", help="Start over, ignoring the saved checkpoint.")
    start.add_argument("--retry-failed", action="store_true", help="Retry only the recorded failed rows.")


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ArgumentTypeError(f'"{text}" is not a positive integer')
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ArgumentTypeError(f'"{text}" is not a positive number of seconds')
    return seconds


def _error_limit(text: str) -> ErrorLimit:
    if text.endswith("%"):
        try:
            percent = float(text[:-1])
        except ValueError:
            percent = math.nan
        if not 0 <= percent <= 100:
            raise ArgumentTypeError(f'"{text}" is not a share between 0% and 100%')
        return ErrorLimit(percent=percent)
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f'"{text}" is neither a number of rows nor a share such as 1%')
    return ErrorLimit(count=int(text))


def _given_run_key(options: Mapping[str, Any]) -> str:
    # An empty key is refused too: it usually comes from an unset variable.
    key = options.get("run_key")
    try:
        return "" if key is None else _run_key(str(key))
    except ArgumentTypeError as error:
        raise CommandError(f"--run-key: {error}", returncode=2) from error


def _run_key(text: str) -> str:
    if not text.strip():
        raise ArgumentTypeError("the key is empty")
    if not text.isprintable():
        raise ArgumentTypeError(f"{text!r} has unprintable characters")
    if len(text) > MAX_RUN_KEY_LENGTH:
        raise ArgumentTypeError(f"the key has {len(text)} characters; at most {MAX_RUN_KEY_LENGTH} are allowed")
    return text


def _shard(text: str) -> Shard:
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise ArgumentTypeError(f'"{text}" is not a shard such as 1/8 (number/count)')
    return Shard(number=number, count=count)
