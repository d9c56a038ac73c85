"""Makes the Celery application of the project, which finds the task of django-runbook by itself."""

from __future__ import annotations

from typing import Any

import django
from celery import Celery

django.setup()
app: Any = Celery("queues")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
