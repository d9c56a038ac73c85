"""Starts processes that acquire a lock: one that holds it until it is killed, or many at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from django_runbook.locks.base import Lock
from tests.batch.support import read_line, started
from tests.locks.backends import Backend
from tests.patience import PATIENCE_SECONDS, eventually

_SET_UP = """
import django
from django.conf import settings
settings.RUNBOOK = {{"LOCK": {setting!r}}}
django.setup()
"""
_HOLD = """
from tests.locks.processes import hold
hold({name!r}, child_until={child_until!r})
"""
_CROWD = """
from tests.locks.processes import crowd
crowd({name!r}, count={count!r})
"""


@contextmanager
def holding(backend: Backend, name: str, *, child_until: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds the lock until it is killed; its child, if any, lives until a file exists."""
    until = str(child_until) if child_until else ""
    code = (_SET_UP + _HOLD).format(setting=backend.setting, name=name, child_until=until)
    with started(code, DJANGO_SETTINGS_MODULE=backend.module) as process:
        assert read_line(process) == "held"
        yield process


def run_crowd(backend: Backend, name: str, *, count: int, **environ: str) -> list[dict[str, Any]]:
    """Run the command ``hold_lock`` in many processes at the same time; return the pid, code and text of each."""
    code = (_SET_UP + _CROWD).format(setting=backend.setting, name=name, count=count)
    with started(code, DJANGO_SETTINGS_MODULE=backend.module, **environ) as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    results: list[dict[str, Any]] = json.loads(output)
    return results


def hold(name: str, *, child_until: str) -> None:
    """Acquire the lock in a subprocess, keep it, and print when it is lost."""
    from django_runbook import conf
    from django_runbook.locks.factory import new_factory

    lock = new_factory(conf.read(), what="a holder")(name)
    assert lock.acquire() is None
    if child_until and not os.fork():
        _look(lock, until=Path(child_until))
    if not child_until:
        print("held", flush=True)
    while lock.is_held():
        time.sleep(0.02)
    print("lost", flush=True)
    time.sleep(PATIENCE_SECONDS)


def _look(lock: Lock, *, until: Path) -> NoReturn:
    is_held = lock.is_held()
    lock.release()
    print("held by a child, too" if is_held else "held", flush=True)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    # Longer than any test waits for the lock.
    eventually(until.exists, within=2 * PATIENCE_SECONDS)
    os._exit(0)


def crowd(name: str, *, count: int) -> None:
    """Fork in a subprocess, wait for all children, and run the command in each at the same time."""
    # Imports happen once, so that all children start together.
    from tests.testapp.management.commands import hold_lock  # noqa: F401 - see above

    directory = Path(tempfile.mkdtemp())
    end = directory / "end"
    ready, start = os.pipe()
    pids = []
    for number in range(count):
        pid = os.fork()
        if not pid:
            os.close(start)
            os.read(ready, 1)
            _run(["manage.py", "hold_lock", name, str(end)], output=directory / str(number))
        pids.append(pid)
    os.close(start)
    codes: dict[int, int] = {}
    while len(codes) < count:
        pid, status = os.wait()
        codes[pid] = os.waitstatus_to_exitcode(status)
        if len(codes) == count - 1:
            end.touch()
    texts = [(directory / str(number)).read_text() for number in range(count)]
    print(json.dumps([{"pid": pid, "code": codes[pid], "text": text} for pid, text in zip(pids, texts, strict=True)]))


def _run(argv: list[str], *, output: Path) -> None:
    from django.core.management import execute_from_command_line

    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    code: Any = 0
    try:
        execute_from_command_line(argv)
    except SystemExit as error:
        code = error.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
