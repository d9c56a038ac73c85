"""Kills runs with -9 at random moments, resumes them until they end, and checks their effects.

The runs are forked from the process that calls `main`, which has set Django up.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from django.core.management import CommandError, call_command, execute_from_command_line
from django.db import connections

from tests.patience import PATIENCE_SECONDS

# PR_SET_CHILD_SUBREAPER of <linux/prctl.h>: the orphans of a killed run become children of this process.
_SUBREAPER = 36
ROW_COUNT = 24
MAX_KILLS = 6
MAX_HELD = 100
RUNBOOK = """\
params: {log: ""}
steps:
  - {id: plain, command: "effect plain --log ${{ params.log }} --pause 0.01"}
  - {id: made, command: "effect made --log ${{ params.log }}", options: {output: '{"n": 3}'}, capture: json}
  - id: retried
    command: effect retried --log ${{ params.log }} --fail-until 3
    retry: {attempts: 3, delay: 0.01s, jitter: false}
  - {id: loop, command: "effect loop_${{ item }} --log ${{ params.log }} --pause 0.005", for_each: [a, b, c]}
  - {id: once, command: "effect once --log ${{ params.log }} --mark --pause 0.01", atomic: true}
  - {id: again, command: "effect again --log ${{ params.log }} --pause 0.01", idempotent: true}
  - {id: rows, command: count_rows}
  - id: group
    steps: [{id: inner, command: "effect inner --log ${{ params.log }} --pause 0.005"}]
    finally: [{id: tidy, command: "effect tidy --log ${{ params.log }}"}]
  - id: both
    parallel:
      - {id: left, command: "effect left --log ${{ params.log }} --pause 0.02"}
      - {id: right, command: "effect right --log ${{ params.log }} --pause 0.02"}
  - id: last
    command: effect last --log ${{ params.log }}
    options: {output: "${{ steps.made.output.n }} ${{ steps.loop.status }}"}
finally:
  - {id: clean, command: "effect clean --log ${{ params.log }}"}
"""
# Steps with exactly one effect, whatever happened, and the names of the effects.
ONCE = ("plain", "retried", "loop_a", "loop_b", "loop_c", "inner", "left", "right", "last")
EFFECTS = {"loop[1]": "loop_a", "loop[2]": "loop_b", "loop[3]": "loop_c"}
# Steps that may run again, and steps that run again because their output is needed.
AGAIN = ("made", "again", "once", "tidy", "clean")


class Round:
    """Runs one runbook from its start to its end."""

    def __init__(self, folder: Path, rng: random.Random, *, usual_seconds: float, is_in_host: bool) -> None:
        self.folder = folder
        self._is_in_host = is_in_host
        self.log = folder / "log"
        self.kill_count = 0
        self.doubts: Counter[str] = Counter()
        self._rng = rng
        self._usual_seconds = usual_seconds
        folder.mkdir()
        (folder / "killed.yml").write_text(RUNBOOK)
        self.log.touch()

    def go(self, *, is_killed: bool = True) -> None:
        """Run, be killed and resume until the run has ended."""
        answers: dict[str, list[str]] = {}
        is_begun, held_count = False, 0
        while True:
            is_last = not is_killed or self.kill_count >= MAX_KILLS or (self.kill_count and self._rng.random() < 0.3)
            delay = None if is_last else self._rng.uniform(0, self._usual_seconds)
            options: dict[str, object] = {"resume": "", **answers} if is_begun else {"param": [f"log={self.log}"]}
            start = functools.partial(run, self.folder, options, is_in_host=self._is_in_host)
            code, said = fork(start, folder=self.folder, kill_after=delay)
            answers = {}
            if code == -signal.SIGKILL:
                self.kill_count += 1
                is_begun = True
            elif code == 75:
                # The server of a database lock detects a death a moment later.
                held_count += 1
                assert held_count < MAX_HELD, said
                time.sleep(0.05)
            elif code == 2 and "no run of" in said:
                assert self.counts("begin") == Counter(), "something ran, and nothing was recorded"
                is_begun = False
            elif code == 2 and "--rerun" in said:
                answers = self.answer(said)
            elif code == 2 and "has succeeded and cannot be resumed" in said:
                return
            else:
                assert code == 0, f"exit code {code}\n{said}"
                return

    def answer(self, said: str) -> dict[str, list[str]]:
        """Return the choices that the effects justify."""
        wait_for_orphans()
        answers: dict[str, list[str]] = {"rerun": [], "skip": []}
        for step_id in re.findall(r"--rerun (\S+) runs it again", said):
            assert step_id not in {"again", "once", "rows", "group", "loop", "both"}, said
            self.doubts[step_id] += 1
            is_there = self.counts("end")[EFFECTS.get(step_id, step_id)] > 0
            answers["skip" if is_there and step_id != "made" else "rerun"].append(step_id)
        return answers

    def counts(self, word: str) -> Counter[str]:
        lines = self.log.read_text().splitlines()
        return Counter(line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} "))

    def check(self) -> None:
        """Assert what must be true after the end."""
        begun, ended = self.counts("begin"), self.counts("end")
        assert {name: ended[name] for name in ONCE} == dict.fromkeys(ONCE, 1), ended
        assert ended["made"] <= 1 + self.doubts["made"], (ended, self.doubts)
        assert all(ended[name] for name in AGAIN), ended
        assert set(begun) == {*ONCE, *AGAIN}, begun
        # Without an interruption inside the group, no step began twice.
        for name in ("plain", "inner", "left", "right", "last"):
            assert begun[name] <= 1 + self.doubts[name], (name, begun, self.doubts)
        assert self.log.read_text().splitlines()[-1] == "end clean"
        code, said = fork(self.check_rows, folder=self.folder)
        assert code == 0, said

    def check_rows(self) -> int:
        from django_runbook.models import Run
        from tests.journal_data import last_attempts
        from tests.testapp.models import Mark, Row

        # A run that was killed before its first step cannot be resumed: a new run was started instead.
        (row,) = Run.objects.begun()
        assert row.attempt_count <= self.kill_count + 1, (row.attempt_count, self.kill_count)
        last, skipped = last_attempts(row, self.doubts)
        assert last["last"].output_head == "3 succeeded" or "last" in skipped, last["last"].output_head
        assert last["clean"].run_attempt == row.attempt_count
        assert Mark.objects.filter(name="once").count() == 1, Mark.objects.count()
        counts = Counter(Row.objects.values_list("count", flat=True))
        assert counts == {1: ROW_COUNT}, counts
        return 0


def run(folder: Path, options: Mapping[str, object], *, is_in_host: bool) -> int:
    """Run the command, as ``manage.py`` does or as a host calls it, and return its exit code."""
    os.chdir(folder)
    try:
        if is_in_host:
            call_command("run_runbook", "killed.yml", format="plain", **options)
        else:
            execute_from_command_line(["manage.py", "run_runbook", "killed.yml", "--format=plain", *words_of(options)])
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return error.returncode
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def words_of(options: Mapping[str, object]) -> Iterator[str]:
    """Yield the options as words of a command line; one that is not a list has no value."""
    for name, values in options.items():
        yield from (f"--{name}={value}" for value in values) if isinstance(values, list) else (f"--{name}",)


def fork(call: Callable[[], int], *, folder: Path, kill_after: float | None = None) -> tuple[int, str]:
    """Call in a new process, which is killed after a time; return its exit code and its output."""
    said = folder / "said"
    pid = os.fork()
    if not pid:
        code = 99
        try:
            descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            code = call()
        except BaseException:  # noqa: BLE001 - the report shows any exception
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + (PATIENCE_SECONDS if kill_after is None else kill_after)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            assert kill_after is not None, f"the run did not end\n{said.read_text()}"
            break
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(status), said.read_text()


def wait_for_orphans() -> None:
    """Wait until the processes of a killed run, which end soon after it, have no more effects."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, os.WNOHANG)
            assert time.monotonic() < deadline, "the processes of a killed run do not end"
            time.sleep(0.001)


def empty() -> int:
    """Empty the tables before a round."""
    from django_runbook.models import Run
    from django_runbook.models.checkpoints import Checkpoint
    from tests.testapp.models import Mark, Row

    for model in (Run, Checkpoint, Mark, Row):
        model.objects.all().delete()
    Row.objects.bulk_create(Row() for _ in range(ROW_COUNT))
    return 0


def migrate() -> int:
    call_command("migrate", run_syncdb=True, verbosity=0)
    return 0


def main(folder: Path, round_count: int, seed: int, *, is_in_host: bool) -> None:
    """Run this number of rounds, and print the result."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    # Loaded before the forks, so that a run begins with its first step and not with imports.
    call_command("run_runbook", str(folder / "warm.yml"), plan=True, stdout=(folder / "warm").open("w"))
    # A run closes its connections before it forks: they must not be those of this process.
    connections.close_all()
    assert fork(migrate, folder=folder) == (0, "")
    rng = random.Random(seed)
    usual_seconds = 0.0
    kill_count, doubts = 0, Counter[str]()
    number = tried_count = 0
    while number <= round_count:
        tried_count += 1
        assert fork(empty, folder=folder)[0] == 0
        one = Round(folder / str(tried_count), rng, usual_seconds=usual_seconds, is_in_host=is_in_host)
        started = time.monotonic()
        try:
            one.go(is_killed=number > 0)
            one.check()
        except BaseException:
            print(f"seed {seed}, round {number}, {one.kill_count} kills, in doubt: {dict(one.doubts)}", flush=True)
            raise
        if not number:
            usual_seconds = time.monotonic() - started
        elif not one.kill_count:
            # The run ended before it was killed.
            continue
        number += 1
        kill_count += one.kill_count
        doubts += one.doubts
    print(json.dumps({"rounds": round_count, "seed": seed, "kills": kill_count, "doubts": sum(doubts.values())}))
