"""Steps on the workers of real engines: what they print and return, and what happens when something dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal

import pytest

from tests.patience import PATIENCE_SECONDS, scaled, wait_until
from tests.queues.project import Project

pytestmark = pytest.mark.slow
# The protocol is the same on each engine: a scenario runs on all of them if the engine itself takes part in it.
on_each_engine = pytest.mark.parametrize("engine", ["redis", "rabbitmq", "tasks"])
on_redis = pytest.mark.parametrize("engine", ["redis"])
on_rabbitmq = pytest.mark.parametrize("engine", ["rabbitmq"])
on_tasks = pytest.mark.parametrize("engine", ["tasks"])


EVERYTHING = """
secrets: [TOKEN]
steps:
  - {id: text, command: say secret, args: ["${{ secrets.TOKEN }}"], capture: text, queue: QUEUE}
  - {id: hidden, command: add_effect, args: ["${{ secrets.TOKEN }}"], no_log: true, queue: QUEUE}
  - name: group
    queue: QUEUE
    steps:
      - command: add_effect ${{ item }}
        for_each: [one, two, three]
        max_parallel: 3
      - {command: add_effect here, queue: false}
  - {id: asked, command: read_input count, stdin: "${{ secrets.TOKEN }}", capture: text, no_log: true, queue: QUEUE}
  - {id: lines, command: read_input ask, stdin: "one\\n${{ secrets.TOKEN }}", queue: QUEUE}
  - {id: placed, command: show_environment PLACE KEY, env: {PLACE: here, KEY: "${{ secrets.TOKEN }}"}, queue: QUEUE}
  - {id: again, command: add_effect again --fail-first 1, retry: {attempts: 2, delay: 0s}, queue: QUEUE}
  - {id: committed, command: add_effect committed, atomic: true, queue: QUEUE}
  - {command: add_hits --batch-size 20, queue: QUEUE}
  - {command: add_effect late --seconds 60, timeout: LIMIT, continue_on_error: true, queue: QUEUE}
  - {command: fail --kind command --code 3, continue_on_error: [3], queue: QUEUE}
  - say ${{ steps.text.output }}
"""


@on_each_engine
def test_a_step_on_a_worker_has_everything_that_a_local_step_has(project: Project) -> None:
    project.secrets = {"TOKEN": "abra-cadabra"}
    project.write(EVERYTHING.replace("LIMIT", f"{scaled(3):g}s"))
    # Both kinds of interpreters: those of a project, and the forks of all other tests.
    with project.worker(concurrency=2, is_fresh=project.engine != "rabbitmq"):
        code, output = project.run("--verbosity=2")
        assert code == 0, output
        worker_output = project.output("worker")
    assert sorted(project.effects()) == sorted(
        ["abra-cadabra", "one", "two", "three", "here", "again", "again", "committed", "late"]
    )
    assert project.hits() == {1: 60}
    assert "secret ***" in output
    assert "one, ***" in output
    assert "PLACE=here" in output
    assert "KEY=***" in output
    assert "abra-cadabra" not in output + worker_output
    for table in ("call", "calloutput", "steprun"):
        for row in project.query(f"SELECT * FROM django_runbook_{table}"):
            assert "abra-cadabra" not in str(row)
    hidden = project.query("SELECT tokens, process FROM django_runbook_call WHERE is_hidden")
    assert hidden == [("[]", "{}")] * 2
    assert project.query("SELECT count(*) FROM django_runbook_calloutput") == [(0,)]
    here = project.query("SELECT count(*) FROM django_runbook_call WHERE tokens LIKE '%here%'")
    assert here == [(0,)]
    statuses = dict(project.query("SELECT name, status FROM django_runbook_steprun WHERE name LIKE 'add_effect%'"))
    assert statuses["add_effect"] == "timed_out"


@on_rabbitmq
def test_a_batch_whose_worker_is_killed_is_done_exactly_once(project: Project) -> None:
    project.write("steps: [{command: add_hits --batch-size 5 --until go, queue: QUEUE}]")
    with project.worker("a") as first, project.runner() as runner:
        project.wait_for("SELECT 1 FROM queueapp_item WHERE hits > 0")
        os.killpg(first.pid, signal.SIGKILL)
        project.add_effect("go")
        with project.worker("b"):
            assert runner.wait(timeout=PATIENCE_SECONDS) == 0
    assert project.hits() == {1: 60}
    assert [call[2:] for call in project.calls()] == [(1, "dead"), (2, "done")]


@on_redis
def test_a_plain_call_whose_worker_is_killed_is_in_doubt(project: Project) -> None:
    project.write("steps: [{id: plain, command: kill_worker, queue: QUEUE}, say never]\non_failure: [say handled]")
    with project.worker():
        code, output = project.run("--verbosity=2")
    assert code == 1
    assert "died, so its outcome is unknown" in output
    assert "handled" in output
    assert project.query("SELECT status FROM django_runbook_run") == [("failed",)]
    code, output = project.run("--resume")
    assert code == 2
    assert "--rerun plain runs it again, --skip plain marks it as done" in output
    assert [call[3] for call in project.calls()] == ["dead"]


@on_redis
def test_a_call_whose_end_cannot_be_stored_is_dead_although_its_worker_lives(project: Project) -> None:
    project.write("steps: [{command: add_effect once --seconds 60 --until go, queue: QUEUE}]")
    with project.worker() as worker, project.runner("--verbosity=2") as runner:
        project.wait_for("SELECT 1 FROM queueapp_effect")
        # A bug while the end is stored; the row still says "running".
        project.query(
            "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE 'refused'; END $$ LANGUAGE plpgsql; "
            "CREATE TRIGGER refuse BEFORE UPDATE ON django_runbook_call FOR EACH ROW "
            "WHEN (NEW.status = 'done') EXECUTE FUNCTION refuse()"
        )
        project.add_effect("go")
        assert runner.wait(timeout=PATIENCE_SECONDS) == 1
        assert worker.poll() is None
    assert "died, so its outcome is unknown" in project.output("runner")
    assert [call[3] for call in project.calls()] == ["dead"]


@on_each_engine
def test_a_call_that_kills_each_worker_fails_in_the_end(project: Project) -> None:
    project.write("steps: [{command: kill_worker, idempotent: true, queue: QUEUE}]")
    with contextlib.ExitStack() as stack:
        # Celery replaces a child; a worker of Django's tasks is one process.
        for number in range(3 if project.engine == "tasks" else 1):
            stack.enter_context(project.worker(f"worker-{number}"))
        code, output = project.run()
    assert code == 1
    assert "its worker died 3 times while it ran" in output
    assert [call[2:] for call in project.calls()] == [(1, "dead"), (2, "dead"), (3, "dead")]


@on_each_engine
def test_a_worker_that_shuts_down_leaves_its_batch_to_another_one(project: Project) -> None:
    project.write("steps: [{command: add_hits --batch-size 5 --until go, queue: QUEUE}]")
    with project.worker("a") as first, project.runner() as runner:
        project.wait_for("SELECT 1 FROM queueapp_item WHERE hits > 0")
        first.send_signal(signal.SIGTERM)
        project.wait_for("SELECT 1 FROM django_runbook_call WHERE release_count = 1")
        project.add_effect("go")
        with project.worker("b"):
            assert runner.wait(timeout=PATIENCE_SECONDS) == 0
        assert first.wait(timeout=PATIENCE_SECONDS) == 0
    assert project.hits() == {1: 60}
    assert [call[2:] for call in project.calls()] == [(1, "done")]


@on_redis
def test_the_shards_of_a_step_are_shared_by_all_workers(project: Project) -> None:
    project.write("steps: [{id: fill, command: add_hits --batch-size 1, shards: 5, queue: QUEUE}]")
    with project.worker("a"), project.worker("b"):
        # One that is late would find that the other one has taken all calls.
        for name in ("a", "b"):
            wait_until(lambda name=name: " ready." in project.output(name), what=f"worker {name} is ready")  # type: ignore[misc]  # mypy infers no type for a lambda with a default
        code, output = project.run("--format", "jsonl")
    assert code == 0, output
    assert project.hits() == {1: 60}
    assert sorted(project.calls()) == [(f"fill[{number}]", 1, 1, "done") for number in range(1, 6)]
    assert project.query("SELECT count(DISTINCT pid) FROM django_runbook_call") == [(2,)]
    events = [json.loads(line) for line in output.splitlines()]
    sums = [one for one in events if one["event"] == "step_progress" and one["step_id"] == "fill"]
    assert (sums[-1]["done_count"], sums[-1]["total_count"]) == (60, 60)


@on_tasks
def test_a_new_run_with_more_workers_keeps_the_shards_of_unfinished_work(project: Project) -> None:
    project.more = {"QUEUES_WORKERS": "1"}
    project.write("steps: [{command: add_hits --batch-size 1 --seconds 0.1, shards: auto, queue: QUEUE}]")
    with project.worker("a") as worker, project.runner() as runner:
        project.wait_for("SELECT 1 FROM django_runbook_checkpoint WHERE finished_at IS NOT NULL")
        for process in (runner, worker):
            os.killpg(process.pid, signal.SIGKILL)
    project.more = {"QUEUES_WORKERS": "3"}
    with project.worker("b"), project.worker("c"):
        # Until the death of the worker is noticed, its call keeps the lock of the runbook.
        wait_until(lambda: project.run()[0] == 0, what="the new run has succeeded")
    assert project.hits() == {1: 60}
    assert project.query("SELECT count(*) FROM django_runbook_checkpoint") == [(8,)]


@pytest.mark.parametrize("engine", ["redis", "tasks"])
def test_a_worker_that_shuts_down_ends_a_call_that_can_be_repeated(project: Project) -> None:
    project.write("steps: [{command: add_effect again --first-seconds 60, idempotent: true, queue: QUEUE}]")
    with project.worker("a") as first, project.runner() as runner:
        project.wait_for("SELECT 1 FROM queueapp_effect")
        first.send_signal(signal.SIGTERM)
        project.wait_for("SELECT 1 FROM django_runbook_call WHERE release_count = 1")
        assert first.wait(timeout=PATIENCE_SECONDS) == 0
        with project.worker("b"):
            assert runner.wait(timeout=PATIENCE_SECONDS) == 0
    assert project.effects() == ["again", "again"]
    assert [call[1:] for call in project.calls()] == [(1, 1, "done")]


@pytest.mark.parametrize("engine", ["redis", "tasks"])
def test_a_worker_that_shuts_down_finishes_a_plain_call(project: Project) -> None:
    # Longer than STOP_TIMEOUT.
    project.write("steps: [{command: add_effect plain --seconds 5, queue: QUEUE}]")
    with project.worker() as worker, project.runner() as runner:
        project.wait_for("SELECT 1 FROM queueapp_effect")
        worker.send_signal(signal.SIGTERM)
        assert runner.wait(timeout=PATIENCE_SECONDS) == 0
        assert worker.wait(timeout=PATIENCE_SECONDS) == 0
    assert project.effects() == ["plain"]
    assert [call[2:] for call in project.calls()] == [(1, "done")]


@on_tasks
@pytest.mark.parametrize("is_done_before", [False, True])
def test_a_resumed_run_takes_over_the_calls_of_a_killed_one(project: Project, *, is_done_before: bool) -> None:
    project.write(
        "steps: [{id: plain, command: add_effect once --seconds 60 --until go, capture: text, queue: QUEUE}, "
        '"say ${{ steps.plain.output }}"]'
    )
    with project.worker():
        with project.runner() as runner:
            project.wait_for("SELECT 1 FROM queueapp_effect")
            os.killpg(runner.pid, signal.SIGKILL)
        if is_done_before:
            project.add_effect("go")
            project.wait_for_status("done")
        text = (project.directory / "run.yml").read_text()
        for options, changed in (
            (["--accept-changes"], text.replace(f", queue: {project.queue}", "")),
            (["--inline"], text),
        ):
            (project.directory / "run.yml").write_text(changed)
            code, output = project.run("--resume", *options)
            assert code == 2, output
            assert 'step "plain" has a call on a worker, which may still run' in output
        (project.directory / "run.yml").write_text(text)
        if not is_done_before:
            assert [call[3] for call in project.calls()] == ["running"]
            project.add_effect("go")
        code, output = project.run("--resume", "--verbosity=2")
    assert code == 0, output
    assert project.effects() == ["once", "go"]
    assert output.count("added once") >= 1
    assert [call[2:] for call in project.calls()] == [(1, "done")]


@on_tasks
def test_another_run_waits_for_the_call_of_a_killed_one_under_the_same_lock(project: Project) -> None:
    text = "lock: {name: effects, on_conflict: KIND}\nsteps: [add_effect NAME]\ndefaults: {queue: QUEUE}"
    first = text.replace("NAME", "first --seconds 60 --until go").replace("KIND", "fail")
    other = text.replace("NAME", "other")
    project.write(first)
    with project.worker("a"), project.worker("b"):
        with project.runner() as runner:
            project.wait_for("SELECT 1 FROM queueapp_effect")
            os.killpg(runner.pid, signal.SIGKILL)
        project.write(other.replace("KIND", "fail"))
        code, output = project.run()
        assert code == 75
        assert 'the lock "effects" is held by a call of run' in output
        assert [call[3] for call in project.calls()] == ["running"]
        project.write(other.replace("KIND", "wait"))
        with project.runner() as runner:
            wait_until(lambda: "is held by a call of run" in project.output("runner"), what="the run waits")
            project.add_effect("go")
            assert runner.wait(timeout=PATIENCE_SECONDS) == 0
        assert [call[3] for call in project.calls()] == ["done", "done"]
    assert project.effects() == ["first", "go", "other"]


@on_tasks
def test_system_checks_run_once_in_a_run_on_a_worker(project: Project) -> None:
    project.secrets = {"QUEUES_CHECKS": str(project.directory / "checks")}
    project.write("defaults: {queue: QUEUE}\nsteps: [add_effect one, add_effect two, add_effect three]")
    counts = []
    with project.worker():
        for _ in range(2):
            assert project.run()[0] == 0
            counts.append((project.directory / "checks").read_text().count("checked"))
    # Once for `db_worker` itself.
    assert counts == [2, 3]


@on_rabbitmq
def test_a_stop_of_the_run_stops_its_calls(project: Project) -> None:
    project.write(
        "steps: [{command: add_effect, args: ['${{ item }}'], options: {seconds: 60}, for_each: [one, two], "
        "max_parallel: 2, queue: QUEUE}]\nfinally: [say tidy]"
    )
    with project.worker(), project.runner("--verbosity=2") as runner:
        project.wait_for("SELECT 1 FROM queueapp_effect")
        # The other branch may be slower to queue its call than the worker is to begin this one.
        wait_until(lambda: len(project.calls()) == 2, what="both calls are queued")
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(timeout=PATIENCE_SECONDS) == 143
        wait_until(lambda: sorted(call[3] for call in project.calls()) == ["cancelled", "done"], what="the calls ended")
    assert "tidy" in project.output("runner")
    assert len(project.effects()) == 1


@on_redis
def test_a_message_that_comes_twice_or_late_does_nothing(project: Project) -> None:
    project.write("steps: [{command: add_effect once, queue: QUEUE}]")
    with project.worker():
        assert project.run()[0] == 0
        (call_id,) = project.query("SELECT id FROM django_runbook_call")[0]
        code = (
            "from django_runbook import conf; "
            "from django_runbook.queues.engines.choice import choose_engine; "
            f"engine = choose_engine(conf.read()); [engine.send({call_id!r}, queue={project.queue!r}) for _ in range(3)]"
        )
        with project.forked(name="send", code=code) as sender:
            assert sender.wait(timeout=PATIENCE_SECONDS) == 0, project.output("send")
        project.write("steps: [{command: add_effect next, queue: QUEUE}]")
        assert project.run()[0] == 0
    assert project.effects() == ["once", "next"]
