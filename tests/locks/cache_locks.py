"""Keeps locks in Django's cache: a small backend of expiring locks, as a project may have one."""

from __future__ import annotations

import hashlib
from typing import Any

import redis
from django.core.cache import caches

from django_runbook.locks.base import name_bytes
from django_runbook.locks.lease import LAST_HOLDER_SECONDS, LeaseLock


class CacheLocks:
    """Makes locks by their names."""

    def __init__(self, *, what: str = "", alias: str = "default", expiry_seconds: float = 30.0) -> None:
        self._what = what
        self._alias = alias
        self._expiry_seconds = expiry_seconds
        self.identity = f"cache {alias}"

    def __call__(self, name: str) -> LeaseLock:
        store = CacheStore(self._alias, name, expiry_seconds=self._expiry_seconds)
        return LeaseLock(name, store=store, what=self._what)


class CacheStore:
    """Stores the token of one lock; memcached accepts short keys only, hence the digest."""

    label = "the cache"
    errors: tuple[type[Exception], ...] = (redis.RedisError,)

    def __init__(self, alias: str, name: str, *, expiry_seconds: float) -> None:
        self.expiry_seconds = expiry_seconds
        self._alias = alias
        self._key = f"runbook-lock-{hashlib.sha256(name_bytes(name)).hexdigest()}"

    @property
    def _cache(self) -> Any:
        # Each thread has a connection of its own.
        return caches[self._alias]

    def add(self, token: str) -> bool:
        return bool(self._cache.add(self._key, token, timeout=self.expiry_seconds))

    def get(self) -> str | None:
        found: str | None = self._cache.get(self._key)
        return found

    def renew(self, token: str) -> bool:
        return self.get() == token and bool(self._cache.touch(self._key, timeout=self.expiry_seconds))

    def remove(self, token: str) -> None:
        if self.get() == token:
            self._cache.delete(self._key)

    def swap_last(self, token: str) -> str:
        previous = str(self._cache.get(f"{self._key}-last", ""))
        self._cache.set(f"{self._key}-last", token, timeout=LAST_HOLDER_SECONDS)
        return previous

    def forget_last(self) -> None:
        self._cache.delete(f"{self._key}-last")

    def uptime_seconds(self) -> float:
        # A cache may forget keys at any time.
        return 0.0

    def disconnect(self) -> None:
        self._cache.close()
