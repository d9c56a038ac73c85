"""Runs a project with workers: in a database, a queue and process groups of the test's own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests import postgres_settings
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.prepared import PreparedProcess
from tests.process_groups import ended_group, started
from tests.queues import haste
from tests.runner.support import environ
from tests.services import AMQP_ADDRESS, REDIS_URL

AMQP_URL = f"amqp://guest:guest@{AMQP_ADDRESS}//"
TASKS_BACKENDS = {
    "tasks": "django_tasks_db.DatabaseBackend",
    "leases": "tests.queues.queueapp.lease_backend.LeaseBackend",
}
BROKERS = {"redis": REDIS_URL, "rabbitmq": AMQP_URL}


@dataclass(kw_only=True)
class Project:
    """Has the files, the database and the workers of one test; ``engine`` is a broker of Celery, or tasks.

    ``more`` are further environment variables of its processes, whose pauses are shorter if it ``is_hasty``.
    """

    directory: Path
    engine: str
    database: str
    queue: str
    secrets: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    is_hasty: bool = True

    @property
    def variables(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.queues.settings",
            "QUEUES_DATABASE": json.dumps({**postgres_settings.POSTGRES, "NAME": self.database}),
            "QUEUES_QUEUE": self.queue,
            "QUEUES_ENGINE": "tasks" if self.engine in {"tasks", "leases"} else "celery",
            "QUEUES_BROKER": BROKERS.get(self.engine, ""),
            **({haste.VARIABLE: "1"} if self.is_hasty else {}),
            "QUEUES_TASKS_BACKEND": TASKS_BACKENDS.get(self.engine, TASKS_BACKENDS["tasks"]),
            **self.secrets,
            **self.more,
        }

    def call(self, *words: str) -> str:
        """Call a command in a process of its own; return its output."""
        process = PreparedProcess(
            *words,
            cwd=self.directory,
            env=environ() | self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            try:
                stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
            finally:
                process.kill()
        assert process.returncode == 0, stderr
        return stdout

    def migrate(self) -> None:
        self.call("migrate", "--run-syncdb", "--verbosity=0")

    def add_items(self, count: int) -> None:
        self.query(f"INSERT INTO queueapp_item (hits) SELECT 0 FROM generate_series(1, {count})")

    def write(self, text: str) -> None:
        (self.directory / "run.yml").write_text(text.replace("QUEUE", self.queue))

    @contextlib.contextmanager
    def forked(self, *words: str, name: str, code: str = "") -> Iterator[subprocess.Popen[str]]:
        """Fork a process in a group of its own, which is gone when the context ends."""
        output = self.directory / f"{name}.out"
        with output.open("wb") as stream:
            process = PreparedProcess(
                *words,
                code=code,
                cwd=self.directory,
                env=environ() | self.variables,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        with ended_group(process, output):
            yield process

    @contextlib.contextmanager
    def worker(
        self, name: str = "worker", *, concurrency: int = 1, pool: str = "prefork", is_fresh: bool = False
    ) -> Iterator[subprocess.Popen[Any]]:
        """Fork a worker, whose calls are forked from it; or start fresh interpreters for both, as a project does."""
        is_celery = self.engine in BROKERS
        if self.engine == "leases":
            words = ["lease_worker", "--queue-name", self.queue]
        elif self.engine == "tasks":
            words = ["db_worker", "--queue-name", self.queue, "--interval", "0.05", "--no-startup-delay"]
        else:
            words = ["worker", "-Q", self.queue, "-n", f"{name}-{self.queue}@%h", "--concurrency", str(concurrency)]
            words += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
            words += ["--pool", pool]
        if not is_fresh:
            start = f"celery_worker({words}, pool={pool!r})" if is_celery else f"tasks_worker({words})"
            with self.forked(name=name, code=f"from tests.queues.workers import *; {start}") as fork:
                yield fork
            return
        program = ("celery", "-A", "tests.queues.celery_app") if is_celery else ("django",)
        words = [sys.executable, "-W", "ignore", "-m", *program, *words]
        output = self.directory / f"{name}.out"
        with started(words, env=environ() | self.variables, directory=self.directory, output=output) as process:
            yield process

    @contextlib.contextmanager
    def runner(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        with self.forked("run_runbook", "run.yml", *options, name="runner") as process:
            yield process

    def run(self, *options: str) -> tuple[int, str]:
        """Run the runbook to its end; return its exit code and its output."""
        with self.runner(*options) as process:
            code = process.wait(timeout=PATIENCE_SECONDS)
        return code, self.output("runner")

    def output(self, name: str) -> str:
        return (self.directory / f"{name}.out").read_text()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with _connect(self.database) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def wait_for(self, statement: str) -> tuple[Any, ...]:
        """Wait for the first row of a query, and return it."""
        wait_until(lambda: bool(self.query(statement)), what=statement)
        return self.query(statement)[0]

    def wait_for_status(self, status: str) -> tuple[Any, ...]:
        return self.wait_for(f"SELECT pid, parent_pid FROM django_runbook_call WHERE status = '{status}'")

    def calls(self) -> list[tuple[Any, ...]]:
        return self.query("SELECT step_id, attempt, number, status FROM django_runbook_call ORDER BY queued_at")

    def hits(self) -> dict[int, int]:
        return dict(self.query("SELECT hits, count(*) FROM queueapp_item GROUP BY hits"))

    def add_effect(self, name: str) -> None:
        """Add the effect for which a command waits."""
        self.query(f"INSERT INTO queueapp_effect (name) VALUES ('{name}')")

    def effects(self) -> list[str]:
        return [name for (name,) in self.query("SELECT name FROM queueapp_effect ORDER BY id")]


def _connect(database: str) -> psycopg.Connection[tuple[Any, ...]]:
    settings = postgres_settings.POSTGRES
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=database,
        autocommit=True,
    )


@contextlib.contextmanager
def new_template(directory: Path) -> Iterator[str]:
    """Make a database with all tables, which is copied for each test."""
    with _new_database("") as name:
        Project(directory=directory, engine="redis", database=name, queue="default").migrate()
        yield name


@contextlib.contextmanager
def new_project(directory: Path, engine: str, *, template: str) -> Iterator[Project]:
    """Make a project with a database and a queue of its own, and remove both at the end."""
    with _new_database(f"TEMPLATE {template}") as name:
        project = Project(directory=directory, engine=engine, database=name, queue=name.replace("_", "-"))
        try:
            yield project
        finally:
            _delete_queue(project)


@contextlib.contextmanager
def _new_database(more: str) -> Iterator[str]:
    name = f"queues_{uuid.uuid4().hex[:12]}"
    # A connection that stays open could be broken by a test that closes descriptors.
    with _connect(postgres_settings.POSTGRES["NAME"]) as server:
        server.execute(f"CREATE DATABASE {name} {more}")
    try:
        yield name
    finally:
        with _connect(postgres_settings.POSTGRES["NAME"]) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _delete_queue(project: Project) -> None:
    if project.engine == "redis":
        with redis.Redis.from_url(REDIS_URL) as client:
            client.delete(project.queue, f"_kombu.binding.{project.queue}")
    elif project.engine == "rabbitmq":
        import amqp

        with amqp.Connection(AMQP_ADDRESS) as connection, connection.channel() as channel:
            channel.queue_delete(project.queue)
            channel.exchange_delete(project.queue)
