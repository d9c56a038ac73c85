"""Tests options, their limits and errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_runbook.batch.core.batch_options import ErrorLimit
from tests.batch.commands import CountItems, call
from tests.batch.engines import Engine


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["--batch-size", "0"], '"0" is not a positive integer'),
        (["--batch-size", "5", "--target-time", "1"], "not allowed with"),
        (["--target-time", "nan"], "is not a positive number of seconds"),
        (["--max-errors", "101%"], "is not a share"),
        (["--max-errors", "-1"], "neither a number of rows nor a share|expected one argument"),
        (["--max-errors", "x%"], "is not a share"),
        (["--max-runtime", "2"], '"2" has no unit; use 2d for days, 2h, 2m or 2s'),
        (["--max-runtime", "soon"], "is not a duration"),
        (["--max-runtime", "0s"], "must be longer than 0s"),
        (["--max-runtime", "999999999999d"], "is too long"),
        (["--shard", "0/2"], "is not a shard"),
        (["--shard", "3/2"], "is not a shard"),
        (["--restart", "--retry-failed"], "not allowed with"),
    ],
)
def test_an_invalid_option_is_refused(tokens: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command(CountItems(), *tokens)


@pytest.mark.parametrize(
    ("options", "out"),
    [
        ({"limit": "3", "batch_size": 1, "pause": "0.001"}, "3 done; the next run continues from there\n"),
        ({"max_errors": 5, "target_time": 2, "lock_wait": "10m"}, "4 done\n"),
        ({"max_errors": "20%", "lock_wait": 2.5}, "4 done\n"),
        ({"shard": "1/2", "batch_size": "2"}, "2 done\n"),
        ({"max_runtime": "2h"}, "4 done\n"),
        ({"max_runtime": timedelta(hours=2)}, "4 done\n"),
        ({"pause": 0, "shard": "", "max_errors": "", "lock_wait": "", "limit": None}, "4 done\n"),
    ],
)
def test_values_passed_from_code_are_parsed_like_the_command_line(
    sqlite: Engine, options: dict[str, Any], out: str
) -> None:
    sqlite.fill(4)
    command = CountItems()
    command.lock_name = f"test {sqlite.alias}"
    assert call(sqlite, command, **options)[0] == out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, '--limit: "0" is not a positive integer'),
        ({"max_errors": "many"}, '--max-errors: "many" is neither'),
        ({"shard": "3/2"}, '--shard: "3/2" is not a shard'),
        ({"batch_size": True}, '--batch-size: "True" is not'),
        ({"target_time": "soon"}, '--target-time: "soon" is not'),
        ({"max_runtime": 7200}, '--max-runtime: "7200" has no unit'),
        ({"pause": -1}, '--pause: "-1" is not'),
        ({"lock_wait": "soon"}, '--lock-wait: "soon" is not a duration'),
    ],
)
def test_an_invalid_value_passed_from_code_is_refused(sqlite: Engine, options: dict[str, Any], words: str) -> None:
    command = CountItems()
    command.lock_name = f"test {sqlite.alias}"
    with pytest.raises(CommandError, match=words):
        call(sqlite, command, **options)


def test_a_share_of_errors_is_based_on_the_known_count() -> None:
    limit = ErrorLimit(percent=1.0)
    assert limit.base(total_count=500, seen_count=20) == 500
    assert limit.base(total_count=None, seen_count=20) == 1000
    assert limit.base(total_count=None, seen_count=5000) == 5000
    assert limit.allows(5, of=500)
    assert not limit.allows(6, of=500)


@pytest.mark.parametrize("percent", range(101))
def test_a_share_of_100_percent_is_exact(percent: int) -> None:
    limit = ErrorLimit(percent=float(percent))
    assert limit.allows(percent, of=100)
    assert not limit.allows(percent + 1, of=100)
    assert ErrorLimit(percent=percent / 100).allows(percent, of=10_000)
