"""Configures the Flight desk: SQLite with workers on this host, or PostgreSQL with Celery; and an alias for reports.

FLIGHTDESK_POSTGRES, as in "postgres:5432", and FLIGHTDESK_BROKER, as in "redis://redis:6379/0", choose the latter.
`reporters.py` lists the variables that say who is notified of runs.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django

from flightdesk.reporters import logging_settings, reporters, set_up_sentry

BASE_DIR = Path(__file__).resolve().parent.parent
# Everything that a run makes: the database, reports, mails, site maps.
VAR_DIR = Path(os.environ.get("FLIGHTDESK_VAR") or BASE_DIR / "var").absolute()
VAR_DIR.mkdir(parents=True, exist_ok=True)

SECRET_KEY = "a public key, for the example only"
# Off unless asked for: with it Django keeps the text of each query, so that a long import grows in memory.
DEBUG = os.environ.get("FLIGHTDESK_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "flightdesk.urls"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_runbook",
    "django_tasks_db",
    "flights",
]
if find_spec("django.tasks") is None:
    INSTALLED_APPS.append("django_tasks")
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
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

_DATABASE = VAR_DIR / "flightdesk.sqlite3"
_SQLITE = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _DATABASE,
        "OPTIONS": {
            "timeout": 20,
            # The first statement takes the write lock and waits for it, instead of failing when it is needed.
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    },
    # What a replica is to a larger shop: the same data, and no way to change it.
    "replica": {
        "ENGINE": "django.db.backends.sqlite3",
        # Quoted as a URI: a "#" or "?" in a folder's name would hide the mode, and SQLite would open another file.
        "NAME": f"{_DATABASE.as_uri()}?mode=ro",
        "OPTIONS": {"uri": True, "timeout": 20},
        "TEST": {"MIRROR": "default"},
    },
}


def _postgres(address: str) -> dict[str, dict[str, Any]]:
    host, _, port = address.partition(":")
    default = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": host,
        "PORT": port or "5432",
        "NAME": os.environ.get("FLIGHTDESK_POSTGRES_NAME", "flightdesk"),
        "USER": os.environ.get("FLIGHTDESK_POSTGRES_USER", "flightdesk"),
        "PASSWORD": os.environ.get("FLIGHTDESK_POSTGRES_PASSWORD", ""),
    }
    read_only = {"options": "-c default_transaction_read_only=on"}
    return {"default": default, "replica": {**default, "OPTIONS": read_only, "TEST": {"MIRROR": "default"}}}


_POSTGRES = os.environ.get("FLIGHTDESK_POSTGRES")
DATABASES = _postgres(_POSTGRES) if _POSTGRES else _SQLITE
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "America/New_York"
LANGUAGE_CODE = "en-us"
STATIC_URL = "static/"

_MAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": _MAIL_BACKEND, "OPTIONS": {"file_path": VAR_DIR / "mail"}}}
else:
    EMAIL_BACKEND = _MAIL_BACKEND
    EMAIL_FILE_PATH = VAR_DIR / "mail"
DEFAULT_FROM_EMAIL = "flightdesk@example.com"

# Workers are `manage.py db_worker` processes, which need no service, or Celery's.
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "heavy"]}}
CELERY_BROKER_URL = os.environ.get("FLIGHTDESK_BROKER", "")

# The last run of each runbook, as a file for Prometheus.
METRICS_DIR = VAR_DIR / "metrics"
METRICS_DIR.mkdir(exist_ok=True)
set_up_sentry(os.environ)
LOGGING = logging_settings(os.environ)

RUNBOOK = {
    "DIRS": [BASE_DIR.parent / "runbooks"],
    "QUEUE": "celery" if CELERY_BROKER_URL else "tasks",
    "REPORTERS": reporters(os.environ, metrics=METRICS_DIR),
}
if not _POSTGRES:
    # All workers run on this host, because the history is in SQLite.
    SILENCED_SYSTEM_CHECKS = ["django_runbook.W433"]
