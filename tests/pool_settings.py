"""Configures the tests on PostgreSQL with Django's pool of connections."""

from tests.postgres_settings import *  # noqa: F403 - all of them, with a pool
from tests.postgres_settings import POSTGRES

DATABASES = {"default": {**POSTGRES, "OPTIONS": {"pool": {"min_size": 1, "max_size": 2}}}}
