"""Keeps locks in Redis, each as a key that expires unless it is renewed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.core import checks

from django_runbook.exceptions import InvalidUsage
from django_runbook.locks import namespace
from django_runbook.locks.lease import LAST_HOLDER_SECONDS, LeaseLock

if TYPE_CHECKING:
    import redis
    from redis.lock import Lock

DEFAULT_EXPIRY_SECONDS = 30.0
_MIN_EXPIRY_SECONDS = 1.0


class RedisStore:
    """Stores the token of one lock as a key of Redis, and that of its last holder as another one."""

    label = "Redis"

    def __init__(self, client: redis.Redis, *, key: str, expiry_seconds: float) -> None:
        import redis

        self.errors: tuple[type[Exception], ...] = (redis.RedisError,)
        self.expiry_seconds = expiry_seconds
        self.last_key = f"{key}:last"
        self._client = client
        self._key = key

    def add(self, token: str) -> bool:
        return bool(self._lock().acquire(blocking=False, token=token))

    def get(self) -> str | None:
        found = self._client.get(self._key)
        return None if found is None else _text(found)

    def renew(self, token: str) -> bool:
        from redis.exceptions import LockError

        lock = self._lock()
        lock.local.token = token.encode()
        try:
            return bool(lock.extend(self.expiry_seconds, replace_ttl=True))
        except LockError:
            return False

    def remove(self, token: str) -> None:
        from redis.exceptions import LockError

        with contextlib.suppress(LockError):
            self._lock().do_release(token)

    def swap_last(self, token: str) -> str:
        with self._client.pipeline() as pipeline:
            pipeline.getset(self.last_key, token)
            pipeline.expire(self.last_key, LAST_HOLDER_SECONDS)
            return _text(pipeline.execute()[0] or "")

    def forget_last(self) -> None:
        self._client.delete(self.last_key)

    def uptime_seconds(self) -> float:
        return float(self._client.info("server")["uptime_in_seconds"])

    def disconnect(self) -> None:
        self._client.connection_pool.disconnect(inuse_connections=False)

    def _lock(self) -> Lock:
        lock: Lock = self._client.lock(self._key, timeout=self.expiry_seconds, thread_local=False)
        return lock


class RedisLocks:
    """Makes the locks of the backend ``redis``, shared by all processes that use one Redis, on any host.

    Keys begin with ``prefix``; the default contains the name of the project's database, so that projects can share a
    Redis. The Redis must not evict keys before they expire (``maxmemory-policy``), as caches do.
    """

    def __init__(
        self,
        *,
        what: str = "",
        url: object = None,
        expiry_seconds: object = DEFAULT_EXPIRY_SECONDS,
        prefix: object = None,
    ) -> None:
        if not isinstance(url, str):
            raise InvalidUsage('the redis locks need the option "url", as in "redis://127.0.0.1:6379/0"')
        if prefix is not None and not isinstance(prefix, str):
            raise InvalidUsage('the option "prefix" of the redis locks must be a string')
        self._url = url
        self._expiry_seconds = _expiry(expiry_seconds)
        self._client = _client(url, timeout_seconds=self._expiry_seconds / 6)
        self._prefix = prefix
        self._what = what

    def __call__(self, name: str) -> LeaseLock:
        # The path of a file may contain bytes that are not UTF-8.
        key = f"{self._whole_prefix}:{name}".encode(errors="backslashreplace").decode()
        return LeaseLock(
            name, store=RedisStore(self._client, key=key, expiry_seconds=self._expiry_seconds), what=self._what
        )

    @property
    def identity(self) -> str:
        """Identify these locks, without the password of the Redis."""
        options = self._client.connection_pool.connection_kwargs
        address = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        return f"redis {address}/{options.get('db') or 0} {self._whole_prefix}"

    @property
    def _whole_prefix(self) -> str:
        return f"django_runbook:{namespace.shared_namespace()}" if self._prefix is None else self._prefix

    def check(self) -> Sequence[checks.CheckMessage]:
        """Check that no cache uses the same Redis database."""
        shared = [alias for alias, cache in settings.CACHES.items() if self._url in _locations(cache)]
        if not shared:
            return []
        message = f'The cache "{shared[0]}" is in the same Redis database as the runbook locks: clearing it frees them.'
        hint = "Give the locks a database of their own, as in redis://127.0.0.1:6379/1, which keeps all its keys."
        return [checks.Warning(message, hint=hint, id="django_runbook.W002")]


def _locations(cache: Mapping[str, object]) -> list[str]:
    location = cache.get("LOCATION")
    # As in Django's cache: several servers in a list, or in one string.
    if isinstance(location, list | tuple):
        return [str(server) for server in location]
    return re.split("[;,]", str(location or ""))


def _text(value: object) -> str:
    # The URL may ask the client to decode responses.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _expiry(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= _MIN_EXPIRY_SECONDS:
        raise InvalidUsage('the option "expiry_seconds" of the redis locks must be a number of seconds, at least 1')
    return float(seconds)


def _client(url: str, *, timeout_seconds: float) -> redis.Redis:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise InvalidUsage("the redis locks need the package redis: pip install django-runbook[redis]") from error
    try:
        # `LeaseLock` retries: retries of the client would outlast the lease.
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise InvalidUsage(f'the option "url" of the redis locks cannot be used: {error}') from error
