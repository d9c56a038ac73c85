"""Configures the Flight desk: SQLite, with a read-only alias for reports."""

import os
from pathlib import Path

import django

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
    "flights",
]
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
DATABASES = {
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

RUNBOOK = {"DIRS": [BASE_DIR.parent / "runbooks"]}
