"""Configures the test project as a site for a browser: a database in a file, and the strictest content policy."""

import os

from tests.settings import *  # noqa: F403 - all of them
from tests.settings import MIDDLEWARE as _MIDDLEWARE

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["BROWSER_SITE_DATABASE"],
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"},
    }
}
ALLOWED_HOSTS = ["127.0.0.1"]
MIDDLEWARE = ["tests.policy.strict_policy", *_MIDDLEWARE]
