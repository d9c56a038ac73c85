"""Kills workers, or breaks their connections, at each statement of a call, and checks what becomes of its step.

``python -m tests.queues.breaking FOLDER STRIDE OFFSET HARM``, with "kill" or "break" as HARM: one run calls a command
for each statement, on a worker of its own. Its worker is forked from this process, which has set Django up.
"""

from __future__ import annotations

import gc
import itertools
import json
import multiprocessing
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import django
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.process.django_internals import descriptor_of
from tests.patience import LONG_PATIENCE_SECONDS, PATIENCE_SECONDS, scaled
from tests.queues import haste
from tests.queues.forks import Fork, closed_after
from tests.queues.spool_engine import take_messages
from tests.statements import Point, visit_points

# More than any call has.
MAX_NUMBER: Final = 24
MAX_WORKERS: Final = 8
BATCH_ROWS: Final = 3
KINDS: Final = {
    "plain": "add_effect plain_${{ item }} --seconds 0.2",
    "again": "add_effect again_${{ item }} --seconds 0.2",
    "once": "add_effect once_${{ item }} --seconds 0.2",
    "rows": "add_hits --batch-size 2 --seconds 0.2 --shard ${{ item }}/COUNT",
}
KEYS: Final = {"again": ", idempotent: true", "once": ", atomic: true"}
HARMS: Final = ("kill before", "kill after", "break before", "break after")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Says what happens at which statement of a call."""

    harm: str
    number: int

    @property
    def is_kill(self) -> bool:
        return self.harm.startswith("kill")

    @property
    def points(self) -> tuple[Point, Point]:
        if self.harm.endswith("before"):
            return (Point.BEFORE_STATEMENT, Point.BEFORE_COMMIT)
        return (Point.AFTER_STATEMENT, Point.AFTER_COMMIT)


class Saboteur:
    """Does harm at one point of a call, in its worker or in the process of its command."""

    def __init__(self, plan: Plan, *, kind: str, fired: Path) -> None:
        self._plan = plan
        self._kind = kind
        self._fired = fired
        self._worker_pid = os.getpid()
        # The processes of the worker and of the command count together.
        self._count: Any = multiprocessing.get_context("fork").Value("i", 0)

    def visit(self, connection: BaseDatabaseWrapper, point: Point) -> None:
        is_counted = (
            os.getpid() == self._worker_pid or self._kind == "once" or (self._plan.is_kill and self._kind != "rows")
        )
        if point not in self._plan.points or not is_counted:
            return
        with self._count.get_lock():
            self._count.value += 1
            if self._count.value != self._plan.number:
                return
        self._fired.touch()
        if self._plan.is_kill:
            os.kill(self._worker_pid, signal.SIGKILL)
            # The process of a command is killed soon.
            time.sleep(LONG_PATIENCE_SECONDS)
        if connection.vendor == "sqlite":
            raise OperationalError("database is locked")
        if connection.connection is not None:
            descriptor = descriptor_of(connection.connection)
            assert descriptor is not None
            with socket.socket(fileno=os.dup(descriptor)) as end:
                end.shutdown(socket.SHUT_RDWR)
        if self._plan.harm.endswith("after"):
            raise OperationalError(2013, "the connection was lost")


class Breaking:
    """Runs the runbook, and a worker for each message that it sends."""

    def __init__(self, folder: Path, plans: list[Plan]) -> None:
        self._folder = folder
        self._plans = plans
        # By the id of the call.
        self._workers: dict[str, Fork] = {}
        self._numbers = itertools.count()
        (folder / "broken.yml").write_text(runbook(len(plans)))

    def run(self, *options: str) -> Fork:
        """Run or resume the runbook to its end."""
        words = ["run_runbook", "broken.yml", "--format", "plain", *options]
        runner = Fork.manage(words, folder=self._folder, name=f"run-{next(self._numbers)}")
        deadline = time.monotonic() + PATIENCE_SECONDS + scaled(8) * len(self._plans)
        while runner.is_alive():
            assert time.monotonic() < deadline, f"the run is stuck\n{runner.output}\n{rows()}"
            self._workers = {call_id: one for call_id, one in self._workers.items() if one.is_alive()}
            for call_id in itertools.islice(take_messages(), MAX_WORKERS - len(self._workers)):
                # A message that comes again while its call runs would only count statements of its own.
                if call_id not in self._workers:
                    self._workers[call_id] = self._worker(call_id)
            time.sleep(0.03)
        return runner

    def _worker(self, call_id: str) -> Fork:
        return Fork(lambda: self._work(call_id), folder=self._folder, name=f"worker-{next(self._numbers)}")

    def _work(self, call_id: str) -> None:
        from django_runbook.models.calls import Call
        from django_runbook.queues import worker

        with closed_after():
            step_id = Call.objects.get(pk=call_id).step_id
        kind, index = re.fullmatch(r"(\w+)\[(\d+)\]", step_id).groups()  # type: ignore[union-attr]  # None would fail the test
        fired = self._folder / f"fired-{kind}-{index}"
        if not fired.exists():
            visit_points(Saboteur(self._plans[int(index) - 1], kind=kind, fired=fired).visit)
        # Much faster than a fresh interpreter, and the processes of commands visit the points too.
        worker._worker_of(os.getpid())._spawner.fork_server()
        worker.run_call(call_id)

    def fired(self, kind: str) -> list[Plan]:
        return [
            plan for index, plan in enumerate(self._plans, start=1) if (self._folder / f"fired-{kind}-{index}").exists()
        ]

    def close(self) -> None:
        for worker in self._workers.values():
            worker.kill()


def runbook(count: int) -> str:
    items = list(range(1, count + 1))
    branches = [
        f'    - {{id: {kind}, command: "{command}", for_each: {items}, max_parallel: 6{KEYS.get(kind, "")}}}'
        for kind, command in KINDS.items()
    ]
    head = "defaults: {queue: broken}\nsteps:\n- fail_fast: false\n  parallel:\n"
    return (head + "\n".join(branches)).replace("COUNT", str(count))


def effects() -> Counter[str]:
    from tests.queues.queueapp.models import Effect

    with closed_after():
        return Counter(Effect._default_manager.values_list("name", flat=True))


def rows() -> str:
    from django_runbook.models.calls import Call

    with closed_after():
        return "\n".join(map(str, Call.objects.order_by("queued_at")))


def statuses() -> dict[str, str]:
    from django_runbook.models import StepRun

    with closed_after():
        return {row.step_id: row.status for row in StepRun.objects.order_by("pk") if "[" in row.step_id}


def calls_of() -> dict[str, list[str]]:
    from django_runbook.models.calls import Call

    found: dict[str, list[str]] = {}
    with closed_after():
        for step_id, status in Call.objects.order_by("attempt", "number").values_list("step_id", "status"):
            found.setdefault(step_id, []).append(status)
    return found


def check_first(plans: list[Plan]) -> list[str]:
    """Assert what the first attempt of the run has made of each call; return the answers for those in doubt."""
    found, calls, counts = statuses(), calls_of(), effects()
    answers: list[str] = []
    for index, plan in enumerate(plans, start=1):
        for kind in KINDS:
            step_id = f"{kind}[{index}]"
            status, ended, count = found[step_id], calls[step_id], counts[f"{kind}_{index}"]
            where = f"{step_id}, {plan}: {status}, {ended}, {count} effects"
            assert set(ended) <= {"done", "dead"}, where
            assert ended[:-1] == ["dead"] * (len(ended) - 1), where
            assert len(ended) <= 2, where
            if status == "interrupted":
                assert (kind, plan.is_kill, ended) == ("plain", True, ["dead"]), where
                assert count <= 1, where
                answers += ["--skip" if count else "--rerun", step_id]
            elif status == "failed":
                # The command's own connection was broken before its commit.
                assert (kind, plan.is_kill, ended, count) == ("once", False, ["done"], 0), where
            else:
                assert (status, ended[-1]) == ("succeeded", "done"), where
                assert plan.is_kill or len(ended) == 1, where
                assert kind in {"again", "rows"} or count == 1, where
    return answers


def check_last(plans: list[Plan]) -> None:
    from tests.queues.queueapp.models import Item

    counts = effects()
    for index, plan in enumerate(plans, start=1):
        for kind in ("plain", "once"):
            assert counts[f"{kind}_{index}"] == 1, (kind, index, plan)
        assert 1 <= counts[f"again_{index}"] <= (2 if plan.is_kill else 1), (index, plan)
    assert set(statuses().values()) <= {"succeeded", "skipped"}, statuses()
    with closed_after():
        hits = Counter(Item._default_manager.values_list("hits", flat=True))
    assert hits == {1: BATCH_ROWS * len(plans)}, hits


def main(folder: Path, stride: int, offset: int, harm: str) -> None:
    spool = folder / "spool"
    spool.mkdir()
    os.environ["QUEUES_SPOOL"] = str(spool)
    django.setup()
    hurry()
    numbers = range(1 + offset % stride, MAX_NUMBER + 1, stride)
    harms = [one for one in HARMS if one.startswith(harm) and (one != "break after" or connection.vendor != "sqlite")]
    plans = [Plan(harm=harm, number=number) for harm in harms for number in numbers]
    with closed_after():
        from tests.queues.queueapp.models import Item

        call_command("migrate", run_syncdb=True, verbosity=0)
        Item._default_manager.bulk_create(Item() for _ in range(BATCH_ROWS * len(plans)))
    breaking = Breaking(folder, plans)
    try:
        first = breaking.run()
        assert first.code in {0, 1}, first.output
        answers = check_first(plans)
        if first.code:
            second = breaking.run("--resume", *answers)
            assert second.code == 0, second.output
        check_last(plans)
    finally:
        breaking.close()
    fired = {kind: Counter(plan.harm for plan in breaking.fired(kind)) for kind in KINDS}
    last = {kind: max((plan.number for plan in breaking.fired(kind)), default=0) for kind in KINDS}
    assert max(last.values()) < MAX_NUMBER, f"a call has more statements: {last}"
    print(json.dumps({"fired": fired, "last": last, "in_doubt": len(answers) // 2}))


def hurry() -> None:
    """Let deaths be noticed sooner, and have the row of a call written once: as soon as there is output."""
    from django_runbook.queues import call_watcher

    haste.look_more_often()
    watcher: Any = call_watcher
    watcher._INTERVAL_SECONDS, watcher._EARLY_CHARACTERS = LONG_PATIENCE_SECONDS, 0
    # A collection in a fork would copy what it shares with this process.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
