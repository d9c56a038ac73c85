"""Holds locks by database connections of their own, which commands cannot close, commit or borrow."""

from __future__ import annotations

import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any, ClassVar

from django.db import Error, connections
from django.db.utils import load_backend

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks import child_descriptors
from django_runbook.locks.base import PATIENCE_SECONDS, Holder, LockState, Probe
from django_runbook.locks.guarded import GuardedLock
from django_runbook.process import django_internals

_TRIES = 5


class Session:
    """Wraps a connection of the database driver, for one thread at a time, in the process that opened it.

    It bypasses Django's wrapper, because signals, instrumentation, thread checks, changes by tests and the canceling
    of statements are for the connections of commands.
    """

    def __init__(self, alias: str, parameters: Mapping[str, object]) -> None:
        settings = deepcopy(connections.settings[alias])
        # The few connections of Django's pool are for commands.
        settings["OPTIONS"].pop("pool", None)
        wrapper: Any = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, alias)
        self._alias = alias
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._error: type[Exception] = wrapper.Database.Error
        try:
            self._connection = wrapper.connection = wrapper.get_new_connection(
                {**parameters, **wrapper.get_connection_params()}
            )
            # Transactions begin with explicit statements, which also remove timeouts.
            django_internals.switch_autocommit_on(wrapper)
        except (self._error, Error) as error:
            # Django's wrapper, which switches autocommit on, raises its own error instead of that of the driver.
            if wrapper.connection is not None:
                with contextlib.suppress(self._error):
                    wrapper.connection.close()
            raise self._unavailable(error) from error
        # Several statements in one message cannot be prepared.
        if hasattr(self._connection, "prepare_threshold"):
            self._connection.prepare_threshold = None
        self._descriptor = django_internals.descriptor_of(self._connection)
        if self._descriptor is not None:
            child_descriptors.close_in_children(self._descriptor)

    @property
    def is_of_this_process(self) -> bool:
        """Return whether this process opened the connection, which two processes cannot share."""
        return os.getpid() == self._pid

    def ask(self, statement: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Execute a statement and return its first row; raise LockUnavailable if the database fails."""
        if not self.is_of_this_process:
            raise LockUnavailable("the lock belongs to the process that this one was forked from")
        try:
            with self._guard, self._connection.cursor() as cursor:
                cursor.execute(statement, values)
                row: tuple[Any, ...] | None = cursor.fetchone() if cursor.description else None
                return row
        except self._error as error:
            raise self._unavailable(error) from error

    def rollback(self) -> None:
        """Roll back the transaction."""
        self.ask("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        if self.is_of_this_process:
            if self._descriptor is not None:
                child_descriptors.forget(self._descriptor)
            with self._guard, contextlib.suppress(self._error):
                self._connection.close()

    def _unavailable(self, error: Exception) -> LockUnavailable:
        text = " ".join(str(error).split())
        return LockUnavailable(f'the locks in the database "{self._alias}" cannot be used: {text}')


class SessionLock(GuardedLock, ABC):
    """Holds a lock that the server releases when the connection closes; subclasses contain the SQL of a server."""

    parameters: ClassVar[Mapping[str, object]] = MappingProxyType({})

    def __init__(self, name: str, *, alias: str, what: str = "") -> None:
        super().__init__(name, what=what)
        self._alias = alias
        self._session: Session | None = None
        self._is_broken = False

    def acquire(self) -> Holder | None:
        with self._guard:
            self._refuse_second(self._session)
            with self._new_session() as session:
                holder = self._acquire(session)
                if holder is None:
                    self._session, self._pid = session, os.getpid()
                return holder

    def is_held(self) -> bool:
        if self._is_of_a_parent:
            return False
        with self._guard:
            if self._session is None or self._is_broken or self._is_lost:
                return False
            try:
                return self._is_ours(self._session)
            except LockUnavailable:
                return False

    def keep(self) -> LockState:
        if self._is_of_a_parent:
            return LockState.LOST
        with self._guard:
            if self._session is None or self._is_lost:
                return LockState.LOST
            if self.is_held():
                return LockState.HELD
            if not self._is_broken:
                self._is_broken = True
                self._patience.begin()
                self._session.close()
            try:
                state = self._retake()
            except LockUnavailable:
                # The server is unavailable, perhaps because it is restarting.
                state = self._patience.answer
            if state is LockState.RETAKEN:
                self._is_broken = False
                self._patience.end()
            self._is_lost = state is LockState.LOST
            return state

    def probe(self) -> Probe:
        with self._new_session() as session:
            if self._is_used(session):
                return Probe.HELD
            # A restarted server has lost all locks, and their holders are about to acquire them again.
            return Probe.FREE if self._uptime_seconds(session) > PATIENCE_SECONDS else Probe.UNKNOWN

    def release(self) -> None:
        if self._is_of_a_parent:
            return
        with self._guard:
            if self._session is not None:
                session, self._session, self._pid = self._session, None, 0
                if not (self._is_broken or self._is_lost):
                    # The server may take a while to notice the closed connection; the lock is released immediately.
                    with contextlib.suppress(LockUnavailable):
                        self._free(session)
                session.close()
                self._is_broken = self._is_lost = False
                self._patience.end()

    def discard(self) -> None:
        """Release the lock, which leaves no traces."""
        self.release()

    @contextlib.contextmanager
    def _new_session(self) -> Iterator[Session]:
        """Open a connection, and close it unless it holds the lock."""
        session = Session(self._alias, self.parameters)
        try:
            yield session
        finally:
            if session is not self._session:
                session.close()

    def _retake(self) -> LockState:
        with self._new_session() as session:
            # First: a holder that is found after that is another process.
            if self._ends_own(session):
                return self._patience.answer
            self._free(session)
            if self._acquire(session) is not None:
                return LockState.LOST
            self._session = session
            return LockState.RETAKEN

    def _acquire(self, session: Session) -> Holder | None:
        for _ in range(_TRIES):
            if self._try(session):
                return None
            holder = self._find_holder(session)
            self._free(session)
            if holder is not None:
                return holder
        # The lock changes hands, each time between the two queries.
        return Holder()

    @abstractmethod
    def _try(self, session: Session) -> bool:
        """Acquire the lock if it is free; return whether it was acquired."""

    @abstractmethod
    def _find_holder(self, session: Session) -> Holder | None:
        """Return the holder; None if the lock is free now."""

    @abstractmethod
    def _is_used(self, session: Session) -> bool:
        """Return whether any process holds the lock."""

    @abstractmethod
    def _is_ours(self, session: Session) -> bool: ...

    @abstractmethod
    def _free(self, session: Session) -> None:
        """Release everything that the session has acquired."""

    @abstractmethod
    def _ends_own(self, session: Session) -> bool:
        """Close the connection that held the lock, if the server has not noticed that it is broken.

        Return False if the server has noticed it.
        """

    @abstractmethod
    def _uptime_seconds(self, session: Session) -> float:
        """Return how long the server has been running."""
