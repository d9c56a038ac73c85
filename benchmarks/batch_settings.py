"""The settings of a project with one database, which benchmarks.batch makes and names."""

import os

from benchmarks.settings import *  # noqa: F403 - all of them, on another database
from benchmarks.settings import INSTALLED_APPS as APPS

INSTALLED_APPS = [*APPS, "tests.batchapp"]
DATABASES = {
    "default": {
        "ENGINE": f"django.db.backends.{'sqlite3' if os.environ['BENCHMARK_ENGINE'] == 'sqlite' else 'postgresql'}",
        "NAME": os.environ["BENCHMARK_DATABASE"],
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        "PORT": os.environ.get("PGPORT", ""),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
