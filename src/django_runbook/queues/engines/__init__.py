"""Sends calls to the workers of Celery, or of a backend of Django's Tasks framework."""
