"""The setting QUEUE chooses an engine, or says what is wrong with it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from django_runbook import conf
from django_runbook.exceptions import InvalidUsage
from django_runbook.queues.engines.choice import choose_engine

FRAMEWORK = "django.tasks" if find_spec("django.tasks") else "django_tasks"
IMMEDIATE = f"{FRAMEWORK}.backends.immediate.ImmediateBackend"
DUMMY = f"{FRAMEWORK}.backends.dummy.DummyBackend"


class OwnEngine:
    """Is the engine of a project."""

    name, queues, problem, local_reason = "own", frozenset(("heavy",)), "", ""

    def __init__(self, *, url: str = "") -> None:
        self.url = url

    def send(self, call_id: str, *, queue: str) -> None: ...


@pytest.fixture(autouse=True)
def without_tasks(settings: Any) -> None:
    settings.TASKS = {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("celry", 'unknown engine "celry"; did you mean "celery"?'),
        ("no.such.Engine", 'the engine "no.such.Engine" cannot be imported'),
        ({"BACKEND": "celery", "OPTIONS": {"apps": "x"}}, 'the OPTIONS do not fit "celery"'),
        ({"BACKEND": "auto", "OPTIONS": {"app": "x"}}, '"auto" has no OPTIONS'),
        ({"BACKENDS": "celery"}, 'has no key "BACKENDS"; did you mean "BACKEND"?'),
        ({"BACKEND": 5}, '["BACKEND"] must be the name'),
        ({"RESEND_SECONDS": "x"}, '["RESEND_SECONDS"] must be a number of seconds'),
        ({"VERSION": 5}, '["VERSION"] must be a string'),
        (5, "must be the name of an engine, or a dictionary"),
    ],
)
def test_a_wrong_setting_is_refused(settings: Any, value: object, message: str) -> None:
    settings.RUNBOOK = {"QUEUE": value}
    with pytest.raises(InvalidUsage) as caught:
        choose_engine(conf.read())
    assert message in str(caught.value)


def test_an_engine_of_the_project_gets_its_options(settings: Any) -> None:
    path = f"{__name__}.OwnEngine"
    settings.RUNBOOK = {"QUEUE": {"BACKEND": path, "OPTIONS": {"url": "x"}}}
    engine: Any = choose_engine(conf.read())
    assert (type(engine).__name__, engine.url) == ("OwnEngine", "x")


@pytest.mark.parametrize(
    ("backend", "problem", "local_reason"),
    [
        (IMMEDIATE, "", 'the backend "default" of TASKS is the ImmediateBackend'),
        (DUMMY, 'the backend "default" of TASKS is the DummyBackend, which never runs a task', ""),
    ],
)
def test_a_backend_without_workers_says_so(settings: Any, backend: str, problem: str, local_reason: str) -> None:
    settings.TASKS = {"default": {"BACKEND": backend, "QUEUES": ["a", "b"]}}
    settings.RUNBOOK = {"QUEUE": "tasks"}
    engine = choose_engine(conf.read())
    assert engine is not None
    assert (engine.problem, engine.local_reason) == (problem, local_reason)
    assert engine.queues == {"a", "b"}


def test_an_eager_celery_runs_steps_on_this_host(settings: Any) -> None:
    from celery import Celery

    app = Celery("eager", broker="memory://", set_as_current=False, fixups=[])
    app.conf.task_always_eager = True
    settings.RUNBOOK = {"QUEUE": {"BACKEND": "celery", "OPTIONS": {"app": f"{__name__}.EAGER"}}}
    globals()["EAGER"] = app
    engine = choose_engine(conf.read())
    assert engine is not None
    assert engine.local_reason == "CELERY_TASK_ALWAYS_EAGER is on"
