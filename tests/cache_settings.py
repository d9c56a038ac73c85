"""Configures the tests with a cache that processes share: in Redis, found through REDIS_URL."""

from tests.services import REDIS_URL
from tests.settings import *  # noqa: F403 - all of them, with another cache

CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
