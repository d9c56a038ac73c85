"""Configures a project that calls runbooks from a worker: the journal is on, in a file of the test's own."""

import os
from importlib.util import find_spec

from tests.settings import *  # noqa: F403 - all of them, on another database
from tests.settings import RUNBOOK as DEFAULTS

INSTALLED_APPS = ["django_runbook", "tests.testapp", "django_tasks_db"]
if find_spec("django.tasks") is None:
    INSTALLED_APPS.append("django_tasks")
ROOT_URLCONF = "tests.hosts.settings"
urlpatterns: list[object] = []
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["HOSTS_DATABASE"],
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
RUNBOOK = {**DEFAULTS, "JOURNAL": True, "ISOLATE": True}
