"""Configures the tests of state on SQLite, in a file of the test's own."""

import os

from tests.settings import *  # noqa: F403 - all of them, on another database

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["STATE_DATABASE"]}}
