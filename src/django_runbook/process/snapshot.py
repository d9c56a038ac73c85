"""Captures the state of this process before a run, and restores it after each inline step."""

from __future__ import annotations

import contextlib
import gc
import locale
import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.process import python_internals
from django_runbook.process.connections import KnownConnections, is_in_memory
from django_runbook.process.users import Users
from django_runbook.structs import Struct, replace

_SIGNALS: Final = tuple(sorted(int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
_TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class Snapshot(Struct):
    """Holds the process state that a command can change for later commands."""

    directory: str | None
    environ: dict[Any, Any]
    umask: int
    users: Users
    signals: tuple[Any, ...]
    timers: tuple[tuple[float, float], ...]
    interpreter: _Interpreter
    logging: _Logging
    databases: _Databases
    depths: dict[str, int]

    @classmethod
    def capture(cls, known: KnownConnections) -> Snapshot:
        """Capture the state of this process."""
        is_main = threading.current_thread() is threading.main_thread()
        umask = os.umask(0)
        os.umask(umask)
        return cls(
            directory=_directory(),
            environ=python_internals.encoded_environ(),
            umask=umask,
            users=Users(),
            signals=_handlers() if is_main else (),
            timers=tuple(signal.getitimer(timer) for timer in _TIMERS),
            interpreter=_Interpreter.now(),
            logging=_Logging.now(),
            databases=_Databases(known),
            depths={connection.alias: len(connection.atomic_blocks) for connection in known},
        )

    def in_transaction(self) -> Snapshot:
        """Return a snapshot that keeps the transactions open that are open now."""
        return replace(self, depths={one.alias: len(one.atomic_blocks) for one in self.databases.known})

    def restore(self) -> list[str]:
        """Restore everything; return the problems that must be reported, such as a transaction that was left open."""
        problems: list[str] = []
        for restore in (
            self.restore_connections,
            self._restore_signals,
            self._restore_directory,
            self._restore_environ,
            self.interpreter.restore,
            self.logging.restore,
            self.users.restore,
        ):
            try:
                problems += restore() or ()
            except Exception as error:  # noqa: BLE001 - one failure must not prevent the other restorations
                problems.append(f"{restore.__name__.strip('_').replace('_', ' ')}: {type(error).__name__}: {error}")
        return problems

    def restore_connections(self) -> list[str]:
        """Close the connections of the command; return a message for each transaction that it left open."""
        return self.databases.restore(self.depths)

    def take_warnings(self) -> tuple[str, ...]:
        """Return the warnings since the last call."""
        closed = self.databases.closed
        found = tuple(closed)
        closed.clear()
        return found

    def _restore_signals(self) -> None:
        if self.signals:
            handlers = _handlers()
            if handlers != self.signals:
                for number, before, now in zip(_SIGNALS, self.signals, handlers, strict=True):
                    if before is not None and now is not before:
                        signal.signal(number, before)
        for timer, before in zip(_TIMERS, self.timers, strict=True):
            if signal.getitimer(timer) != before:
                signal.setitimer(timer, *before)

    def _restore_directory(self) -> None:
        os.umask(self.umask)
        if self.directory is not None and _directory() != self.directory:
            os.chdir(self.directory)

    def _restore_environ(self) -> None:
        if python_internals.encoded_environ() == self.environ:
            return
        now, before = dict(os.environ), {os.fsdecode(key): os.fsdecode(value) for key, value in self.environ.items()}
        for name in now.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if now.get(name) != value:
                os.environ[name] = value


class _Interpreter(Struct):
    """Holds the process-wide state of the standard library."""

    locale: str
    zone: tuple[Any, ...]
    socket_timeout: float | None
    warning_filters: tuple[Any, ...]
    show_warning: Any
    recursion_limit: int
    is_collecting: bool
    path: tuple[str, ...]
    arguments: tuple[str, ...]

    @classmethod
    def now(cls) -> _Interpreter:
        return cls(
            locale=locale.setlocale(locale.LC_ALL),
            zone=_zone(),
            socket_timeout=socket.getdefaulttimeout(),
            warning_filters=tuple(warnings.filters),
            show_warning=warnings.showwarning,
            recursion_limit=sys.getrecursionlimit(),
            is_collecting=gc.isenabled(),
            path=tuple(sys.path),
            arguments=tuple(sys.argv),
        )

    def restore(self) -> None:
        if locale.setlocale(locale.LC_ALL) != self.locale:
            locale.setlocale(locale.LC_ALL, self.locale)
        if _zone() != self.zone:
            time.tzset()
        if socket.getdefaulttimeout() != self.socket_timeout:
            socket.setdefaulttimeout(self.socket_timeout)
        if tuple(warnings.filters) != self.warning_filters:
            python_internals.replace_warning_filters(self.warning_filters)
        warnings.showwarning = self.show_warning
        sys.setrecursionlimit(self.recursion_limit)
        (gc.enable if self.is_collecting else gc.disable)()
        if tuple(sys.path) != self.path:
            sys.path[:] = self.path
        if tuple(sys.argv) != self.arguments:
            sys.argv[:] = self.arguments


class _Logging(Struct):
    """Holds the configuration of the loggers: their handlers, filters and levels."""

    loggers: dict[str, tuple[Any, ...]]
    levels: dict[logging.Handler, int]
    disabled_level: int

    @classmethod
    def now(cls) -> _Logging:
        found = {logger.name: _state_of(logger) for logger in _loggers()}
        handlers = {handler for state in found.values() for handler in state[3]}
        return cls(
            loggers=found,
            levels={handler: handler.level for handler in handlers},
            disabled_level=logging.root.manager.disable,
        )

    def restore(self) -> None:
        if logging.root.manager.disable != self.disabled_level:
            logging.disable(self.disabled_level)
        is_changed = False
        for logger in _loggers():
            state = _state_of(logger)
            before = self.loggers.get(logger.name) or _new_state(state)
            if state != before:
                is_changed = True
                logger.level, logger.propagate, logger.disabled = before[:3]
                for handler in set(state[3]) - set(before[3]):
                    handler.close()
                logger.handlers[:], logger.filters[:] = before[3], before[4]
        for handler, level in self.levels.items():
            handler.level = level
        if is_changed:
            python_internals.forget_logger_levels()


class _Databases:
    """Holds the connections of a thread, and the attributes of their objects."""

    def __init__(self, known: KnownConnections) -> None:
        self.known = known
        # Warnings about connections that were closed without Django, and without losing work.
        self.closed: list[str] = []
        self._states = {one.alias: _copied(vars(one)) for one in known}

    def restore(self, depths: dict[str, int]) -> list[str]:
        problems: list[str] = []
        for connection in self.known:
            try:
                problems += self._restore(connection, depth=depths.get(connection.alias, 0))
            except Exception as error:  # noqa: BLE001 - each driver has its own exceptions
                # A connection that cannot be repaired is discarded, such as one that was closed inside a statement.
                _discard(connection)
                problems.append(f'its connection to "{connection.alias}" was closed: {type(error).__name__}: {error}')
        return problems

    def _restore(self, connection: BaseDatabaseWrapper, *, depth: int) -> Iterator[str]:
        is_closed = _is_closed(connection)
        if is_closed:
            message = f'it closed the connection to the database "{connection.alias}" without Django, or lost it'
            if depth or _loses_work(connection):
                yield message
            else:
                self.closed.append(message)
        else:
            yield from _roll_back(connection, depth=depth)
        if depth or (connection.in_atomic_block and not is_closed) or is_in_memory(connection.alias):
            return
        state = self._states.get(connection.alias)
        if state is None:
            self.known.forget(connection)
        else:
            # Attributes of a project, such as the schema of a tenant, belong to the session too. A pool sets up its
            # next connection with this object, in another thread, as soon as this one is closed.
            for name in vars(connection).keys() - state.keys():
                vars(connection).pop(name, None)
            vars(connection).update(_copied(state), connection=connection.connection)
        _discard(connection)


def _handlers() -> tuple[Any, ...]:
    return tuple(map(python_internals.getsignal, _SIGNALS))


def _zone() -> tuple[Any, ...]:
    return time.tzname, time.timezone, time.altzone


def _loggers() -> list[logging.Logger]:
    # A logger that exists only as the parent of others is a placeholder.
    known = logging.root.manager.loggerDict.values()
    return [logging.root, *(one for one in tuple(known) if isinstance(one, logging.Logger))]


def _state_of(logger: logging.Logger) -> tuple[Any, ...]:
    return logger.level, logger.propagate, logger.disabled, tuple(logger.handlers), tuple(logger.filters)


def _new_state(state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the initial state of a logger that a step has created; libraries add handlers that write nothing."""
    silent = tuple(handler for handler in state[3] if isinstance(handler, logging.NullHandler))
    return logging.NOTSET, True, False, silent, ()


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    kinds = (list, dict, set)
    return {name: value.copy() if type(value) in kinds else value for name, value in state.items()}


def _directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a Path costs more than the call
    except FileNotFoundError:
        return None


def _roll_back(connection: BaseDatabaseWrapper, *, depth: int) -> Iterator[str]:
    """Roll back the transactions that the command left open."""
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
    if not connection.autocommit and connection.settings_dict["AUTOCOMMIT"]:
        connection.rollback()
        yield f'it switched autocommit off on the database "{connection.alias}"; what was not committed was rolled back'


def _discard(connection: BaseDatabaseWrapper) -> None:
    """Close a connection for good: a pool would keep its session."""
    raw: Any = connection.connection
    if raw is not None and getattr(connection, "pool", None) is not None:
        with contextlib.suppress(Exception):
            raw.close()
    with contextlib.suppress(Exception):
        connection.close()
    # A driver that fails to close a broken connection leaves it in place.
    connection.connection = None


def _is_closed(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the driver's connection was closed without Django."""
    raw: Any = connection.connection
    if raw is None or connection.closed_in_transaction:
        return False
    match connection.vendor:
        case "sqlite":
            try:
                return raw.total_changes is None
            except sqlite3.ProgrammingError:
                return True
        case "mysql":
            return not getattr(raw, "open", True)
        case _:
            return bool(getattr(raw, "closed", False))


def _loses_work(connection: BaseDatabaseWrapper) -> bool:
    """Return whether closing this connection loses uncommitted work."""
    return connection.in_atomic_block or not connection.autocommit or is_in_memory(connection.alias)


def _is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Return whether a transaction was started without Django, if the driver knows without a query."""
    if not connection.autocommit:
        return False
    raw: Any = connection.connection
    if connection.vendor == "sqlite":
        return bool(raw.in_transaction)
    if connection.vendor == "postgresql":
        status: Callable[[], Any] | Any = getattr(getattr(raw, "info", None), "transaction_status", 0)
        return bool(status)
    return False
