"""Random statements, savepoints and rollbacks on three databases, and what snapshots of their tables say of them."""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connections, models, transaction
from django.db.models import F

from django_runbook.row_account import RowAccount
from django_runbook.row_counting.counting import RowCounter

pytestmark = pytest.mark.slow
ROUNDS = int(os.environ.get("RUNBOOK_KILL_ROUNDS", "8")) // 2
OPERATIONS = 20


@dataclass(frozen=True, slots=True)
class Desk:
    """Tables of their own: rows, rows that the database deletes with them, and a log that a trigger writes."""

    alias: str
    vendor: str
    row: Any
    part: Any
    log: Any

    def run(self, sql: str, *params: Any, many: bool = False) -> int:
        with connections[self.alias].cursor() as cursor:
            if many:
                cursor.executemany(sql, params)
            else:
                cursor.execute(sql, params or None)
            return int(cursor.rowcount)

    def snapshot(self) -> dict[str, dict[Any, Any]]:
        """All rows by table and key, read past the wrappers of Django."""
        found = {}
        connections[self.alias].ensure_connection()
        for model in (self.row, self.part, self.log):
            cursor = connections[self.alias].connection.cursor()
            cursor.execute(f"SELECT * FROM {model._meta.db_table}")
            found[model._meta.db_table] = {values[0]: tuple(values) for values in cursor.fetchall()}
            cursor.close()
        return found


def changes_between(before: dict[str, dict[Any, Any]], after: dict[str, dict[Any, Any]]) -> Counter[tuple[str, str]]:
    found = Counter[tuple[str, str]]()
    for table, rows in after.items():
        old = before[table]
        found[table, "inserted"] += len(rows.keys() - old.keys())
        found[table, "deleted"] += len(old.keys() - rows.keys())
        found[table, "updated"] += sum(1 for key in rows.keys() & old.keys() if rows[key] != old[key])
    return +found


def counted(account: RowAccount) -> Counter[tuple[str, str]]:
    found = Counter[tuple[str, str]]()
    for name, counts in account.tables.items():
        table = name.partition("@")[0]
        found[table, "inserted"] += counts.inserted
        found[table, "updated"] += counts.updated
        found[table, "deleted"] += counts.deleted
        found[table, "written"] += counts.written
    return +found


def new_desk(alias: str, vendor: str) -> Desk:
    suffix = uuid.uuid4().hex[:10]

    def model(name: str, **fields: Any) -> Any:
        meta = type("Meta", (), {"app_label": "testapp", "db_table": f"rc_{name}_{suffix}".lower()})
        from django.apps import apps

        made = type(f"{name}{suffix}", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})
        apps.all_models["testapp"].pop(f"{name}{suffix}", None)
        return made

    row = model("Row", number=models.IntegerField(default=0), key=models.IntegerField(unique=True))
    part = model("Part", row_id=models.IntegerField(), number=models.IntegerField(default=0))
    log = model("Log", number=models.IntegerField(default=0))
    with connections[alias].schema_editor() as editor:
        for one in (row, part, log):
            editor.create_model(one)
    return Desk(alias=alias, vendor=vendor, row=row, part=part, log=log)


def add_cascade(desk: Desk) -> None:
    """Let the database delete the parts of a deleted row."""
    row, part = desk.row._meta.db_table, desk.part._meta.db_table
    if desk.vendor == "sqlite":
        desk.run(f"DROP TABLE {part}")
        desk.run(
            f"CREATE TABLE {part} (id integer PRIMARY KEY AUTOINCREMENT, "
            f"row_id integer REFERENCES {row} (id) ON DELETE CASCADE, number integer)"
        )
    else:
        desk.run(
            f"ALTER TABLE {part} MODIFY row_id bigint"
            if desk.vendor == "mariadb"
            else f"ALTER TABLE {part} ALTER row_id TYPE bigint"
        )
        desk.run(f"ALTER TABLE {part} ADD FOREIGN KEY (row_id) REFERENCES {row} (id) ON DELETE CASCADE")


def add_trigger(desk: Desk) -> None:
    """Let the database write a line into the log for each updated row."""
    row, log = desk.row._meta.db_table, desk.log._meta.db_table
    body = f"INSERT INTO {log} (number) VALUES (1)"
    if desk.vendor == "postgresql":
        desk.run(f"CREATE FUNCTION {row}_f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body}; RETURN NULL; END$$")
        desk.run(f"CREATE TRIGGER {row}_t AFTER UPDATE ON {row} FOR EACH ROW EXECUTE FUNCTION {row}_f()")
    elif desk.vendor == "sqlite":
        desk.run(f"CREATE TRIGGER {row}_t AFTER UPDATE ON {row} BEGIN {body}; END")
    else:
        desk.run(f"CREATE TRIGGER {row}_t AFTER UPDATE ON {row} FOR EACH ROW {body}")


class Player:
    """Does random things, and adds up what the snapshots say of those that remain."""

    def __init__(self, desk: Desk, rng: random.Random) -> None:
        self.desk = desk
        self.rng = rng
        self.key = rng.randrange(10**6)
        self.rows = desk.row._default_manager.using(desk.alias)
        self.parts = desk.part._default_manager.using(desk.alias)

    def new_key(self) -> int:
        self.key += 1
        return self.key

    def some(self, queryset: Any) -> Any:
        keys = sorted(queryset.values_list("pk", flat=True))
        return queryset.filter(pk__in=self.rng.sample(keys, min(len(keys), self.rng.randrange(4))))

    def play(self, depth: int = 0, *, count: int = OPERATIONS) -> Counter[tuple[str, str]]:
        kept = Counter[tuple[str, str]]()
        for _ in range(count):
            if depth < 3 and self.rng.random() < 0.3:
                kept += self.block(depth)
            else:
                before = self.desk.snapshot()
                try:
                    self.rng.choice(self.operations(depth))()
                except IntegrityError:
                    if depth:
                        raise
                kept += changes_between(before, self.desk.snapshot())
        return kept

    def block(self, depth: int) -> Counter[tuple[str, str]]:
        """A transaction or a savepoint, which is kept, rolled back, or ended by an error."""
        end = self.rng.choice(["keep", "keep", "set_rollback", "raise", "fail"])
        kept = Counter[tuple[str, str]]()
        try:
            with transaction.atomic(using=self.desk.alias):
                kept = self.play(depth + 1, count=self.rng.randrange(5))
                if end == "set_rollback":
                    transaction.set_rollback(True, using=self.desk.alias)
                elif end == "raise":
                    raise DatabaseError
                elif end == "fail":
                    self.rows.create(key=-1)
                    self.rows.create(key=-1)
        except DatabaseError:
            return Counter()
        return kept if end == "keep" else Counter()

    def operations(self, depth: int) -> list[Callable[[], object]]:
        row = self.desk.row._meta.db_table
        made = self.desk.row
        return [
            lambda: self.rows.create(key=self.new_key()),
            lambda: self.rows.bulk_create([made(key=self.new_key()) for _ in range(self.rng.randrange(1, 40))]),
            lambda: self.rows.bulk_create([made(key=self.key), made(key=self.new_key())], ignore_conflicts=True),
            lambda: self.rows.get_or_create(key=self.key, defaults={"number": 1}),
            lambda: self.rows.update_or_create(
                key=self.key, defaults={"number": F("number") + 1}, create_defaults={"number": 1}
            ),
            lambda: self.some(self.rows).update(number=F("number") + 1),
            lambda: self.some(self.rows).delete(),
            lambda: self.some(self.parts).delete(),
            self.save_one,
            lambda: self.parts.bulk_create(
                [self.desk.part(row_id=key) for key in self.some(self.rows).values_list("pk", flat=True)]
            ),
            lambda: self.desk.run(f"UPDATE {row} SET number = number + 1 WHERE id %% 2 = %s", 1),
            lambda: self.desk.run(
                f"INSERT INTO {row} (number, {self.quoted('key')}) VALUES (%s, %s)",
                *[(number, self.new_key()) for number in range(3)],
                many=True,
            ),
            lambda: self.desk.run(f"SELECT count(*) FROM {row}"),
            lambda: None if depth else connections[self.desk.alias].close(),
        ]

    def save_one(self) -> None:
        one = self.some(self.rows).first()
        if one is not None:
            one.number += 1
            one.save()

    def quoted(self, name: str) -> str:
        return str(connections[self.desk.alias].ops.quote_name(name))


def played(desk: Desk, seed: int, *, is_in_transaction: bool = False) -> tuple[Counter[tuple[str, str]], RowAccount]:
    connections[desk.alias].ensure_connection()
    for model in (desk.part, desk.row, desk.log):
        desk.run(f"DELETE FROM {model._meta.db_table}")
    player = Player(desk, random.Random(seed))
    with RowCounter() as rows:
        if is_in_transaction:
            with transaction.atomic(using=desk.alias):
                truth = player.play(depth=1)
        else:
            truth = player.play()
    return truth, rows.account()


def test_random_work_is_counted_exactly(desk: Desk) -> None:
    for seed in range(ROUNDS):
        truth, account = played(desk, seed)
        assert (counted(account), account.notes) == (truth, ()), f"seed {seed}"


@pytest.mark.parametrize("is_in_transaction", [True, False], ids=["in a transaction", "outside of transactions"])
def test_cascades_and_triggers_are_counted_or_said_to_be_missing(desk: Desk, *, is_in_transaction: bool) -> None:
    add_cascade(desk)
    add_trigger(desk)
    row = desk.row._meta.db_table
    for seed in range(ROUNDS):
        truth, account = played(desk, seed, is_in_transaction=is_in_transaction)
        found = counted(account)
        assert found <= truth, f"seed {seed}"
        if found != truth:
            assert account.notes, f"seed {seed}"
        # The rows that statements name are right in any case.
        assert [found[key] for key in truth if key[0] == row] == [truth[key] for key in truth if key[0] == row]
        if desk.vendor == "postgresql" and is_in_transaction:
            assert (found, account.notes) == (truth, ()), f"seed {seed}"
