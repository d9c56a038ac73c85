"""A lock as a key of Redis that expires: a lease, which a thread of ours keeps renewing."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.core import checks

from django_runbook.exceptions import InvalidUsage, LockUnavailable
from django_runbook.locks import space
from django_runbook.locks.base import Holder

if TYPE_CHECKING:
    import redis
    from redis.lock import Lock as Lease

DEFAULT_EXPIRY_SECONDS = 30.0
_MIN_EXPIRY_SECONDS = 1.0


class RedisLock:
    """The lock of a name in one Redis.

    Its token tells of the holder, so that the two are there and gone together. Whoever is stopped for longer than
    the expiry has lost it: `is_held` is false from then on, by our own monotonic clock, whatever Redis says later.
    """

    def __init__(self, name: str, *, client: redis.Redis, key: str, expiry_seconds: float, what: str = "") -> None:
        self.name = name
        self._client = client
        self._key = key
        self._expiry_seconds = expiry_seconds
        self._what = what
        self._held: _Held | None = None

    def acquire(self) -> Holder | None:
        import redis

        if self._held is not None:
            raise RuntimeError(f'the lock "{self.name}" is held already')
        token = f"{uuid.uuid4().hex} {Holder.here(what=self._what).as_json()}"
        lease = self._client.lock(self._key, timeout=self._expiry_seconds, thread_local=False)
        try:
            asked_at = time.monotonic()
            while not lease.acquire(blocking=False, token=token):
                text = self._client.get(self._key)
                if text is not None:
                    return _holder(text)
                # It was freed, or it expired, between the two questions.
                asked_at = time.monotonic()
        except redis.RedisError as error:
            # It may be ours, and just the answer was lost: nobody would renew it, and nobody else could have it.
            with contextlib.suppress(redis.RedisError):
                lease.do_release(token)
            raise LockUnavailable(f"the locks in Redis cannot be used: {error}") from error
        self._held = _Held(lease, expiry_seconds=self._expiry_seconds, renewed_at=asked_at)
        return None

    def is_held(self) -> bool:
        return self._held is not None and self._held.is_good

    @property
    def good_until(self) -> float:
        """Until when it is ours at the least, by the monotonic clock."""
        return self._held.good_until if self._held is not None else 0.0

    def release(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            held.end()


class _Held:
    """A lease that has been taken, with the thread that renews it at a third of its time."""

    def __init__(self, lease: Lease, *, expiry_seconds: float, renewed_at: float) -> None:
        self._lease = lease
        self._expiry_seconds = expiry_seconds
        self.good_until = renewed_at + expiry_seconds
        self._pid = os.getpid()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="runbook-lock", daemon=True)
        self._thread.start()

    @property
    def is_good(self) -> bool:
        # A process that was forked has no thread that renews, and is not the holder.
        return os.getpid() == self._pid and not self._is_over.is_set() and time.monotonic() < self.good_until

    def end(self) -> None:
        import redis

        if os.getpid() != self._pid:
            return
        self._is_over.set()
        # Else a renewal that is under way could come after the release.
        self._thread.join()
        # Where it is not ours any more, or Redis is away, it expires by itself.
        with contextlib.suppress(redis.RedisError):
            self._lease.release()
        # No open connection is left to whoever throws the client away; a lock that is still held connects again.
        self._lease.redis.connection_pool.disconnect(inuse_connections=False)

    def _renew(self) -> None:
        import redis
        from redis.exceptions import LockError

        pause = self._expiry_seconds / 3
        while not self._is_over.wait(pause):
            asked_at = time.monotonic()
            if asked_at >= self.good_until:
                break
            try:
                self._lease.extend(self._expiry_seconds, replace_ttl=True)
            except LockError:
                break
            except redis.RedisError:
                # Redis is away, perhaps for a moment: ask often, as long as the lease may still be ours.
                pause = self._expiry_seconds / 30
                continue
            self.good_until = asked_at + self._expiry_seconds
            pause = self._expiry_seconds / 3
        self._is_over.set()


class RedisLocks:
    """The backend ``redis``: locks that all processes share which use one Redis, from whatever host.

    ``prefix`` is what the keys begin with; by default it names the database of the project too, so that projects
    can share a Redis. It must not be one that forgets keys before they expire (``maxmemory-policy``), as caches do.
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
            raise InvalidUsage('the option "prefix" of the redis locks must be a text')
        self._url = url
        self._expiry_seconds = _expiry(expiry_seconds)
        self._client = _client(url, timeout_seconds=self._expiry_seconds / 6)
        self._prefix = prefix
        self._what = what

    def __call__(self, name: str) -> RedisLock:
        prefix = f"django_runbook:{space.on_any_host()}" if self._prefix is None else self._prefix
        return RedisLock(
            name,
            client=self._client,
            key=f"{prefix}:{name}",
            expiry_seconds=self._expiry_seconds,
            what=self._what,
        )

    def check(self) -> Sequence[checks.CheckMessage]:
        """What a project should know about these locks."""
        shared = [alias for alias, cache in settings.CACHES.items() if self._url in _locations(cache)]
        if not shared:
            return []
        message = f'The cache "{shared[0]}" is in the same Redis database as the runbook locks: clearing it frees them.'
        hint = "Give the locks a database of their own, as in redis://127.0.0.1:6379/1, which keeps all its keys."
        return [checks.Warning(message, hint=hint, id="django_runbook.W002")]


def _locations(cache: Mapping[str, object]) -> list[str]:
    location = cache.get("LOCATION")
    # As Django's own cache has it: several servers in a list, or in one text.
    if isinstance(location, list | tuple):
        return [str(server) for server in location]
    return re.split("[;,]", str(location or ""))


def _holder(token: object) -> Holder:
    # The URL can ask the client for texts.
    text = token.decode(errors="replace") if isinstance(token, bytes) else str(token)
    return Holder.of_json(text.partition(" ")[2])


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
        # We try again ourselves: the client's own patience would outlast the lease.
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise InvalidUsage(f'the option "url" of the redis locks cannot be used: {error}') from error
