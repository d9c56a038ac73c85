"""Makes the Celery app, whose workers run steps with a queue: ``celery -A flightdesk worker --queues heavy``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flightdesk.settings")
app = Celery("flightdesk")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
