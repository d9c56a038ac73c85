"""``--run-key``: what has finished under a key is not done again, whatever else has run since."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from django_runbook.batch.core import checkpoint_tables
from django_runbook.models.checkpoints import Checkpoint, FailedRow, FinishedKey
from tests.batch.commands import CountBatches, CountItems, MarkItems
from tests.batch.engines import Engine
from tests.batchapp.models import Item


def call(engine: Engine, command: CountItems, *tokens: object, **options: Any) -> tuple[str, str]:
    """The standard output and standard error of a command."""
    out, err = io.StringIO(), io.StringIO()
    words = (*map(str, tokens), "--database", engine.alias, "--verbosity", "0")
    call_command(command, *words, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def counts(engine: Engine) -> list[int]:
    return list(Item.objects.using(engine.alias).order_by("pk").values_list("count", flat=True))


def keys(engine: Engine) -> list[str]:
    return sorted(FinishedKey.objects.using(engine.alias).values_list("run_key", flat=True))


def test_work_finished_under_a_key_is_not_repeated(sqlite: Engine) -> None:
    sqlite.fill(3)
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "3 done\n"
    out, err = call(sqlite, CountItems(), "--run-key", "monday")
    assert out == "0 done\n"
    assert err.startswith('already finished under the run key "monday" at 20')
    assert call(sqlite, CountItems(), "--run-key", "tuesday")[0] == "3 done\n"
    # A late repetition, as of a queue that delivers a message twice.
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "0 done\n"
    assert call(sqlite, CountItems())[0] == "3 done\n"
    assert call(sqlite, CountItems(), "--run-key", "tuesday")[0] == "0 done\n"
    assert counts(sqlite) == [3, 3, 3]
    assert keys(sqlite) == ["monday", "tuesday"]
    assert not Checkpoint.objects.using(sqlite.alias).exists()


def test_a_key_is_given_from_code_as_on_the_command_line(sqlite: Engine) -> None:
    sqlite.fill(2)
    assert call(sqlite, CountItems(), run_key="monday")[0] == "2 done\n"
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "0 done\n"
    assert call(sqlite, CountItems(), run_key=7)[0] == "2 done\n"
    assert call(sqlite, CountItems(), "--run-key=7")[0] == "0 done\n"


def test_keys_differ_where_they_differ_at_all(engine: Engine) -> None:
    engine.fill(1)
    different = ["a", "A", "ä", "a ", " a", "%", "'", "x" * 200, "x" * 199 + "y", "日"]
    for key in different:
        assert call(engine, CountItems(), "--run-key", key)[0] == "1 done\n", key
    for key in different:
        assert call(engine, CountItems(), "--run-key", key)[0] == "0 done\n", key


@pytest.mark.parametrize("key", ["", " ", "a\nb", "a\0", "x" * 201], ids=repr)
@pytest.mark.parametrize("is_token", [True, False], ids=["command line", "code"])
def test_an_invalid_key_is_refused(sqlite: Engine, key: str, *, is_token: bool) -> None:
    sqlite.fill(1)
    with pytest.raises(CommandError, match="--run-key") as caught:
        call(sqlite, CountItems(), *(["--run-key", key] if is_token else []), **({} if is_token else {"run_key": key}))
    assert "is not" not in str(caught.value)
    assert counts(sqlite) == [0]


def test_work_is_continued_under_its_own_key(sqlite: Engine) -> None:
    sqlite.fill(6)
    call(sqlite, CountItems(), "--run-key", "monday", "--limit", 2, "--batch-size", 2)
    for other in (("--run-key", "tuesday"), ("--run-key", "tuesday", "--dry-run")):
        with pytest.raises(
            CommandError, match='is unfinished and was started with --run-key "monday"; finish it with that key'
        ):
            call(sqlite, CountItems(), *other)
    assert keys(sqlite) == []
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "4 done (6 including earlier runs)\n"
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "0 done\n"
    assert counts(sqlite) == [1] * 6


def test_work_started_without_a_key_is_continued_without_one(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, CountItems(), "--limit", 2, "--batch-size", 2)
    with pytest.raises(CommandError, match="was started with no --run-key; finish it without a key"):
        call(sqlite, CountItems(), "--run-key", "monday")
    call(sqlite, CountItems())
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "4 done\n"


@pytest.mark.parametrize("more", [{}, {"call_key": "run 2, step 1"}], ids=["by hand", "by a runner"])
def test_a_call_without_a_key_finishes_work_under_its_key(sqlite: Engine, more: dict[str, str]) -> None:
    sqlite.fill(4)
    call(sqlite, CountItems(), "--run-key", "monday", "--limit", 2, "--batch-size", 2)
    call(sqlite, CountItems(), **more)
    assert keys(sqlite) == ["monday"]
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "0 done\n"
    assert counts(sqlite) == [1] * 4


@pytest.mark.parametrize("later", ["run 1, step 1", "run 2, step 1"], ids=["resumed", "a new run"])
def test_the_key_of_a_step_wins_over_that_of_its_call(sqlite: Engine, later: str) -> None:
    sqlite.fill(3)
    tokens = ("--run-key", "monday")
    assert call(sqlite, CountItems(), *tokens, "--limit", 1, call_key="run 1, step 1")[0].startswith("1 done")
    assert call(sqlite, CountItems(), *tokens, call_key=later)[0] == "2 done (3 including earlier runs)\n"
    assert call(sqlite, CountItems(), *tokens, call_key=later)[0] == "0 done\n"
    assert call(sqlite, CountItems(), *tokens, call_key="run 3, step 1")[0] == "0 done\n"
    assert counts(sqlite) == [1, 1, 1]


def test_restart_starts_over_only_what_has_another_key(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, CountItems(), "--run-key", "monday", "--limit", 2, "--batch-size", 2)
    # A job with --restart in its command line is repeated like any other.
    assert call(sqlite, CountItems(), "--run-key", "monday", "--restart", "--limit", 1)[0].startswith(
        "1 done (3 including"
    )
    call(sqlite, CountItems(), "--run-key", "tuesday", "--restart", "--limit", 3, "--batch-size", 3)
    assert counts(sqlite) == [2, 2, 2, 0]
    call(sqlite, CountItems(), "--run-key", "tuesday", "--restart")
    assert call(sqlite, CountItems(), "--run-key", "tuesday", "--restart")[0] == "0 done\n"
    assert counts(sqlite) == [2, 2, 2, 1]
    assert keys(sqlite) == ["tuesday"]


def test_a_limit_is_for_each_call_and_the_key_for_all_of_the_work(sqlite: Engine) -> None:
    sqlite.fill(5)
    outputs = [
        call(sqlite, CountItems(), "--run-key", "monday", "--limit", 2, "--batch-size", 2)[0].split(";")[0].strip()
        for _ in range(4)
    ]
    assert outputs[0] == "2 done"
    assert outputs[-1] == "0 done"
    assert counts(sqlite) == [1] * 5


@pytest.mark.parametrize("command", [CountItems, CountBatches, MarkItems])
def test_a_dry_run_checks_the_key_and_records_nothing(sqlite: Engine, command: type[CountItems]) -> None:
    sqlite.fill(3)
    assert call(sqlite, command(), "--run-key", "monday", "--dry-run")[0] == "3 would be done\n"
    assert keys(sqlite) == []
    call(sqlite, command(), "--run-key", "monday")
    out, err = call(sqlite, command(), "--run-key", "monday", "--dry-run")
    assert (out, "already finished under the run key" in err) == ("0 would be done\n", True)


def test_rows_that_failed_are_retried_without_a_key(sqlite: Engine) -> None:
    with pytest.raises(CommandError, match="--run-key cannot be combined with --retry-failed") as caught:
        call(sqlite, CountItems(), "--run-key", "monday", "--retry-failed")
    assert caught.value.returncode == 2


def failing(key: int) -> Any:
    def look(item: Item) -> None:
        if item.pk == key:
            raise ValueError("bad")

    return look


def test_failed_rows_fail_each_repetition_until_they_are_done(sqlite: Engine) -> None:
    sqlite.fill(3)
    bad = Item.objects.using(sqlite.alias).order_by("pk")[1].pk
    tokens = ("--max-errors", 1, "--run-key", "monday")
    for _ in range(2):
        with pytest.raises(CommandError, match="1 failed; --retry-failed"):
            call(sqlite, CountItems(failing(bad)), *tokens)
    call(sqlite, CountItems(), "--retry-failed")
    assert call(sqlite, CountItems(), *tokens)[0] == "0 done\n"
    assert counts(sqlite) == [1, 1, 1]


def test_the_failures_of_a_later_run_are_not_those_of_an_earlier_one(sqlite: Engine) -> None:
    sqlite.fill(3)
    bad = Item.objects.using(sqlite.alias).order_by("pk")[1].pk
    call(sqlite, CountItems(), "--run-key", "monday")
    with contextlib.suppress(CommandError):
        call(sqlite, CountItems(failing(bad)), "--max-errors", 1, "--run-key", "tuesday", call_key="run 2, step 1")
    assert FailedRow.objects.using(sqlite.alias).count() == 1
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "0 done\n"


# -- shards ------------------------------------------------------------------------------------------------------------


def test_each_shard_is_done_once_under_a_key(sqlite: Engine) -> None:
    sqlite.fill(10)
    tokens = ("--run-key", "monday")
    for shard in ("1/3", "1/3", "3/3", "2/3", "2/3", "3/3", "1/3"):
        call(sqlite, CountItems(), *tokens, "--shard", shard)
    assert counts(sqlite) == [1] * 10
    # All of it is done, however it is divided.
    for more in ((), ("--shard", "1/2"), ("--shard", "2/2"), ("--shard", "1/1")):
        assert call(sqlite, CountItems(), *tokens, *more)[0] == "0 done\n", more
    assert counts(sqlite) == [1] * 10
    assert call(sqlite, CountItems(), "--run-key", "tuesday")[0] == "10 done\n"
    assert call(sqlite, CountItems(), "--run-key", "tuesday", "--shard", "2/2")[0] == "0 done\n"


def test_shards_of_two_keys_do_not_mix(sqlite: Engine) -> None:
    sqlite.fill(10)
    call(sqlite, CountItems(), "--run-key", "monday", "--shard", "1/2")
    for shard in ("1/2", "2/2"):
        with pytest.raises(CommandError, match='was started with --run-key "monday"'):
            call(sqlite, CountItems(), "--run-key", "tuesday", "--shard", shard)
    with pytest.raises(CommandError, match=r"is unfinished under this run key with other shards \(1/2 finished\)"):
        call(sqlite, CountItems(), "--run-key", "monday")
    # Without a key, it is the work of its key that is continued.
    call(sqlite, CountItems(), "--shard", "2/2")
    assert call(sqlite, CountItems(), "--run-key", "monday", "--shard", "2/2")[0] == "0 done\n"
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "0 done\n"
    assert counts(sqlite) == [1] * 10


# -- where it cannot hold ----------------------------------------------------------------------------------------------


def test_other_options_are_another_piece_of_work(sqlite: Engine) -> None:
    sqlite.fill(2, value="a")
    assert call(sqlite, MarkItems(), "--run-key", "monday", "--value", "b")[0] == "0 done\n"
    assert call(sqlite, MarkItems(), "--run-key", "monday", "--value", "a")[0] == "2 done\n"


def test_without_a_table_keys_are_refused(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.fill(1)
    monkeypatch.setattr(checkpoint_tables, "has_table", lambda alias: False)
    for command in (CountItems(), InOneTransaction()):
        with pytest.raises(CommandError, match="--run-key needs the table of checkpoints: migrate django_runbook"):
            call(sqlite, command, "--run-key", "monday")
    assert counts(sqlite) == [0]
    assert call(sqlite, CountItems(), "--run-key", "monday", "--dry-run")[0] == "1 would be done\n"


def test_a_table_of_an_earlier_release_is_not_used(sqlite: Engine) -> None:
    assert checkpoint_tables.has_table(sqlite.alias)
    table = FinishedKey._meta.db_table
    with connections[sqlite.alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO hidden")
        try:
            assert not checkpoint_tables.has_table(sqlite.alias)
        finally:
            cursor.execute(f"ALTER TABLE hidden RENAME TO {table}")


@pytest.mark.django_db(transaction=True)
def test_a_key_is_recorded_next_to_the_checkpoint(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.fill(3)
    monkeypatch.setattr(checkpoint_tables, "has_table", lambda alias: alias != sqlite.alias)
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "3 done\n"
    assert call(sqlite, CountItems(), "--run-key", "monday")[0] == "0 done\n"
    assert FinishedKey.objects.get().run_key == "monday"
    with pytest.raises(CommandError, match="--run-key needs the table of checkpoints in the database"):
        call(sqlite, InOneTransaction(), "--run-key", "monday")
    assert (keys(sqlite), counts(sqlite)) == ([], [1, 1, 1])


class InOneTransaction(CountItems):
    """Does all or nothing."""

    transaction_per = "command"


def test_one_transaction_holds_the_key_too(engine: Engine) -> None:
    engine.fill(3)

    def fail_late(item: Item) -> None:
        if item.pk == last:
            raise CommandError("too late")

    last = Item.objects.using(engine.alias).order_by("-pk")[0].pk
    with pytest.raises(CommandError, match="too late"):
        call(engine, InOneTransaction(fail_late), "--run-key", "monday")
    assert (keys(engine), counts(engine)) == ([], [0, 0, 0])
    call(engine, InOneTransaction(), "--run-key", "monday")
    assert call(engine, InOneTransaction(), "--run-key", "monday")[0] == "0 done\n"
    assert counts(engine) == [1, 1, 1]


def test_a_secret_in_a_key_is_not_stored(sqlite: Engine) -> None:
    sqlite.fill(2)

    def mask(text: str) -> str:
        return text.replace("hunter2", "***")

    for limit in (1, 9):
        call(sqlite, CountItems(), "--run-key", "day hunter2", "--limit", limit, mask_secrets=mask)
        stored = [*Checkpoint.objects.using(sqlite.alias).values(), *FinishedKey.objects.using(sqlite.alias).values()]
        assert stored
        assert "hunter2" not in str(stored)
    out, err = call(sqlite, CountItems(), "--run-key", "day hunter2", mask_secrets=mask)
    assert (out, "hunter2" in err) == ("0 done\n", False)
