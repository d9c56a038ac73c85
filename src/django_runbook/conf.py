"""Reads the setting ``RUNBOOK`` into checked values; no other module reads settings of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from django.apps import apps
from django.conf import settings
from django.db import router

from django_runbook.document.similar_names import nearest
from django_runbook.exceptions import InvalidUsage
from django_runbook.option_secrets import secrets_in
from django_runbook.results import Occasion
from django_runbook.structs import Struct, field

_KEYS = ("DIRS", "IDEMPOTENT", "ISOLATE", "JOURNAL", "LOCK", "QUEUE", "REPORTERS", "STOP_TIMEOUT")
_LOCK_KEYS = ("BACKEND", "OPTIONS")
_QUEUE_KEYS = (
    *("BACKEND", "OPTIONS", "RESEND_SECONDS", "VERSION", "REFUSES_OTHER_VERSION", "VERSION_WAIT_SECONDS", "WORKERS"),
)
# The name and the digest of an image.
_MAX_VERSION_LENGTH = 200
_REPORTER_KEYS = ("BACKEND", "OPTIONS", "ON", "TIMEOUT", "IN_TESTS")
DEFAULT_STOP_TIMEOUT_SECONDS = 8.0
_MAX_SECONDS = 365 * 24 * 3600
# Docker waits for 10 seconds before it kills a container, and STOP_TIMEOUT is part of them.
DEFAULT_REPORTER_TIMEOUT_SECONDS = 5.0


class LockBackend(Struct):
    """Names what makes the locks: a short name or an import path, with options of its own."""

    backend: str = "auto"
    options: Mapping[str, object] = field(default_factory=dict)


class QueueSettings(Struct):
    """Names the task engine that runs steps with ``queue``, with options of its own.

    A call that no worker has taken is sent again after ``resend_seconds``. ``version`` names the code of this process;
    with ``refuses_other_version``, a worker with other code does not run a call, which waits for another worker for
    ``version_wait_seconds``. ``workers`` is the number of worker processes of each queue; None if the engine is asked.
    """

    backend: str = "auto"
    options: Mapping[str, object] = field(default_factory=dict)
    resend_seconds: float = 60.0
    version: str = ""
    refuses_other_version: bool = False
    version_wait_seconds: float = 600.0
    workers: int | None = None


class ReporterSettings(Struct):
    """Names what receives the events or the notices of runs, with options of its own.

    ``on`` are the occasions of its notices; None means those that the backend chooses. It may delay a run by
    ``timeout_seconds`` in all. Only with ``is_used_in_tests`` is it used in a test of the project.
    """

    name: str
    backend: str
    options: Mapping[str, object] = field(default_factory=dict)
    on: frozenset[Occasion] | None = None
    timeout_seconds: float = DEFAULT_REPORTER_TIMEOUT_SECONDS
    is_used_in_tests: bool = False

    @property
    def setting(self) -> str:
        """Return how messages name these settings."""
        return f'RUNBOOK["REPORTERS"]["{self.name}"]'


class Configuration(Struct):
    """Holds the checked values of the setting.

    ``dirs`` are searched for runbooks after the working directory; ``idempotent`` are commands that are safe to repeat;
    ``has_journal`` says that runs are recorded. ``isolates`` gives each step a process of its own; None leaves that to
    the platform.
    """

    dirs: tuple[Path, ...] = ()
    idempotent: frozenset[str] = frozenset()
    has_journal: bool = True
    isolates: bool | None = None
    lock: LockBackend = LockBackend()
    queue: QueueSettings = QueueSettings()
    reporters: tuple[ReporterSettings, ...] = ()
    stop_timeout_seconds: float = DEFAULT_STOP_TIMEOUT_SECONDS

    @property
    def hidden_values(self) -> tuple[str, ...]:
        """Return the values in the options of reporters that no output may contain, such as the URL of a ping."""
        found = (secret for reporter in self.reporters for secret in secrets_in(reporter.options))
        return tuple(dict.fromkeys(found))


def read() -> Configuration:
    """Return the project's configuration; raises InvalidUsage for values that mean nothing."""
    values = getattr(settings, "RUNBOOK", {})
    if not isinstance(values, Mapping):
        raise InvalidUsage("the setting RUNBOOK must be a dictionary")
    _refuse_other_keys(values, _KEYS, where="the setting RUNBOOK")
    return Configuration(
        dirs=_dirs(values),
        idempotent=_idempotent(values),
        has_journal=_boolean(values, "JOURNAL", default=True),
        isolates=_boolean(values, "ISOLATE", default=None),
        lock=_lock(values),
        queue=_queue(values),
        reporters=_reporters(values),
        stop_timeout_seconds=_stop_timeout(values),
    )


def journal_alias() -> str:
    """Return the database of the history, as the routers of the project have it."""
    return router.db_for_write(apps.get_model("django_runbook", "Run"))


def _refuse_other_keys(values: Mapping[str, object], keys: tuple[str, ...], *, where: str) -> None:
    for key in values:
        if key not in keys:
            near = nearest(str(key), keys)
            hint = f'did you mean "{near}"?' if near else f"its keys are: {', '.join(keys)}"
            raise InvalidUsage(f'{where} has no key "{key}"; {hint}')


def _dirs(values: Mapping[str, object]) -> tuple[Path, ...]:
    dirs = values.get("DIRS", ())
    if not isinstance(dirs, list | tuple):
        raise InvalidUsage('RUNBOOK["DIRS"] must be a list of directories')
    return tuple(Path(directory) for directory in dirs)


def _idempotent(values: Mapping[str, object]) -> frozenset[str]:
    names = values.get("IDEMPOTENT", ())
    if not isinstance(names, list | tuple | set | frozenset) or not all(isinstance(name, str) for name in names):
        raise InvalidUsage('RUNBOOK["IDEMPOTENT"] must be a list of names of commands')
    return frozenset(names)


_Default = TypeVar("_Default", bool, None)


def _boolean(values: Mapping[str, object], name: str, *, default: _Default) -> bool | _Default:
    value = values.get(name, default)
    if value is not default and not isinstance(value, bool):
        raise InvalidUsage(f'RUNBOOK["{name}"] must be True or False')
    return value


def _lock(values: Mapping[str, object]) -> LockBackend:
    lock = values.get("LOCK", "auto")
    if isinstance(lock, str):
        return LockBackend(backend=lock)
    if not isinstance(lock, Mapping):
        raise InvalidUsage('RUNBOOK["LOCK"] must be the name of a backend, or a dictionary with BACKEND and OPTIONS')
    _refuse_other_keys(lock, _LOCK_KEYS, where='RUNBOOK["LOCK"]')
    backend, options = lock.get("BACKEND"), lock.get("OPTIONS", {})
    if not isinstance(backend, str):
        raise InvalidUsage('RUNBOOK["LOCK"]["BACKEND"] must be the name or the import path of a backend')
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise InvalidUsage('RUNBOOK["LOCK"]["OPTIONS"] must be a dictionary from names to values')
    return LockBackend(backend=backend, options=options)


def tasks_alias() -> str:
    """Return the alias in the setting ``TASKS`` of the backend that runs calls."""
    queue = read().queue
    given = queue.options.get("alias") if queue.backend == "tasks" else queue.backend.partition(":")[2]
    return str(given or "default")


def _queue(values: Mapping[str, object]) -> QueueSettings:
    queue = values.get("QUEUE", "auto")
    if isinstance(queue, str):
        return QueueSettings(backend=queue)
    if not isinstance(queue, Mapping):
        raise InvalidUsage('RUNBOOK["QUEUE"] must be the name of an engine, or a dictionary with BACKEND and OPTIONS')
    where = 'RUNBOOK["QUEUE"]'
    _refuse_other_keys(queue, _QUEUE_KEYS, where=where)
    backend, options, version = queue.get("BACKEND", "auto"), queue.get("OPTIONS", {}), queue.get("VERSION", "")
    if not isinstance(backend, str):
        raise InvalidUsage(f'{where}["BACKEND"] must be the name or the import path of an engine')
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise InvalidUsage(f'{where}["OPTIONS"] must be a dictionary from names to values')
    if not isinstance(version, str) or len(version) > _MAX_VERSION_LENGTH:
        raise InvalidUsage(f'{where}["VERSION"] must be a string of at most {_MAX_VERSION_LENGTH} characters')
    return QueueSettings(
        backend=backend,
        options=options,
        resend_seconds=_seconds(queue, "RESEND_SECONDS", default=60.0, where=where),
        version=version,
        refuses_other_version=bool(_boolean(queue, "REFUSES_OTHER_VERSION", default=False)),
        version_wait_seconds=_seconds(queue, "VERSION_WAIT_SECONDS", default=600.0, where=where),
        workers=_workers(queue),
    )


def _workers(queue: Mapping[str, object]) -> int | None:
    count = queue.get("WORKERS")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise InvalidUsage('RUNBOOK["QUEUE"]["WORKERS"] must be a number of processes from 1, or None')
    return count


def _reporters(values: Mapping[str, object]) -> tuple[ReporterSettings, ...]:
    reporters = values.get("REPORTERS", {})
    if not isinstance(reporters, Mapping) or not all(isinstance(name, str) and name for name in reporters):
        raise InvalidUsage('RUNBOOK["REPORTERS"] must be a dictionary from names to reporters')
    return tuple(_reporter(name, value) for name, value in reporters.items())


def _reporter(name: str, value: object) -> ReporterSettings:
    if isinstance(value, str):
        return ReporterSettings(name=name, backend=value)
    where = f'RUNBOOK["REPORTERS"]["{name}"]'
    if not isinstance(value, Mapping):
        raise InvalidUsage(f"{where} must be the name of a backend, or a dictionary with BACKEND and OPTIONS")
    _refuse_other_keys(value, _REPORTER_KEYS, where=where)
    backend, options = value.get("BACKEND"), value.get("OPTIONS", {})
    if not isinstance(backend, str):
        raise InvalidUsage(f'{where}["BACKEND"] must be the name or the import path of a backend')
    if not isinstance(options, Mapping) or not all(isinstance(option, str) for option in options):
        raise InvalidUsage(f'{where}["OPTIONS"] must be a dictionary from names to values')
    is_used_in_tests = value.get("IN_TESTS", False)
    if not isinstance(is_used_in_tests, bool):
        raise InvalidUsage(f'{where}["IN_TESTS"] must be True or False')
    return ReporterSettings(
        name=name,
        backend=backend,
        options=options,
        on=_occasions(value["ON"], where=where) if "ON" in value else None,
        timeout_seconds=_seconds(value, "TIMEOUT", default=DEFAULT_REPORTER_TIMEOUT_SECONDS, where=where),
        is_used_in_tests=is_used_in_tests,
    )


def _occasions(words: object, *, where: str) -> frozenset[Occasion]:
    known = [occasion.value for occasion in Occasion]
    if not isinstance(words, list | tuple | set | frozenset):
        raise InvalidUsage(f'{where}["ON"] must be a list of occasions: {", ".join(known)}')
    for word in words:
        if word not in known:
            near = nearest(str(word), known)
            hint = f'did you mean "{near}"?' if near else f"choose from {', '.join(known)}"
            raise InvalidUsage(f'{where}["ON"] has no occasion "{word}"; {hint}')
    return frozenset(Occasion(word) for word in words)


def _stop_timeout(values: Mapping[str, object]) -> float:
    return _seconds(values, "STOP_TIMEOUT", default=DEFAULT_STOP_TIMEOUT_SECONDS, where="RUNBOOK")


def _seconds(values: Mapping[str, object], name: str, *, default: float, where: str) -> float:
    seconds = values.get(name, default)
    # Neither NaN nor more than a clock can count.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_SECONDS:
        raise InvalidUsage(f'{where}["{name}"] must be a number of seconds, at most {_MAX_SECONDS}')
    return float(seconds)
