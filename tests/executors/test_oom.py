"""Reads the counts of the out-of-memory killer."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook.executors import oom
from tests.executors.test_process import failure, isolated


def test_the_counts_of_the_system_are_read(tmp_path: Path) -> None:
    container, system = tmp_path / "memory.events", tmp_path / "vmstat"
    container.write_text("low 0\noom 7\noom_kill 2\noom_group_kill 9\n")
    system.write_text("nr_free_pages 1\noom_kill 31\n")
    assert oom.kill_counts((container, system)) == (2, 31)


def test_an_unknown_count_is_zero(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    assert oom.kill_counts((tmp_path / "none", empty)) == (0, 0)


@pytest.mark.slow
def test_a_kill_by_the_out_of_memory_killer_is_distinguished_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([(0, 4), (1, 5)])
    monkeypatch.setattr(oom, "kill_counts", lambda: next(counts))
    report = isolated(tmp_path, "crash kill")
    text = "the system ended its process (SIGKILL): out of memory"
    assert failure(report) == ("MemoryError", 137, text)
