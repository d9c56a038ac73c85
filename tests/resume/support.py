"""Provides runbooks and failures for the tests of resume."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.models import Run
from tests.journal.support import resume
from tests.runner.support import run


def fail_now(directory: Path) -> None:
    (directory / "broken").touch()


def fix(directory: Path) -> None:
    (directory / "broken").unlink()


TWO = "steps:\n  - {id: one, command: effect one --log log}\n  - {id: two, command: effect two --log log --fail-if broken}\n"


@contextlib.contextmanager
def held(name: str) -> Iterator[None]:
    """Hold the lock of this name in another process's name."""
    lock = factory.new_factory(conf.read(), what="the other one")(name)
    assert lock.acquire() is None
    try:
        yield
    finally:
        lock.release()


LOCKED = f"lock: theirs\n{TWO}"


def refuse(directory: Path, *, on_conflict: str = "fail") -> Run:
    """Have a run refused by its own lock."""
    with held("theirs"):
        ended = run(
            directory, f"lock: {{name: theirs, on_conflict: {on_conflict}}}\n{TWO}finally: [effect last --log log]"
        )
    assert (ended.status, ended.exit_code) == ("refused", 75 if on_conflict == "fail" else 0)
    return Run.objects.newest_first()[0]


def fail_and_end_early(directory: Path, text: str) -> None:
    """Fail in the last step, then resume and fail in the first step, so that no later step is reached."""
    fail_now(directory)
    assert run(directory, text).exit_code == 1
    fix(directory)
    (directory / "first-broken").touch()
    assert resume(directory, rerun=["first"]).exit_code == 1
    (directory / "first-broken").unlink()
