"""The state of the process before a run to the same state after each step, with what the step left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.process.connections import KnownConnections

# What signal.getsignal wraps to make an enum of each answer, which costs more than all else here together.
_getsignal: Callable[[int], Any] = getattr(signal, "_signal").getsignal  # noqa: B009 - it has no public name
_YOUNG_SECONDS: Final = 10.0
_SIGNALS: Final = tuple(sorted(int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a command can change for those that come after it; taken once, put back after each step."""

    directory: str | None
    environ: dict[Any, Any]
    umask: int
    signals: tuple[Any, ...]
    connections: KnownConnections
    depths: dict[str, int]
    autocommits: dict[str, bool]

    def in_transaction(self) -> Snapshot:
        """The same inside of the transactions that are open now, which are not the command's to leave open."""
        return replace(self, depths={one.alias: len(one.atomic_blocks) for one in self.connections})

    def restore(self) -> list[str]:
        """Put everything back; returns what must not be passed over: transactions that were left open."""
        problems: list[str] = []
        for restore in (
            self._restore_connections,
            self._restore_signals,
            self._restore_directory,
            self._restore_environ,
        ):
            try:
                problems += restore()
            except Exception as error:  # noqa: BLE001 - one thing that cannot be put back must not keep the others from it
                problems.append(f"{restore.__name__.strip('_').replace('_', ' ')}: {type(error).__name__}: {error}")
        return problems

    def _restore_connections(self) -> list[str]:
        problems: list[str] = []
        for connection in self.connections:
            depth, autocommit = self.depths.get(connection.alias, 0), self.autocommits.get(connection.alias, True)
            try:
                problems += _repair(connection, depth=depth, autocommit=autocommit)
            except Exception as error:  # noqa: BLE001 - drivers fail in ways of their own
                # What cannot be repaired, such as a connection that was cut off inside a statement, is given up.
                connection.close()
                problems.append(f'its connection to "{connection.alias}" was closed: {type(error).__name__}: {error}')
        return problems

    def _restore_signals(self) -> list[str]:
        if self.signals:
            handlers = _handlers()
            if handlers != self.signals:
                for number, before, now in zip(_SIGNALS, self.signals, handlers, strict=True):
                    if before is not None and now is not before:
                        signal.signal(number, before)
        return []

    def _restore_directory(self) -> list[str]:
        os.umask(self.umask)
        if self.directory is not None and _directory() != self.directory:
            os.chdir(self.directory)
        return []

    def _restore_environ(self) -> list[str]:
        if _environ() == self.environ:
            return []
        now, before = dict(os.environ), {os.fsdecode(key): os.fsdecode(value) for key, value in self.environ.items()}
        for name in now.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if now.get(name) != value:
                os.environ[name] = value
        return []


def take(connections: KnownConnections) -> Snapshot:
    """The state as it is now."""
    is_main = threading.current_thread() is threading.main_thread()
    umask = os.umask(0)
    os.umask(umask)
    return Snapshot(
        directory=_directory(),
        environ=_environ(),
        umask=umask,
        signals=_handlers() if is_main else (),
        connections=connections,
        depths={connection.alias: len(connection.atomic_blocks) for connection in connections},
        autocommits={connection.alias: connection.autocommit for connection in connections if connection.connection},
    )


def _handlers() -> tuple[Any, ...]:
    return tuple(map(_getsignal, _SIGNALS))


def _directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a Path costs more than the call
    except FileNotFoundError:
        return None


def _environ() -> dict[Any, Any]:
    # The encoded form: decoding all variables twice a step would cost more than the step's own bookkeeping.
    data: dict[Any, Any] | None = getattr(os.environ, "_data", None)
    return (
        dict(data) if data is not None else {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
    )


def _repair(connection: BaseDatabaseWrapper, *, depth: int, autocommit: bool) -> Iterator[str]:
    left_open = f'it left a transaction open on the database "{connection.alias}"; it was rolled back'
    if len(connection.atomic_blocks) > depth:
        yield left_open
        while len(connection.atomic_blocks) > depth:
            error = RuntimeError(left_open)
            connection.atomic_blocks[-1].__exit__(RuntimeError, error, None)
    if connection.in_atomic_block or connection.connection is None:
        return
    if _is_in_transaction(connection):
        yield left_open
        connection.connection.rollback()
    if autocommit and not connection.autocommit:
        connection.rollback()
        connection.set_autocommit(True)
        yield f'it switched autocommit off on the database "{connection.alias}"; what was not committed was rolled back'
    _close_if_obsolete(connection)


def _close_if_obsolete(connection: BaseDatabaseWrapper) -> None:
    # Django's close_if_unusable_or_obsolete begins by asking for a connection, which a test without a database forbids.
    connection.health_check_done = False  # type: ignore[attr-defined]  # the stubs leave it out
    if connection.errors_occurred:
        connection.close_if_unusable_or_obsolete()
    elif connection.close_at is not None and time.monotonic() >= connection.close_at + _grace_seconds(connection):
        connection.close()


def _grace_seconds(connection: BaseDatabaseWrapper) -> float:
    # Without an age every step would connect anew, which costs more than most steps; one that is older may be stale.
    return 0.0 if connection.settings_dict["CONN_MAX_AGE"] else _YOUNG_SECONDS


def _is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether a transaction was begun behind Django's back, where the driver can tell without asking the server."""
    if not connection.autocommit:
        return False
    raw: Any = connection.connection
    if connection.vendor == "sqlite":
        return bool(raw.in_transaction)
    if connection.vendor == "postgresql":
        status: Callable[[], Any] | Any = getattr(getattr(raw, "info", None), "transaction_status", 0)
        return bool(status)
    return False
