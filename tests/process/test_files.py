"""Tries inline commands that close descriptors: they fail, and the run continues to receive signals."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from django_runbook.locks import presence
from django_runbook.process import files
from django_runbook.process.stopping import Stop
from tests.journal.databases import database_on, manage
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.runner.support import environ

TEXT = """
fail_fast: false
lock: mine
steps:
  - {{command: attack {how}, isolate: false}}
  - {{command: say inline, isolate: false}}
  - {{command: say isolated}}
finally: [{{command: say end, isolate: false}}]
"""
KINDS = {
    "close_descriptors": "it closed or replaced standard input, standard output, standard error, files of the run",
    "close_all_descriptors": "it closed or replaced files of the run",
    "overwrite_descriptors": "it closed or replaced files of the run",
}


@pytest.mark.slow
def test_closed_descriptors_fail_the_step(tmp_path: Path) -> None:
    with database_on("sqlite", tmp_path) as database:
        assert manage(tmp_path, database, "migrate", "--verbosity", "0").returncode == 0
        for how, message in KINDS.items():
            (tmp_path / "test.yml").write_text(TEXT.format(how=how))
            done = manage(tmp_path, database, "run_runbook", "test.yml", "--format", "plain")
            assert done.returncode == 1, done.stdout + done.stderr
            assert f"StateError: {message}\n" in done.stdout
            assert "failed: 1 failed, 3 succeeded" in done.stdout
            assert "Traceback" not in done.stdout + done.stderr
        shown = manage(tmp_path, database, "show_runs").stdout
        assert shown.count("failed") == len(KINDS)
        assert (tmp_path / "mine").read_bytes() == b""


def test_spared_descriptors_stay_open_when_all_are_closed() -> None:
    ends = [*os.pipe(), *os.pipe()]
    before = os.close, os.closerange
    with files.spared(ends[1:3]):
        os.closerange(ends[0], ends[-1] + 1)
        os.close(ends[1])
        assert os.dup2(0, ends[1]) == ends[1]
    assert files.identity(ends[1]) != files.identity(0)
    assert (os.close, os.closerange) == before
    assert [files.identity(end) is None for end in ends] == [True, False, False, True]
    for end in ends[1:3]:
        os.close(end)


def test_signals_are_received_through_a_new_pipe_if_the_previous_one_was_closed() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with Stop() as stop:
            assert len(stop.descriptors) == 2
            for descriptor in stop.descriptors:
                os.close(descriptor)
            stop.listen_again()
            signal.raise_signal(signal.SIGTERM)
            wait_until(lambda: stop.is_requested, what="the signal")
        with Stop() as stop:
            # The numbers belong to another file now, which stays open.
            null = os.open(os.devnull, os.O_RDWR)
            taken = stop.descriptors
            for descriptor in taken:
                os.dup2(null, descriptor)
        assert all(files.identity(descriptor) == files.identity(null) for descriptor in taken)
        for descriptor in (null, *taken):
            os.close(descriptor)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_closed_mark_is_bound_again(tmp_path: Path) -> None:
    mark = presence.claim("a name", namespace=str(tmp_path))
    assert mark is not None
    os.close(mark.descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    assert mark.descriptor != null
    assert presence.claim("a name", namespace=str(tmp_path)) is None
    mark.close()
    os.close(null)
    again = presence.claim("a name", namespace=str(tmp_path))
    assert again is not None
    again.close()


@pytest.mark.slow
@pytest.mark.parametrize("last", [256, 4096])
def test_standard_descriptors_are_restored(last: int) -> None:
    # The copies have higher numbers than the first one.
    is_copied = last == 256
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            kept = files.OpenFiles()
            kept.keep()
            before = files.noted(())
            os.closerange(0, last)
            found = files.problems(before)
            kept.restore()
            now = files.noted(())
            is_reported = found == ["it closed or replaced standard input, standard output, standard error"]
            is_restored = now == before if is_copied else None not in now.values()
            code = 0 if is_reported and is_restored else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.slow
def test_a_debugger_has_the_terminal_of_an_inline_run(tmp_path: Path) -> None:
    (tmp_path / "test.yml").write_text("steps: [misbehave stop_here, say end]")
    main, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "run_runbook", "test.yml", "--inline", "--format", "plain"],
        cwd=tmp_path,
        env=environ(),
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    os.write(main, b"p 6 * 7\nc\n")
    shown = bytearray()
    # Reading raises once the other end is closed.
    with contextlib.suppress(OSError):
        while data := os.read(main, 4096):
            shown += data
    os.close(main)
    assert process.wait(timeout=PATIENCE_SECONDS) == 0, shown.decode()
    assert b"(Pdb) " in shown
    assert b"42" in shown
    assert b"succeeded: 2 succeeded" in shown
