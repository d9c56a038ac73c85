"""Is the project of the Flight desk. With a broker, Celery is set up before Django, so that a run finds its app."""

import os

if os.environ.get("FLIGHTDESK_BROKER"):
    from flightdesk import celery  # noqa: F401 - the app becomes the current one
