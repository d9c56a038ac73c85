"""Configures the test project: SQLite in a file, with a replica that mirrors it."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import django

SECRET_KEY = "a public key, for tests only"
# Of the example project, whose app is tested here too; tests that write set a folder of their own.
BASE_DIR = Path(__file__).resolve().parent.parent / "example_project"
VAR_DIR = BASE_DIR / "var"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
ROOT_URLCONF = "tests.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.sitemaps",
    "django.contrib.staticfiles",
    "django_runbook",
    "flights",
    "tests.testapp",
    "tests.batchapp",
]
SITE_ID = 1

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}

# A folder of this test run's own, or of each of its workers, which the processes that it starts share: two at a time
# must not wait for each other.
_NAME = f"RUNBOOK_TEST_LOCKS_{os.environ.get('PYTEST_XDIST_WORKER', '')}"
LOCK_DIR = os.environ.get(_NAME)
if LOCK_DIR is None:
    LOCK_DIR = os.environ[_NAME] = tempfile.mkdtemp(prefix="runbook-locks-")
    _OWNER, _MADE = os.getpid(), LOCK_DIR

    @atexit.register
    def _remove() -> None:
        # A process that a test forks ends too, and is not the last that needs it.
        if os.getpid() == _OWNER:
            shutil.rmtree(_MADE, ignore_errors=True)


# A file, since steps in processes of their own cannot see a database in memory. It is the same for the tests and for
# the processes that they start: its name tells the locks of projects apart.
# What is written survives the end of its process without being flushed to the disk.
_OPTIONS = {"init_command": "PRAGMA synchronous = OFF"}
DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{LOCK_DIR}/test.sqlite3",
        "OPTIONS": _OPTIONS,
        "TEST": {"NAME": f"{LOCK_DIR}/test.sqlite3"},
    },
    "replica": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{LOCK_DIR}/test.sqlite3",
        "OPTIONS": _OPTIONS,
        "TEST": {"MIRROR": "default"},
    },
}

# Most tests have no database; those of the journal turn it on. The starter of a process decides where steps run.
RUNBOOK: dict[str, object] = {
    "JOURNAL": False,
    "ISOLATE": os.environ.get("RUNBOOK_TEST_ISOLATE") == "1",
    "LOCK": {"BACKEND": "file", "OPTIONS": {"directory": LOCK_DIR}},
}
if "STOP_TIMEOUT" in os.environ:
    RUNBOOK["STOP_TIMEOUT"] = float(os.environ["STOP_TIMEOUT"])
