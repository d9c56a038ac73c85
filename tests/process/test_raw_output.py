"""Captures the output of subprocesses and C code during inline calls, in order."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from django_runbook.process import streams
from django_runbook.process.masking import masker
from django_runbook.process.raw_output import RawOutput
from django_runbook.process.streams import StreamToLines, captured

SECRET = "hunter2-s3cr3t"


class Scene:
    """Keeps the lines of each call; ``late`` is the output outside of calls."""

    def __init__(self) -> None:
        self.late = io.StringIO()
        self.lines: list[tuple[str, str]] = []
        self.raw = RawOutput(late=self.late, mask=masker([SECRET]))

    @contextmanager
    def call(self, *, is_kept: bool = False) -> Iterator[StreamToLines]:
        with (
            captured(
                write_line=lambda stream, line: self.lines.append((stream, line)),
                mask=masker([SECRET]),
                is_kept=is_kept,
                late=self.late,
            ) as both,
            self.raw.passed_to(*both),
        ):
            yield both[0]


@pytest.fixture
def scene() -> Iterator[Scene]:
    found = Scene()
    before = [os.fstat(number).st_ino for number in (1, 2)]
    yield found
    found.raw.close()
    assert [os.fstat(number).st_ino for number in (1, 2)] == before


@pytest.mark.slow
def test_subprocesses_and_raw_writes_are_masked_captured_and_in_order(scene: Scene) -> None:
    with scene.call(is_kept=True) as out:
        print("one")
        subprocess.run(["sh", "-c", f"echo two {SECRET}; echo three >&2"], check=True)
        print("four")
        os.write(1, "fünf\n".encode()[:2])
        os.write(1, "fünf\n".encode()[2:])
        assert sys.__stdout__ is not None
        os.write(1, b"no end")
    assert [line for stream, line in scene.lines if stream == "stdout"] == ["one", "two ***", "four", "fünf", "no end"]
    assert ("stderr", "three") in scene.lines
    assert out.kept == f"one\ntwo {SECRET}\nfour\nfünf\nno end"


def test_output_belongs_to_the_call_that_runs(scene: Scene) -> None:
    with scene.call():
        os.write(1, b"first\n")
        write_end = os.dup(1)
    os.write(write_end, f"between {SECRET}\n".encode())
    os.close(write_end)
    scene.raw.close()
    scene.raw = RawOutput(late=scene.late, mask=str)
    assert scene.lines == [("stdout", "first")]
    assert scene.late.getvalue() == "between ***\n"


@pytest.mark.slow
def test_a_fork_of_the_command_writes_to_the_step_too(scene: Scene) -> None:
    with scene.call():
        pid = os.fork()
        if pid == 0:
            print(f"from a fork: {SECRET}")
            os._exit(0)
        os.waitpid(pid, 0)
    assert scene.lines == [("stdout", "from a fork: ***")]


def test_too_much_output_is_detected(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_KEPT_CHARACTERS", 10)
    with scene.call(is_kept=True) as out:
        os.write(1, b"longer than ten\n")
    assert out.is_too_long


def test_a_logging_handler_of_an_earlier_step_writes_to_the_current_step(scene: Scene) -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, f"late {SECRET}", (), None)
    with scene.call():
        handler = logging.StreamHandler(sys.stderr)
    with scene.call():
        handler.emit(record)
    assert scene.lines == [("stderr", "late ***")]
    handler.emit(record)
    assert scene.late.getvalue() == "late ***\n"
