"""Configures a project whose steps run on workers, in the database that the environment describes."""

import json
import os
from importlib.util import find_spec

from tests.settings import *  # noqa: F403 - all of them, on another database
from tests.settings import RUNBOOK as DEFAULTS

INSTALLED_APPS = ["django_runbook", "tests.testapp", "tests.queues.queueapp", "django_tasks_db"]
if find_spec("django.tasks") is None:
    INSTALLED_APPS.append("django_tasks")
ROOT_URLCONF = "tests.queues.settings"
urlpatterns: list[object] = []
DATABASES = {"default": json.loads(os.environ["QUEUES_DATABASE"])}
if DATABASES["default"]["ENGINE"].endswith("mysql"):
    import tests.mariadb_settings  # noqa: F401 - the driver under Django's name for it
_ENGINE = os.environ["QUEUES_ENGINE"]
_IS_RELIABLE = "QUEUES_LOSES_MESSAGES" not in os.environ
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", os.environ["QUEUES_QUEUE"]]}}
RUNBOOK = {
    **DEFAULTS,
    "JOURNAL": True,
    "ISOLATE": True,
    # SQLite has no locks; all its processes are on one host.
    "LOCK": "file" if DATABASES["default"]["ENGINE"].endswith("sqlite3") else "database",
    "STOP_TIMEOUT": 3,
    "QUEUE": {"BACKEND": _ENGINE, "RESEND_SECONDS": 3},
}
if not _IS_RELIABLE:
    _OPTIONS = {"path": _ENGINE}
    RUNBOOK["QUEUE"] = {
        "BACKEND": f"{__package__}.losing_engine.LosingEngine",
        "OPTIONS": _OPTIONS,
        "RESEND_SECONDS": 1,
    }
CELERY_BROKER_URL = os.environ.get("QUEUES_BROKER", "")
CELERY_BROKER_TRANSPORT_OPTIONS = json.loads(os.environ.get("QUEUES_BROKER_OPTIONS", "{}"))
