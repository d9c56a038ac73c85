"""The settings of a project that records its runs in the database that benchmarks.batch makes and names."""

from benchmarks import batch_settings
from benchmarks.settings import *  # noqa: F403 - all of them, on another database and with history

DATABASES = batch_settings.DATABASES
RUNBOOK = {}
