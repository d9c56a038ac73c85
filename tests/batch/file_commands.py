"""Defines the file commands of the tests, and writes their files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand

from django_runbook.batch import FileBatchCommand
from tests.batch.engines import Engine
from tests.batchapp.models import Ledger


class ByRow(FileBatchCommand):
    """Writes the key of each row into the ledger."""

    def __init__(self, look: Callable[[Any], object] = lambda row: None) -> None:
        super().__init__()
        self.look = look

    def get_lock_name(self, **options: Any) -> str | None:
        return None

    def parse_row(self, row: Any) -> str:
        int(row["number"])
        return str(row["key"])

    def process_item(self, key: str) -> None:
        self.look(key)
        Ledger.objects.using(self.database).create(item_key=key)


class ByBatch(ByRow):
    def process_batch(self, keys: Sequence[str]) -> int | None:
        for key in keys:
            self.look(key)
        Ledger.objects.using(self.database).bulk_create([Ledger(item_key=key) for key in keys])
        return None


class JSONLines(ByRow):
    file_format = "jsonl"


BOTH = pytest.mark.parametrize("command", [ByRow, ByBatch])


def call(engine: Engine, command: BaseCommand, *tokens: object) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    tokens = (*map(str, tokens), "--database", engine.alias, "--verbosity", "0")
    call_command(command, *tokens, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def write(path: Path, count: int, *, bad: Sequence[int] = (), start: int = 0) -> Path:
    """So many rows; the one with number n is in line n + 2, as the header is in the first."""
    rows = [f"key {number},{'x' if number in bad else number}\n" for number in range(start, count)]
    path.write_text("key,number\n" + "".join(rows))
    return path


def keys(engine: Engine) -> list[str]:
    return sorted(Ledger.objects.using(engine.alias).values_list("item_key", flat=True))


def expected(count: int, *, without: Sequence[int] = ()) -> list[str]:
    return sorted(f"key {number}" for number in range(count) if number not in without)


def change(path: Path, *, delete: Sequence[int] = (), insert: Sequence[int] = (), fix: Sequence[int] = ()) -> None:
    """Delete, insert before, or fix the lines with these numbers."""
    lines: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        lines += ["new,99"] if number in insert else []
        lines += [line.replace("x", str(number - 2)) if number in fix else line] if number not in delete else []
    path.write_text("\n".join(lines) + "\n")
