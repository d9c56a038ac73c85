"""Configures a project whose steps run on workers, in the database that the environment describes."""

import json
import os
from importlib.util import find_spec

from tests import tracing
from tests.settings import *  # noqa: F403 - all of them, on another database
from tests.settings import RUNBOOK as DEFAULTS

# A process of the tests imports them once for all workers.
TEMPLATE_IMPORTS = [
    "celery.app.control",
    "celery.app.log",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.worker.consumer",
    "django_runbook.queues.call_ending",
    "django_runbook.queues.queue_executor",
    "django_runbook.queues.setup",
    "django_runbook.queues.worker",
    "django_tasks_db.management.commands.db_worker",
    "kombu.transport.pyamqp",
    "kombu.transport.redis",
]
INSTALLED_APPS = ["django_runbook", "tests.testapp", "tests.queues.queueapp", "django_tasks_db"]
if find_spec("django.tasks") is None:
    INSTALLED_APPS.append("django_tasks")
ROOT_URLCONF = "tests.queues.settings"
urlpatterns: list[object] = []
DATABASES = {"default": json.loads(os.environ["QUEUES_DATABASE"])}
if DATABASES["default"]["ENGINE"].endswith("mysql"):
    import tests.mariadb_settings  # noqa: F401 - the driver under Django's name for it
_ENGINE = os.environ["QUEUES_ENGINE"]
_BACKEND = os.environ.get("QUEUES_TASKS_BACKEND", "django_tasks_db.DatabaseBackend")
TASKS = {"default": {"BACKEND": _BACKEND, "QUEUES": ["default", os.environ["QUEUES_QUEUE"]]}}
_QUEUE: dict[str, object] = {
    "BACKEND": _ENGINE,
    "RESEND_SECONDS": float(os.environ.get("QUEUES_RESEND_SECONDS", "3")),
}
if "QUEUES_VERSION" in os.environ:
    _QUEUE |= {"VERSION": os.environ["QUEUES_VERSION"], "REFUSES_OTHER_VERSION": True}
    _QUEUE["VERSION_WAIT_SECONDS"] = float(os.environ.get("QUEUES_VERSION_WAIT", "600"))
if "QUEUES_WORKERS" in os.environ:
    _QUEUE["WORKERS"] = int(os.environ["QUEUES_WORKERS"])
if "QUEUES_LOSES_MESSAGES" in os.environ:
    _QUEUE |= {"BACKEND": f"{__package__}.losing_engine.LosingEngine", "OPTIONS": {"path": _ENGINE}}
RUNBOOK = {
    **DEFAULTS,
    "JOURNAL": True,
    "ISOLATE": True,
    # SQLite has no locks; all its processes are on one host.
    "LOCK": "file" if DATABASES["default"]["ENGINE"].endswith("sqlite3") else "database",
    "STOP_TIMEOUT": 3,
    "QUEUE": _QUEUE,
}
if tracing.VARIABLE in os.environ:
    RUNBOOK["REPORTERS"] = {"traces": tracing.REPORTER}
CELERY_BROKER_URL = os.environ.get("QUEUES_BROKER", "")
CELERY_BROKER_TRANSPORT_OPTIONS = json.loads(os.environ.get("QUEUES_BROKER_OPTIONS", "{}"))
CELERY_TASK_ALWAYS_EAGER = "QUEUES_EAGER" in os.environ
