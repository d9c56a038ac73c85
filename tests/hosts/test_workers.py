"""Runbooks in the workers of task queues: a failed run ends no worker, and a worker that is asked to stop does so."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.process_groups import started
from tests.runner.support import environ
from tests.services import REDIS_URL, require_redis

pytestmark = pytest.mark.slow

FAILED = 'CommandError 1: the run failed: step "fail": it went wrong'
GOOD = "ended without an exception"


class Host:
    """The process of a worker, with what it has noted about the runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.items = directory / "items"
        texts = {
            "fail": "steps: [say hello, fail --kind command --code 3]",
            "good": "steps: [say hello]",
            "slow": f"steps: [work --how items --log {self.items}, say never]\nfinally: [effect tidy --log {directory / 'tidy'}]",
            "short": f"steps: [work --how short --log {self.items}]",
        }
        for name, text in texts.items():
            (directory / f"{name}.yml").write_text(text)

    def path(self, name: str) -> str:
        return str(self.directory / f"{name}.yml")

    def noted(self) -> list[tuple[int, str]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(int(pid), said) for pid, _, said in (line.partition(" ") for line in lines)]

    def wait_for_noted(self, count: int) -> None:
        wait_until(lambda: len(self.noted()) >= count, what=f"{count} runs")

    def wait_for_work(self) -> None:
        wait_until(self.items.exists, what="the step works")

    @contextlib.contextmanager
    def started(self, *words: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start the worker in a process group of its own, which is gone when the context ends."""
        variables = {"DJANGO_SETTINGS_MODULE": "tests.hosts.settings", "HOSTS_DATABASE": str(self.directory / "db")}
        env = environ() | variables | more
        output = self.directory / "output"
        with started([sys.executable, *words], env=env, directory=self.directory, output=output) as process:
            yield process

    def end(self, process: subprocess.Popen[bytes]) -> int:
        return process.wait(timeout=PATIENCE_SECONDS)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


class Queue:
    """A queue of Celery in Redis."""

    def __init__(self) -> None:
        self.name = f"hosts-{uuid.uuid4().hex[:12]}"
        self._app: Any = Celery("hosts", broker=REDIS_URL, set_as_current=False, fixups=[])
        self._app.conf.task_default_queue = self.name

    def send(self, host: Host, *names: str) -> None:
        for name in names:
            self._app.send_task("call_runbook", (host.path(name), str(host.log)), queue=self.name)

    def close(self) -> None:
        self._app.close()
        with redis.Redis.from_url(REDIS_URL) as client:
            client.delete(self.name, f"_kombu.binding.{self.name}")

    @contextlib.contextmanager
    def worker(self, host: Host, pool: str) -> Iterator[subprocess.Popen[bytes]]:
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING")
        words = ("-m", "celery", "-A", "tests.hosts.celery_app", "worker", "--pool", pool, "--concurrency", "1", *quiet)
        variables = {"HOSTS_BROKER": REDIS_URL, "HOSTS_QUEUE": self.name}
        with host.started("-W", "ignore", *words, **variables) as process:
            yield process


@pytest.fixture
def queue() -> Iterator[Queue]:
    require_redis()
    found = Queue()
    yield found
    found.close()


def test_a_failed_run_ends_no_process_of_a_celery_worker(host: Host, queue: Queue) -> None:
    queue.send(host, "fail", "good", "slow")
    with queue.worker(host, "prefork") as process:
        host.wait_for_work()
        # As systemd does it: the whole group, with the process in which the run is.
        os.killpg(process.pid, signal.SIGTERM)
        assert host.end(process) == 0
    # Each message once, by one and the same process.
    pids, said = zip(*host.noted(), strict=True)
    assert said[:2] == (FAILED, GOOD)
    # What the pool's own handler of SIGTERM raises, once the run has ended as it should.
    assert said[2:] == ("other signal handlers, SystemExit: -241",)
    assert "stopped before" in host.items.read_text()
    assert "end tidy" in (host.directory / "tidy").read_text()
    assert len(set(pids)) == 1
    assert pids[0] != process.pid


def test_a_celery_worker_with_threads_finishes_its_run_before_it_stops(host: Host, queue: Queue) -> None:
    queue.send(host, "fail", "short")
    with queue.worker(host, "threads") as process:
        host.wait_for_work()
        process.terminate()
        assert host.end(process) == 0
    assert host.noted() == [(process.pid, FAILED), (process.pid, GOOD)]


def celery_solo(host: Host, queue: Queue) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    queue.send(host, "fail", "slow", "good")
    return queue.worker(host, "solo")


def db_worker(host: Host, queue: Queue) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    paths = [host.path(name) for name in ("fail", "slow", "good")]
    return host.started("-m", "tests.hosts.tasks_worker", str(host.log), *paths)


@pytest.mark.parametrize("start", [celery_solo, db_worker])
def test_a_worker_that_is_stopped_during_a_run_stops_after_it(
    host: Host, queue: Queue, start: Callable[[Host, Queue], contextlib.AbstractContextManager[subprocess.Popen[bytes]]]
) -> None:
    """The run takes the signals over, in the main thread of the worker, and hands them back."""
    with start(host, queue) as process:
        host.wait_for_work()
        process.terminate()
        assert host.end(process) == 0
    first, second = host.noted()
    assert first == (process.pid, FAILED)
    assert second[0] == process.pid
    assert second[1] == 'CommandError 143: the run was interrupted at step "work"'
    if start is db_worker:
        with contextlib.closing(sqlite3.connect(host.directory / "db")) as database:
            rows = database.execute("SELECT status, exit_code FROM django_runbook_run ORDER BY started_at").fetchall()
        assert rows == [("failed", 1), ("interrupted", 143)]
