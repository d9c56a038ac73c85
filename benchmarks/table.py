"""Prints what a benchmark has found beside its goal; `python -m benchmarks` collects the rows of all of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

# The file that collects the rows, one JSON object a line.
VARIABLE = "BENCHMARK_ROWS"


class Row(NamedTuple):
    """Holds one finding: ``what`` was ``found`` times ``base``; a ``goal`` is the most that it may be.

    With ``is_minimum`` the goal is the least that it may be. ``note`` says how the figures of the rounds differ.
    """

    what: str
    found: float
    base: str
    goal: float | None = None
    is_minimum: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        is_met = self.found >= self.goal if self.is_minimum else self.found <= self.goal
        return f"{'at least' if self.is_minimum else 'at most'} {self.goal:g}, {'met' if is_met else 'missed'}"

    @property
    def finding(self) -> str:
        return f"{self.found:.2f} {self.base}" + (f" ({self.note})" if self.note else "")


def show(row: Row) -> None:
    """Print a row, and keep it for the table."""
    print(f"{row.what}: {row.finding}" + (f"; goal: {row.verdict}" if row.verdict else ""), flush=True)
    if path := os.environ.get(VARIABLE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row._asdict()) + "\n")


def read(path: Path) -> list[Row]:
    """Return the rows that the scripts have kept."""
    return [Row(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
