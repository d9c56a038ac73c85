"""Measures the rounds of `benchmarks.queue` in the process of a run, and prints them as JSON."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEP_COUNT = 20
ROUNDS = 7
SHARD_ROUNDS = 3


def main(what: str) -> None:
    """Measure all sides in turns."""
    import django

    django.setup()
    sides, count = (_round_trip(), ROUNDS) if what == "round_trip" else (_shards(), SHARD_ROUNDS)
    for side in sides.values():
        side()
    print(json.dumps([{name: side() for name, side in sides.items()} for _ in range(count)]))


def _round_trip() -> dict[str, Callable[[], float]]:
    from django.conf import settings

    from django_runbook import conf

    queue = settings.TASKS["default"]["QUEUES"][-1]
    bare = _bare_tasks if conf.read().queue.backend == "tasks" else _bare_celery
    noop = [{"command": "noop"}] * (STEP_COUNT + 1)
    return {
        "round trip": lambda: bare(queue),
        "local step": lambda: _pace(_run({"steps": noop})),
        "queued step": lambda: _pace(_run({"steps": noop, "defaults": {"queue": queue}})),
    }


def _bare_celery(queue: str) -> float:
    from benchmarks.queue_tasks import nothing

    began = time.perf_counter()
    for _ in range(STEP_COUNT):
        nothing.apply_async(queue=queue).get()
    return (time.perf_counter() - began) / STEP_COUNT


def _bare_tasks(queue: str) -> float:
    from benchmarks.queue_tasks import django_nothing

    began = time.perf_counter()
    for _ in range(STEP_COUNT):
        result = django_nothing.using(queue_name=queue).enqueue()
        while not result.is_finished:
            time.sleep(0.01)
            result.refresh()
    return (time.perf_counter() - began) / STEP_COUNT


def _shards() -> dict[str, Callable[[], float]]:
    from django.conf import settings
    from django.core.management import call_command

    queue = settings.TASKS["default"]["QUEUES"][-1]
    step = {"command": "spin_items --batch-size 25", "shards": 8, "queue": queue}
    return {
        "one process": lambda: _seconds(lambda: call_command("spin_items", batch_size=25, stdout=io.StringIO())),
        "two workers": lambda: _seconds(lambda: _run({"steps": [step]})),
    }


def _run(runbook: dict[str, Any]) -> str:
    """Run a runbook, and return the ID of the run."""
    from django.core.management import call_command

    from django_runbook.models import Run

    # JSON is YAML.
    Path("run.yml").write_text(json.dumps(runbook))
    call_command("run_runbook", "run.yml", format="plain", stdout=io.StringIO(), stderr=io.StringIO())
    return Run.objects.latest("started_at").pk


def _pace(run_id: str) -> float:
    """Return the seconds of one step, from the end of the first one: that starts what the others use too."""
    from django_runbook.models import StepRun

    steps = StepRun.objects.filter(run=run_id).order_by("pk")
    ends = [end for end in steps.values_list("finished_at", flat=True) if end is not None]
    return (ends[-1] - ends[0]).total_seconds() / (len(ends) - 1)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1])
