"""Hold a lock by a database connection of its own, which nothing else closes, commits or takes from a pool."""

from __future__ import annotations

import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any, ClassVar

from django.db import connections
from django.db.utils import load_backend

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks import child_descriptors
from django_runbook.locks.base import PATIENCE_SECONDS, Holder, LockState, Patience, Probe

_TRIES = 5


class Session:
    """Wraps a connection of the database's driver, for one thread at a time, in the process that opened it.

    It bypasses Django's own wrapper: signals, instrumentation, checks of threads and what tests do to connections
    are about the work, and so is the runner's cancelling of statements.
    """

    def __init__(self, alias: str, parameters: Mapping[str, object]) -> None:
        settings = deepcopy(connections.settings[alias])
        # A pool of Django's has few connections, and they are for the work.
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
            # Transactions are begun by statements, together with what removes their limits.
            wrapper._set_autocommit(autocommit=True)
        except self._error as error:
            raise self._unavailable(error) from error
        # Several statements in one cannot be prepared.
        if hasattr(self._connection, "prepare_threshold"):
            self._connection.prepare_threshold = None
        self._descriptor = _descriptor_of(self._connection)
        if self._descriptor is not None:
            child_descriptors.close_in_children(self._descriptor)

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process opened it: two processes that speak over one connection confuse each other."""
        return os.getpid() == self._pid

    def ask(self, statement: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row of what the statement gives; raises LockUnavailable if the database fails."""
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
        """End the transaction."""
        self.ask("ROLLBACK")

    def close(self) -> None:
        """End the connection, unless it is lost already."""
        if self.is_of_this_process:
            if self._descriptor is not None:
                child_descriptors.forget(self._descriptor)
            with self._guard, contextlib.suppress(self._error):
                self._connection.close()

    def _unavailable(self, error: Exception) -> LockUnavailable:
        text = " ".join(str(error).split())
        return LockUnavailable(f'the locks in the database "{self._alias}" cannot be used: {text}')


def _descriptor_of(connection: Any) -> int | None:
    # PyMySQL, alone among Django's drivers, does not tell.
    source = connection if hasattr(connection, "fileno") else getattr(connection, "_sock", None)
    return None if source is None else int(source.fileno())


class SessionLock(ABC):
    """Holds a lock that the server frees when the connection of its holder ends; subclasses know the server's SQL."""

    parameters: ClassVar[Mapping[str, object]] = MappingProxyType({})

    def __init__(self, name: str, *, alias: str, what: str = "") -> None:
        self.name = name
        self._alias = alias
        self._what = what
        self._session: Session | None = None
        self._pid = 0
        self._is_broken = self._is_lost = False
        self._patience = Patience()
        # A watcher keeps the lock while the thread that holds it may release it.
        self._guard = threading.RLock()

    def acquire(self) -> Holder | None:
        with self._guard:
            if self._session is not None:
                raise RuntimeError(f'the lock "{self.name}" is held already')
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
                # The server is away, perhaps because it restarts.
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
            # A server that was restarted has forgotten all locks, and those who held them are about to get them back.
            return Probe.FREE if self._uptime_seconds(session) > PATIENCE_SECONDS else Probe.UNKNOWN

    def release(self) -> None:
        if self._is_of_a_parent:
            return
        with self._guard:
            if self._session is not None:
                session, self._session, self._pid = self._session, None, 0
                if not (self._is_broken or self._is_lost):
                    # The server may take its time to notice the end of a connection; the lock is to be free by then.
                    with contextlib.suppress(LockUnavailable):
                        self._free(session)
                session.close()
                self._is_broken = self._is_lost = False
                self._patience.end()

    def discard(self) -> None:
        """Release it: nothing is left of a free lock."""
        self.release()

    @property
    def _is_of_a_parent(self) -> bool:
        """Whether this process was forked from the holder; it must not wait for a guard that nobody releases there."""
        return self._pid not in {0, os.getpid()}

    @contextlib.contextmanager
    def _new_session(self) -> Iterator[Session]:
        """Open a connection, and close it again unless the lock is held by it."""
        session = Session(self._alias, self.parameters)
        try:
            yield session
        finally:
            if session is not self._session:
                session.close()

    def _retake(self) -> LockState:
        with self._new_session() as session:
            if self._acquire(session) is None:
                self._session = session
                return LockState.RETAKEN
            if not self._ends_own(session):
                return LockState.LOST
        return self._patience.answer

    def _acquire(self, session: Session) -> Holder | None:
        for _ in range(_TRIES):
            if self._try(session):
                return None
            holder = self._find_holder(session)
            self._free(session)
            if holder is not None:
                return holder
        # It goes from hand to hand, each time between the two questions.
        return Holder()

    @abstractmethod
    def _try(self, session: Session) -> bool:
        """Acquire the lock, if nobody else has it."""

    @abstractmethod
    def _find_holder(self, session: Session) -> Holder | None:
        """Return who has it, None if nobody has it any more."""

    @abstractmethod
    def _is_used(self, session: Session) -> bool:
        """Return whether anybody has it."""

    @abstractmethod
    def _is_ours(self, session: Session) -> bool: ...

    @abstractmethod
    def _free(self, session: Session) -> None:
        """Give back all that the session has acquired."""

    @abstractmethod
    def _ends_own(self, session: Session) -> bool:
        """End the connection by which we held the lock, if the server has not noticed that it is broken.

        Returns False if somebody else holds the lock.
        """

    @abstractmethod
    def _uptime_seconds(self, session: Session) -> float:
        """Return for how long the server has been running."""
