"""Configures a project whose steps run on workers: over PostgreSQL, in a database of the test's own."""

import os
from importlib.util import find_spec

from tests.postgres_settings import *  # noqa: F403 - all of them, on another database
from tests.postgres_settings import POSTGRES
from tests.postgres_settings import RUNBOOK as DEFAULTS

INSTALLED_APPS = ["django_runbook", "tests.testapp", "tests.queues.queueapp", "django_tasks_db"]
if find_spec("django.tasks") is None:
    INSTALLED_APPS.append("django_tasks")
ROOT_URLCONF = "tests.queues.settings"
urlpatterns: list[object] = []
DATABASES = {"default": {**POSTGRES, "NAME": os.environ["QUEUES_DATABASE"]}}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", os.environ["QUEUES_QUEUE"]]}}
RUNBOOK = {
    **DEFAULTS,
    "JOURNAL": True,
    "ISOLATE": True,
    "LOCK": "database",
    "STOP_TIMEOUT": 3,
    "QUEUE": {"BACKEND": os.environ["QUEUES_ENGINE"], "RESEND_SECONDS": 3},
}
CELERY_BROKER_URL = os.environ.get("QUEUES_BROKER", "")
