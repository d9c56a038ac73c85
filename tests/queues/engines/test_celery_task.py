"""Celery's workers: their pools, their messages, and what they show of a call."""

from __future__ import annotations

import base64
import json
import signal
import socket

import pytest
import redis

from tests.patience import PATIENCE_SECONDS, scaled, wait_until
from tests.queues.project import Project
from tests.services import REDIS_URL

pytestmark = pytest.mark.slow
on_redis = pytest.mark.parametrize("engine", ["redis"])
WITH_SECRET = """
secrets: [TOKEN]
steps: [{command: add_effect, args: ["${{ secrets.TOKEN }}"], options: {seconds: 60}, queue: QUEUE}]
"""
INSPECT = """
import json
from tests.queues.celery_app import app
inspect = app.control.inspect(destination=[DESTINATION], timeout=SECONDS)
print(json.dumps([inspect.active(), inspect.reserved(), inspect.scheduled(), inspect.conf(with_defaults=False)], default=str))
"""


@on_redis
def test_a_message_that_redis_sends_again_does_nothing(project: Project) -> None:
    # Redis sends what has waited in a worker for longer than this, within about ten seconds.
    project.more = {"QUEUES_BROKER_OPTIONS": '{"visibility_timeout": 1}'}
    project.write(
        """
defaults: {queue: QUEUE}
steps:
  - parallel:
      - {id: one, command: add_effect one --seconds 60 --until go}
      - id: later
        steps:
          - {id: here, command: add_effect here --seconds 1, queue: false}
          - {id: two, command: add_effect two}
"""
    )
    with project.worker("a"), project.runner() as runner:
        wait_until(lambda: project.output("a").count("received") >= 2, what="the first worker has both messages")
        with project.worker("b"):
            wait_until(
                lambda: project.output("a").count("received") + project.output("b").count("received") > 2,
                what="a message has come again",
            )
            project.add_effect("go")
            assert runner.wait(timeout=PATIENCE_SECONDS) == 0
    assert sorted(project.effects()) == ["go", "here", "one", "two"]
    assert [call[2:] for call in project.calls()] == [(1, "done"), (1, "done")]


@on_redis
@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_worker_of_another_pool_releases_its_calls_too(project: Project, pool: str) -> None:
    project.add_items(60)
    project.write("steps: [{command: add_hits --batch-size 5 --until go, shards: 2, queue: QUEUE}]")
    with project.worker("a", concurrency=2, pool=pool) as first, project.runner() as runner:
        project.wait_for("SELECT 1 FROM queueapp_item WHERE hits > 0")
        first.send_signal(signal.SIGTERM)
        project.wait_for("SELECT 1 FROM django_runbook_call WHERE release_count = 1")
        project.add_effect("go")
        with project.worker("b", concurrency=2):
            assert runner.wait(timeout=PATIENCE_SECONDS) == 0
        assert first.wait(timeout=PATIENCE_SECONDS) == 0
    assert project.hits() == {1: 120}
    assert [call[2:] for call in project.calls()] == [(1, "done"), (1, "done")]


@on_redis
def test_a_cold_shutdown_ends_a_plain_call(project: Project) -> None:
    project.write("steps: [{id: plain, command: add_effect plain --seconds 60, queue: QUEUE}]")
    with project.worker() as worker, project.runner("--verbosity=2") as runner:
        project.wait_for("SELECT 1 FROM queueapp_effect")
        worker.send_signal(signal.SIGQUIT)
        assert worker.wait(timeout=PATIENCE_SECONDS) == 0
        assert runner.wait(timeout=PATIENCE_SECONDS) == 1
    assert "ended by SIGTERM" in project.output("runner")
    code, output = project.run("--resume")
    assert code == 2
    assert "--rerun plain runs it again" in output
    assert project.effects() == ["plain"]


@on_redis
def test_a_message_contains_an_id_and_no_argument(project: Project) -> None:
    project.secrets = {"TOKEN": "abra-cadabra"}
    project.write(WITH_SECRET)
    with project.runner() as runner, redis.Redis.from_url(REDIS_URL) as client:
        wait_until(lambda: client.llen(project.queue), what="a message")
        (message,) = [json.loads(one) for one in client.lrange(project.queue, 0, -1)]
        (call_id,) = project.query("SELECT id FROM django_runbook_call")[0]
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(timeout=PATIENCE_SECONDS) == 143
    body = json.loads(base64.b64decode(message.pop("body")))
    assert body[:2] == [[call_id], {}]
    for text in (json.dumps(body), json.dumps(message)):
        assert "abra-cadabra" not in text
        assert "add_effect" not in text
    assert project.effects() == []


@on_redis
def test_a_worker_shows_no_argument_and_no_secret(project: Project) -> None:
    project.secrets = {"TOKEN": "abra-cadabra"}
    project.write(WITH_SECRET)
    with project.worker(), project.runner() as runner:
        project.wait_for("SELECT 1 FROM queueapp_effect")
        # The call runs: its message is what a worker shows.
        name = f"worker-{project.queue}@{socket.gethostname()}"
        # It waits for the one answer, and for no longer.
        code = INSPECT.replace("DESTINATION", repr(name)).replace("SECONDS", str(scaled(10)))
        with project.forked(name="inspect", code=code) as inspect:
            assert inspect.wait(timeout=PATIENCE_SECONDS) == 0
        (call_id,) = project.query("SELECT id FROM django_runbook_call")[0]
        shown = project.output("inspect")
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(timeout=PATIENCE_SECONDS) == 143
        worker = project.output("worker")
    assert call_id in shown
    for text in (shown, worker, project.output("runner")):
        assert "abra-cadabra" not in text
        assert "add_effect" not in shown
