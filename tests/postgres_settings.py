"""The tests' settings on PostgreSQL, found through PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE."""

import os

from tests.settings import *  # noqa: F403 - all of them, on another database

POSTGRES = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ.get("PGHOST", "127.0.0.1"),
    "PORT": os.environ.get("PGPORT", "5432"),
    "USER": os.environ.get("PGUSER", "postgres"),
    "PASSWORD": os.environ.get("PGPASSWORD", ""),
    "NAME": os.environ.get("PGDATABASE", "postgres"),
}
DATABASES = {"default": POSTGRES}
