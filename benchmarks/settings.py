"""The settings of a small project for the benchmarks: the apps that nearly every project has."""

SECRET_KEY = "for benchmarks only"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_runbook",
    "tests.testapp",
]
