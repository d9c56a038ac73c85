"""Configures the project whose runs are interrupted, on the database that the environment names."""

import json
import os

SECRET_KEY = "a public key, for tests only"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": json.loads(os.environ["WALK_DATABASE"])}
INSTALLED_APPS = ["django_runbook", "tests.interruptions", "tests.testapp"]
RUNBOOK = {"LOCK": "database"}
