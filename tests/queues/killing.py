"""Kills workers, runs and brokers at random moments while steps run on workers, and checks their effects.

``python -m tests.queues.killing FOLDER ENGINE ROUNDS SEED``: runs and workers are forked from this process, which has
set Django up. ``ENGINE`` is redis, rabbitmq or tasks.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Final

import django
from django.core.management import call_command

from tests.patience import PATIENCE_SECONDS, scaled
from tests.queues import haste
from tests.queues.brokers import Broker, ProxiedRabbitBroker, new_broker, wait_for_port
from tests.queues.forks import Fork, closed_after
from tests.queues.workers import celery_worker, tasks_worker

ROW_COUNT: Final = 24
MAX_KILLS: Final = 6
MAX_RESUMES: Final = 40
# A fresh interpreter, which a project has, takes most of the time of a round: many rounds have some, few have none.
FRESH_SHARE: Final = 0.25
ROUND_SECONDS: Final = scaled(150)
RUNBOOK: Final = """\
defaults: {queue: QUEUE}
steps:
  - {id: plain, command: add_effect plain --wait 0.05}
  - id: made
    command: add_effect made
    options: {text: '{"n": 3}'}
    capture: json
  - id: retried
    command: add_effect retried --try 3
    retry: {attempts: 3, delay: 0.01s, jitter: false}
  - {id: loop, command: "add_effect loop_${{ item }} --wait 0.05", for_each: [a, b, c], max_parallel: 3}
  - {id: once, command: add_effect once --wait 0.05, atomic: true}
  - {id: again, command: add_effect again --seconds 0.05, idempotent: true}
  - {id: rows, command: add_hits --batch-size 3 --seconds 0.05, shards: 3}
  - id: group
    steps: [{id: inner, command: add_effect inner}]
    finally: [{id: tidy, command: add_effect tidy}]
  - id: both
    parallel:
      - {id: left, command: add_effect left --wait 0.1}
      - {id: right, command: add_effect right --wait 0.1}
  - {id: here, command: "add_effect here_${{ steps.made.output.n }}_${{ steps.loop.status }}", queue: false}
finally:
  - {id: clean, command: add_effect clean}
"""
# Steps with exactly one effect, whatever happened, and the names of the effects if they differ.
ONCE: Final = ("plain", "retried", "loop_a", "loop_b", "loop_c", "once", "inner", "left", "right", "here_3_succeeded")
EFFECTS: Final = {"loop[1]": "loop_a", "loop[2]": "loop_b", "loop[3]": "loop_c", "here": "here_3_succeeded"}
# Steps that may run again, and steps that run again because their output is needed.
AGAIN: Final = ("made", "again", "tidy", "clean")
NEVER_IN_DOUBT: Final = {"once", "again", "rows", "rows[1]", "rows[2]", "rows[3]", "loop", "group", "both"}


class Round:
    """Runs one runbook from its start to its end, on workers that stay for the next round."""

    def __init__(self, folder: Path, rng: random.Random, workers: Workers) -> None:
        self.kills: Counter[str] = Counter()
        self.doubts: Counter[str] = Counter()
        self._folder = folder
        self._rng = rng
        self._workers = workers
        self._is_begun = False
        # In some rounds all harm is done at once, in others it is spread over the run.
        self._likelihood = rng.uniform(0.02, 0.15)
        folder.mkdir()
        (folder / "killed.yml").write_text(RUNBOOK.replace("QUEUE", workers.queue))

    def go(self) -> None:
        """Run, be killed and resume until the run has ended."""
        deadline = time.monotonic() + ROUND_SECONDS
        options: list[str] = []
        for number in range(MAX_RESUMES):
            words = ["run_runbook", "killed.yml", "--format", "plain", *options]
            runner = Fork.manage(words, folder=self._folder, name=f"run-{number}")
            self._disturb(runner, deadline)
            if self._is_over(runner):
                return
            options = ["--resume", *self._answers(runner)] if self._is_begun else []
        raise AssertionError(f"not over after {MAX_RESUMES} attempts\n{runner.output}")

    def _disturb(self, runner: Fork, deadline: float) -> None:
        """Do harm until the run has ended."""
        while runner.is_alive():
            if time.monotonic() > deadline:
                raise AssertionError(f"the run is stuck\n{runner.output}\n{calls()}")
            self._workers.revive()
            if self.kills.total() < MAX_KILLS and self._rng.random() < self._likelihood:
                self.kills[self._harm(runner)] += 1
            time.sleep(0.05)

    def _harm(self, runner: Fork) -> str:
        names = ("child", "worker", "main", "stop worker", "runner", "stop runner", "broker", "nothing")
        weights = (5, 3, 1, 2, 3, 1, 1, 3)
        (name,) = self._rng.choices(names, weights)
        match name:
            case "child":
                self._workers.kill_child()
            case "worker" | "main" | "stop worker":
                self._workers.harm(name)
            case "runner":
                runner.kill()
            case "stop runner":
                runner.signal(signal.SIGTERM)
            case "broker":
                self._workers.kill_broker()
        return name

    def _is_over(self, runner: Fork) -> bool:
        """Judge how an attempt of the run has ended."""
        code, said = runner.code, runner.output
        if code == 2 and "no run of" in said:
            # Handlers are not what a run is resumed for.
            assert set(effects()) <= {"clean"}, "something ran, and nothing was recorded"
            self._is_begun = False
            return False
        if code == 2 and "has succeeded and cannot be resumed" in said:
            return True
        self._is_begun = True
        if code == 75:
            # The server of a database lock detects a death a moment later.
            time.sleep(0.1)
        is_doubtful = code == 2 and "--rerun" in said
        # SIGTERM may come before its handler is there.
        codes = {0, 1, 75, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM}
        assert code in codes or is_doubtful, f"exit code {code}\n{said}"
        return code == 0

    def _answers(self, runner: Fork) -> list[str]:
        """Return the choices that the effects justify."""
        if runner.code != 2:
            return []
        answers = []
        for step_id in re.findall(r"--rerun (\S+) runs it again", runner.output):
            assert step_id not in NEVER_IN_DOUBT, runner.output
            self.doubts[step_id] += 1
            is_there = effects()[EFFECTS.get(step_id, step_id)] > 0
            answers += ["--skip" if is_there and step_id != "made" else "--rerun", step_id]
        return answers

    def check(self) -> None:
        """Assert what must be true after the end."""
        found = effects()
        assert {name: found[name] for name in ONCE} == dict.fromkeys(ONCE, 1), found
        assert found["made"] <= 1 + self.doubts["made"], (found, self.doubts)
        lost = lost_handlers()
        assert all(found[name] for name in AGAIN if name not in lost), found
        assert set(found) - lost == {*ONCE, *AGAIN, "try of retried"} - lost, found
        check_rows(self.doubts, lost)


def effects() -> Counter[str]:
    from tests.queues.queueapp.models import Effect

    with closed_after():
        return Counter(Effect._default_manager.values_list("name", flat=True))


def calls() -> str:
    from django_runbook.models.calls import Call

    with closed_after():
        return "\n".join(f"{call} {call.claim} {call.worker} {call.pid}" for call in Call.objects.order_by("queued_at"))


def lost_handlers() -> set[str]:
    """Return the handlers whose workers died in the last attempt that ran them, so that nobody knows their outcome."""
    from django_runbook.models import StepRun
    from django_runbook.results import Role

    with closed_after():
        rows = StepRun.objects.exclude(role=Role.STEP.value).order_by("pk")
        last = {row.step_id: row for row in rows if row.status != "skipped"}
    return {step_id for step_id, row in last.items() if (row.status, row.error_type) == ("interrupted", "WorkerDied")}


def check_rows(doubts: Counter[str], lost: Collection[str]) -> None:
    from django_runbook.models import Run
    from django_runbook.models.calls import OPEN, Call
    from tests.journal_data import last_attempts
    from tests.queues.queueapp.models import Item

    with closed_after():
        (row,) = Run.objects.begun()
        last, skipped = last_attempts(row, doubts, lost=lost)
        silent = {step.step_id for step in last.values() if step.kind == "command" and not step.output_head} - skipped
        assert silent <= {"rows[1]", "rows[2]", "rows[3]"}, silent
        hits = Counter(Item._default_manager.values_list("hits", flat=True))
        assert hits == {1: ROW_COUNT}, hits
        assert not Call.objects.filter(status__in=OPEN).exists(), calls()
        # A run that was killed before its first step cannot be resumed: a new run was started instead.
        done = Counter(row.calls.filter(status="done").values_list("step_id", "attempt"))
        assert set(done.values()) == {1}, done


class Workers:
    """Has two workers and their broker, which may all be killed, and starts again what was killed."""

    def __init__(
        self, engine: str, *, folder: Path, rng: random.Random, broker: Broker | None, fresh_share: float
    ) -> None:
        self.queue = f"killing-{os.getpid()}"
        self.broker = broker
        # Of the workers whose calls are forked from a fresh interpreter, as in a project.
        self._fresh_share = fresh_share
        self._engine = engine
        self._folder = folder
        self._rng = rng
        self._workers: list[Fork] = []
        self._due_at = [0.0, 0.0]
        self._stopped: list[tuple[Fork, float]] = []
        self._broker_due_at = 0.0

    def revive(self) -> None:
        """Start what is due, and assert that workers that were stopped end."""
        now = time.monotonic()
        if self.broker is not None and self._broker_due_at and now >= self._broker_due_at:
            self._broker_due_at = 0.0
            self.broker.start()
        for worker, deadline in tuple(self._stopped):
            if not worker.is_alive():
                self._stopped.remove((worker, deadline))
            else:
                assert now < deadline, f"a worker does not end\n{worker.output}\n{calls()}"
        for number, at in enumerate(self._due_at):
            if at <= now:
                self._due_at[number] = float("inf")
                self._workers.insert(number, self._started(f"worker-{number}-{now}"))
        for number, worker in enumerate(tuple(self._workers)):
            if not worker.is_alive():
                worker.kill()
                self._replace(number)

    def _replace(self, number: int) -> Fork:
        """Remove a worker, and let another one start soon; return the removed one."""
        worker = self._workers[number]
        self._workers[number] = self._started(f"worker-{number}-{time.monotonic()}")
        return worker

    def _started(self, name: str) -> Fork:
        is_fresh = self._rng.random() < self._fresh_share
        if self._engine == "tasks":
            words = ["db_worker", "--queue-name", self.queue, "--interval", "0.05", "--no-startup-delay"]
            if is_fresh:
                return Fork.manage(words, folder=self._folder, name=name)
            return Fork(lambda: tasks_worker(words), folder=self._folder, name=name)
        words = ["worker", "-Q", self.queue, "-n", f"{name}@%h", "--concurrency", "2", "--loglevel", "INFO"]
        words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        if is_fresh:
            return Fork.celery(words, folder=self._folder, name=name)
        return Fork(lambda: celery_worker(words), folder=self._folder, name=name)

    def kill_child(self) -> None:
        """Kill the process of a worker that runs a call."""
        from django_runbook.models.calls import Call

        with closed_after():
            running = Call.objects.filter(status="running")
            pids = [pid for pid in running.values_list("pid", flat=True) if pid]
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._rng.choice(pids), signal.SIGKILL)

    def harm(self, name: str) -> None:
        number = self._rng.randrange(len(self._workers))
        worker = self._workers[number]
        if name == "stop worker":
            worker.signal(signal.SIGTERM)
            self._replace(number)
            self._stopped.append((worker, time.monotonic() + PATIENCE_SECONDS))
        elif name == "main":
            # Its children end by themselves.
            worker.signal(signal.SIGKILL)
        else:
            worker.kill()

    def kill_broker(self) -> None:
        if self.broker is not None and not self._broker_due_at:
            self.broker.kill()
            self._broker_due_at = time.monotonic() + self._rng.uniform(0, 1.5)

    def finish(self, *, is_patient: bool) -> None:
        """Assert that no message is left; stop all workers, which must end soon."""
        # What a killed worker had received comes again from Redis within two minutes.
        deadline = time.monotonic() + scaled(130 if is_patient else 30)
        while self._broker_due_at or (left := self._waiting_count(is_received_counted=is_patient)):
            assert time.monotonic() < deadline, f"{left} messages are left"
            self.revive()
            time.sleep(0.1)
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        for worker in (*self._workers, *(one for one, _ in self._stopped)):
            worker.wait()

    def _waiting_count(self, *, is_received_counted: bool) -> int:
        if self.broker is not None:
            return self.broker.waiting_count(self.queue, is_received_counted=is_received_counted)
        from django_tasks_db.models import DBTaskResult

        with closed_after():
            return DBTaskResult.objects.ready().count()

    def close(self) -> None:
        for worker in (*self._workers, *(one for one, _ in self._stopped)):
            worker.kill()
        if isinstance(self.broker, ProxiedRabbitBroker):
            self.broker.delete(self.queue)
        if self.broker is not None:
            self.broker.kill()


def check_locks() -> None:
    """Assert that no lock of a worker is held after the end of all."""
    from django_runbook import conf
    from django_runbook.locks import factory
    from django_runbook.locks.base import Probe
    from django_runbook.models.calls import Call, worker_lock_name

    new_lock = factory.new_factory(conf.read(), what="")
    with closed_after():
        names = set(Call.objects.exclude(worker="").values_list("worker", flat=True))
    for name in names:
        assert new_lock(worker_lock_name(name)).probe() is not Probe.HELD, name


def empty() -> None:
    """Empty the tables before a round."""
    from django_runbook.models import Run
    from django_runbook.models.checkpoints import Checkpoint, FinishedKey
    from tests.queues.queueapp.models import Effect, Item

    with closed_after():
        for model in (Run, Checkpoint, FinishedKey, Effect, Item):
            model._default_manager.all().delete()
        Item._default_manager.bulk_create(Item() for _ in range(ROW_COUNT))


def main(folder: Path, engine: str, round_count: int, seed: int) -> None:
    """Run this number of rounds, and print the result."""
    is_long = round_count > 5
    broker = None if engine == "tasks" else new_broker(engine, folder / "broker", is_own=is_long)
    rng = random.Random(seed)
    workers = Workers(engine, folder=folder, rng=rng, broker=broker, fresh_share=FRESH_SHARE if is_long else 0.0)
    os.environ |= {"QUEUES_BROKER": "" if broker is None else broker.url, "QUEUES_QUEUE": workers.queue}
    if not is_long:
        os.environ[haste.VARIABLE] = "1"
    django.setup()
    with closed_after():
        call_command("migrate", run_syncdb=True, verbosity=0)
    kills: Counter[str] = Counter()
    doubt_count = 0
    try:
        if broker is not None:
            broker.start()
            wait_for_port(broker.url)
        for number in range(1, round_count + 1):
            empty()
            one = Round(folder / str(number), rng, workers)
            try:
                one.go()
                one.check()
            except BaseException:
                print(f"seed {seed}, round {number}, {dict(one.kills)}, in doubt: {dict(one.doubts)}", flush=True)
                raise
            kills += one.kills
            doubt_count += one.doubts.total()
        workers.finish(is_patient=is_long)
        check_locks()
    finally:
        workers.close()
    print(json.dumps({"rounds": round_count, "seed": seed, "kills": kills, "doubts": doubt_count}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
