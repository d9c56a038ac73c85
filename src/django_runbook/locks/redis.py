"""Hold a lock as a key of Redis that expires: a lease, which a thread of ours keeps renewing."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core import checks

from django_runbook.exceptions import InvalidUsage, LockUnavailable
from django_runbook.locks import space
from django_runbook.locks.base import PATIENCE_SECONDS, Holder, LockState, Patience, Probe

if TYPE_CHECKING:
    import redis
    from redis.lock import Lock as Lease

DEFAULT_EXPIRY_SECONDS = 30.0
_MIN_EXPIRY_SECONDS = 1.0
# For so long it is remembered who was the last to acquire a lock, in case another one lost it meanwhile.
_TRACE_SECONDS: Final = 86_400


class RedisLock:
    """Holds the lock of a name in one Redis.

    Its token names the holder, so that the two appear and disappear together. Whoever is stopped for longer than
    the expiry has lost it: `is_held` is false from then on, by our own monotonic clock, whatever Redis says later.
    Beside the lock, ``trace_key`` says who was the last to acquire it.
    """

    def __init__(self, name: str, *, client: redis.Redis, key: str, expiry_seconds: float, what: str = "") -> None:
        self.name = name
        self.trace_key = f"{key}:last"
        self._client = client
        self._key = key
        self._expiry_seconds = expiry_seconds
        self._what = what
        self._held: _Held | None = None
        self._pid = 0
        self._is_lost = False
        self._patience = Patience()
        # A watcher keeps the lock while the thread that holds it may release it.
        self._guard = threading.RLock()

    def acquire(self) -> Holder | None:
        import redis

        with self._guard:
            if self._held is not None:
                raise RuntimeError(f'the lock "{self.name}" is held already')
            token = f"{uuid.uuid4().hex} {Holder.here(what=self._what).as_json()}"
            try:
                return self._acquire(token)
            except redis.RedisError as error:
                self._give_up(token)
                raise _unavailable(error) from error

    def is_held(self) -> bool:
        if self._is_of_a_parent:
            return False
        with self._guard:
            return self._held is not None and self._held.is_good

    def keep(self) -> LockState:
        import redis

        if self._is_of_a_parent:
            return LockState.LOST
        with self._guard:
            if self._held is None or self._is_lost:
                return LockState.LOST
            if self._held.is_good:
                return LockState.HELD
            self._patience.begin()
            try:
                state = self._retake(self._held)
            except redis.RedisError:
                self._give_up(self._held.token)
                state = self._patience.answer
            if state is LockState.RETAKEN:
                self._patience.end()
            self._is_lost = state is LockState.LOST
            return state

    def probe(self) -> Probe:
        import redis

        try:
            if self._client.exists(self._key):
                return Probe.HELD
            uptime_seconds = self._client.info("server")["uptime_in_seconds"]
        except redis.RedisError as error:
            raise _unavailable(error) from error
        finally:
            self._disconnect()
        # A Redis that was restarted may have lost its keys, and those who held locks are about to get them back.
        return Probe.FREE if uptime_seconds > PATIENCE_SECONDS else Probe.UNKNOWN

    @property
    def good_until(self) -> float:
        """Return until when it is ours at the least, by the monotonic clock."""
        return self._held.good_until if self._held is not None else 0.0

    def release(self) -> None:
        if self._is_of_a_parent:
            return
        with self._guard:
            if self._held is not None:
                held, self._held, self._pid = self._held, None, 0
                self._is_lost = False
                self._patience.end()
                held.end()
                # No open connection is left to whoever drops the client; a lock that is held connects again.
                self._disconnect()

    def discard(self) -> None:
        import redis

        if self._is_of_a_parent:
            return
        with self._guard:
            if self.is_held():
                # A trace that stays expires.
                with contextlib.suppress(redis.RedisError):
                    self._client.delete(self.trace_key)
            self.release()

    @property
    def _is_of_a_parent(self) -> bool:
        """Whether this process was forked from the holder; it has no thread that renews, and is not the holder."""
        return self._pid not in {0, os.getpid()}

    def _acquire(self, token: str) -> Holder | None:
        while True:
            lease = self._client.lock(self._key, timeout=self._expiry_seconds, thread_local=False)
            asked_at = time.monotonic()
            if lease.acquire(blocking=False, token=token):
                break
            text = self._client.get(self._key)
            if text is not None:
                return _holder(text)
            # It was released, or it expired, between the two questions.
        before = self._leave_trace(token)
        self._held = _Held(lease, token=token, before=before, expiry_seconds=self._expiry_seconds, renewed_at=asked_at)
        self._pid = os.getpid()
        return None

    def _leave_trace(self, token: str) -> str:
        """Note that we were the last to acquire it; returns the token of who was before, empty if that is not known."""
        with self._client.pipeline() as pipeline:
            pipeline.getset(self.trace_key, token)
            pipeline.expire(self.trace_key, _TRACE_SECONDS)
            return _text(pipeline.execute()[0] or "")

    def _retake(self, held: _Held) -> LockState:
        """Acquire it again, unless the trace is somebody else's; a Redis that lost its data has no trace."""
        held.end_renewing()
        # What is still there by our token was ours all the time, although we could not know.
        held.release()
        if self._acquire(held.token) is not None:
            return LockState.LOST
        if self._held is not None and self._held.before not in {"", held.token}:
            self._held.end()
            return LockState.LOST
        return LockState.RETAKEN

    def _give_up(self, token: str) -> None:
        """Free what may be ours although its answer was lost: nobody would renew it, and nobody else could have it."""
        import redis

        with contextlib.suppress(redis.RedisError):
            self._client.lock(self._key, timeout=self._expiry_seconds, thread_local=False).do_release(token)

    def _disconnect(self) -> None:
        self._client.connection_pool.disconnect(inuse_connections=False)


class _Held:
    """Keeps a lease that has been acquired, with a thread that renews it at a third of its time."""

    def __init__(self, lease: Lease, *, token: str, before: str, expiry_seconds: float, renewed_at: float) -> None:
        self.token = token
        # Who was the last to acquire it before.
        self.before = before
        self.good_until = renewed_at + expiry_seconds
        self._lease = lease
        self._expiry_seconds = expiry_seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="runbook-lock", daemon=True)
        self._thread.start()

    @property
    def is_good(self) -> bool:
        return not self._is_over.is_set() and time.monotonic() < self.good_until

    def end(self) -> None:
        # Else a renewal that is under way could come after the release.
        self.end_renewing()
        self.release()

    def end_renewing(self) -> None:
        self._is_over.set()
        self._thread.join()

    def release(self) -> None:
        """Delete the key if it is ours; if Redis is away, it expires by itself."""
        import redis

        with contextlib.suppress(redis.RedisError):
            self._lease.release()

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
    """Makes the locks of the backend ``redis``, which all processes share that use one Redis, from whatever host.

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
            raise InvalidUsage('the option "prefix" of the redis locks must be a string')
        self._url = url
        self._expiry_seconds = _expiry(expiry_seconds)
        self._client = _client(url, timeout_seconds=self._expiry_seconds / 6)
        self._prefix = prefix
        self._what = what

    def __call__(self, name: str) -> RedisLock:
        return RedisLock(
            name,
            client=self._client,
            # The path of a file may hold what is not UTF-8.
            key=f"{self._whole_prefix}:{name}".encode(errors="backslashreplace").decode(),
            expiry_seconds=self._expiry_seconds,
            what=self._what,
        )

    @property
    def identity(self) -> str:
        """Tell these locks apart from others, without the password of the Redis."""
        way = self._client.connection_pool.connection_kwargs
        place = way.get("path") or f"{way.get('host', 'localhost')}:{way.get('port', 6379)}"
        return f"redis {place}/{way.get('db') or 0} {self._whole_prefix}"

    @property
    def _whole_prefix(self) -> str:
        return f"django_runbook:{space.on_any_host()}" if self._prefix is None else self._prefix

    def check(self) -> Sequence[checks.CheckMessage]:
        """Return what a project should know about these locks."""
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
    return Holder.of_json(_text(token).partition(" ")[2])


def _text(value: object) -> str:
    # The URL can ask the client for texts.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _unavailable(error: Exception) -> LockUnavailable:
    return LockUnavailable(f"the locks in Redis cannot be used: {error}")


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
