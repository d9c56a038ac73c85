"""Configures the kill test: enables the journal in the database that the environment names."""

import json
import os

from tests.settings import *  # noqa: F403 - all of them, on another database
from tests.settings import INSTALLED_APPS as ALL_APPS
from tests.settings import RUNBOOK as FILE_LOCKS

_DATABASE = json.loads(os.environ["KILL_TEST_DATABASE"])
DATABASES = {"default": _DATABASE}
if _DATABASE["ENGINE"].endswith("mysql"):
    import tests.mariadb_settings  # noqa: F401 - the driver under Django's name for it

INSTALLED_APPS = [app for app in ALL_APPS if app in {"django_runbook", "tests.testapp"}]
# The locks of a typical project: those of the database if it has locks.
_LOCK = FILE_LOCKS["LOCK"] if _DATABASE["ENGINE"].endswith("sqlite3") else "auto"
RUNBOOK = {"JOURNAL": True, "STOP_TIMEOUT": 2, "LOCK": _LOCK}
# Their admin is not installed.
ROOT_URLCONF = "tests.journal.kill_settings"
urlpatterns: list[object] = []
