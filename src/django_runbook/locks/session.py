"""An alias of DATABASES to a connection of a lock's own, which nothing else closes, commits or takes from a pool."""

from __future__ import annotations

import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any, ClassVar

from django.db import connections
from django.db.utils import load_backend

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks import forks
from django_runbook.locks.base import Holder

_TRIES = 5


class Session:
    """A connection of the database's driver, for one thread at a time, in the process that opened it only.

    It passes Django's own wrapper by: signals, instrumentation, checks of threads and what tests do to connections
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
            self._connection = wrapper.get_new_connection({**parameters, **wrapper.get_connection_params()})
        except self._error as error:
            raise self._unavailable(error) from error
        self._descriptor = _descriptor_of(self._connection)
        if self._descriptor is not None:
            forks.keep_from_children(self._descriptor)

    def ask(self, statement: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row of what the statement returns; raises LockUnavailable where the database fails."""
        if os.getpid() != self._pid:
            # Two processes that speak over one connection confuse each other.
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
        """End the connection; one that is lost already is left so."""
        if os.getpid() == self._pid:
            if self._descriptor is not None:
                forks.forget(self._descriptor)
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
    """A lock that the server frees when the connection of its holder ends; its kinds know the server's words for it."""

    parameters: ClassVar[Mapping[str, object]] = MappingProxyType({})

    def __init__(self, name: str, *, alias: str, what: str = "") -> None:
        self.name = name
        self._alias = alias
        self._what = what
        self._session: Session | None = None

    def acquire(self) -> Holder | None:
        if self._session is not None:
            raise RuntimeError(f'the lock "{self.name}" is held already')
        session = Session(self._alias, self.parameters)
        try:
            holder = self._acquire(session)
        except BaseException:
            session.close()
            raise
        if holder is None:
            self._session = session
        else:
            session.close()
        return holder

    def is_held(self) -> bool:
        if self._session is None:
            return False
        try:
            return self._is_ours(self._session)
        except LockUnavailable:
            return False

    def release(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            # The server may take its time to notice the end of a connection, and the lock is to be free by then.
            with contextlib.suppress(LockUnavailable):
                self._free(session)
            session.close()

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
        """Take the lock, if nobody else has it."""

    @abstractmethod
    def _find_holder(self, session: Session) -> Holder | None:
        """Who has it; None where nobody has it any more."""

    @abstractmethod
    def _is_ours(self, session: Session) -> bool: ...

    @abstractmethod
    def _free(self, session: Session) -> None:
        """Give back all that the session took."""
