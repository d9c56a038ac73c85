"""The settings of the project whose steps run on workers, with the engine's own results for the bare round trip."""

import os

from tests.queues.settings import *  # noqa: F403 - all of them, with an app and results
from tests.queues.settings import INSTALLED_APPS as APPS

INSTALLED_APPS = [*APPS, "benchmarks"]
CELERY_RESULT_BACKEND = os.environ.get("QUEUES_RESULTS", "")
CELERY_IMPORTS = ["benchmarks.queue_tasks"]
