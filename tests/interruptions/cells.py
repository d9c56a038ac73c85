"""Plays one cell of the table: a run, what happens to it at one of its moments, and what ``--resume`` then does."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connections

from tests.interruptions.apps import GO, HEARD
from tests.interruptions.moments import Moment
from tests.interruptions.processes import Process, children_of
from tests.interruptions.proxy import AWAY, BACK, Proxy
from tests.patience import PATIENCE_SECONDS, scaled

AWAY_SECONDS: Final = 5.0
# More than what lies between two signals that count as one.
_APART_SECONDS: Final = 0.6
_STORM_COUNT: Final = 20
_STORM_PAUSE_SECONDS: Final = 0.04
# A machine that is slow must not make a longer storm, which would be a third request: that is one which the run hears a
# second after its second one.
_STORM_SECONDS: Final = 0.8
# A moment that its event does not end passes in this time.
_DELAY, _LONG_DELAY = f"{scaled(2):g}s", f"{scaled(60):g}s"
_SIGNAL = signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that is waited for, for as long as a test has patience."""

    condition: Callable[[], bool]
    what: str
    until: float = field(default_factory=lambda: time.monotonic() + PATIENCE_SECONDS)

    def is_over(self) -> bool:
        assert time.monotonic() < self.until, f"in vain: {self.what}"
        return self.condition()


Waits = Generator[Wait, None, None]


class Cell:
    """One moment with one event; ``seen`` is what became of the run."""

    def __init__(self, moment: Moment, event: str, *, folder: Path, server: dict[str, Any], database: str) -> None:
        self.moment = moment
        self.event = event
        self.seen: dict[str, Any] = {"moment": moment.heading, "event": event, "had_process": bool(moment.working)}
        self._name = f"{moment.key}.{event.replace(' ', '-')}"
        self.folder = folder / self._name
        self._server, self._database = server, database
        self.proxy: Proxy | None = None
        self.run: Process
        self._terminal = -1
        self._holder: Process | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it mostly waits."""
        return self.event == "database away"

    def play(self) -> Waits:
        """Play the cell, and yield whatever it waits for."""
        self._prepare()
        try:
            yield from self._wait_for_lock_holder()
            self.run = self._start("run", stdin=self._open_terminal())
            yield Wait(self._is_there, f"{self._name} did not begin")
            yield from EVENTS[self.event](self)
            yield self._ended(self.run)
            self._look(self.run)
            yield from self._resume()
        finally:
            self._clean_up()

    # -- what events ask for -----------------------------------------------------------------------------------------

    def has_heard(self, *, count: int) -> Wait:
        """Wait until the run has taken so many signals for requests to stop."""
        heard = self.folder / f"{HEARD}{count}"
        what = f"{_SIGNAL.name} in the report"
        return self._unless_ended(lambda: self.run.text.count(_SIGNAL.name) >= count or heard.exists(), what)

    def has_said(self, text: str) -> Wait:
        """Wait until the report has a text."""
        return self._unless_ended(lambda: text in self.run.text, f"{text} in the report")

    def has_logged(self, text: str) -> Wait:
        """Wait until a command has written this."""
        return self._unless_ended(lambda: text in self._log(), f"{text} in the log")

    def release(self) -> None:
        """Let the run continue from its moment."""
        for name in (GO, "free"):
            (self.folder / name).touch()
        if self.moment.waits_for_answer:
            os.write(self._terminal, b"y\n")

    def signal(self) -> None:
        """Send the run a signal, unless it has ended."""
        if self.run.exit_code is None:
            os.kill(self.run.pid, _SIGNAL)

    def let_after_signals(self) -> None:
        """Let the run continue where the second request has not ended what it was at."""
        if not self.moment.working and not self.moment.ends_by_signal:
            self.release()
        if not self.moment.ends_by_signal:
            self.let_clean()

    def let_clean(self) -> None:
        """Let the first step of ``finally`` end."""
        (self.folder / "tidy").touch()

    def pid_of(self, step_id: str) -> int:
        """Return the process of a step that is at work."""
        if step_id == "migrate":
            return self._pid_of_only_step()
        found = re.search(rf"^begin {step_id} (\d+)$", self._log(), re.MULTILINE)
        assert found is not None, self._log()
        return int(found[1])

    def server_pid(self) -> int:
        """Return the process that forks the steps."""
        (pid,) = children_of(self.run.pid)
        return pid

    def server_children(self) -> list[int]:
        """Return the processes of steps, or of those that watch over them."""
        return children_of(self.server_pid())

    # -- one run after the other -------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self.folder.mkdir()
        is_long = self.event in {"one signal", "two signals", "storm"}
        text = self.moment.text(lock=self._name, delay=_LONG_DELAY if is_long else _DELAY)
        self._file.write_text(text)
        if self.moment.asks:
            (self.folder / self.moment.asks).touch()
        if self.is_idle:
            self.proxy = Proxy((self._server["HOST"], int(self._server["PORT"])))
            self.proxy.start()

    @property
    def _file(self) -> Path:
        return self.folder / f"{self._name}.yml"

    def _start(self, name: str, *options: str, stdin: int | None = None) -> Process:
        words = ["manage.py", "run_runbook", self._file.name, "--format", "plain", *options]
        database = {**self._server, "NAME": self._database}
        if self.proxy is not None:
            database |= {"HOST": "127.0.0.1", "PORT": self.proxy.port}

        def run() -> None:
            # For the processes that it forks, and for those that it starts.
            settings.DATABASES["default"].update(database)
            connections.settings["default"].update(database)
            os.environ["WALK_DATABASE"] = json.dumps(database)
            execute_from_command_line(words)

        return Process(run, folder=self.folder, output=self.folder / f"{name}.out", stdin=stdin)

    def _wait_for_lock_holder(self) -> Waits:
        if not self.moment.waits_for_lock:
            return

        def hold() -> None:
            from django_runbook import conf
            from django_runbook.locks.factory import new_factory
            from tests.interruptions.apps import wait_for

            connections.settings["default"]["NAME"] = self._database
            lock = new_factory(conf.read(), what="somebody else")(self._name)
            assert lock.acquire() is None
            Path("held").touch()
            wait_for("free")
            lock.release()

        self._holder = Process(hold, folder=self.folder, output=self.folder / "holder.out")
        yield Wait((self.folder / "held").exists, "the lock is held")

    def _open_terminal(self) -> int | None:
        if not self.moment.waits_for_answer:
            return None
        self._terminal, inner = os.openpty()
        return inner

    def _resume(self) -> Waits:
        self.release()
        self.let_clean()
        (self.folder / "tidied").touch()
        if self._holder is not None:
            yield self._ended(self._holder)
        before = len(self._begun())
        resumed = self._start("resumed", "--resume", "--yes")
        yield self._ended(resumed)
        self.seen["resume"] = {
            "exit_code": resumed.exit_code,
            "begun": self._begun()[before:],
            "text": resumed.text.strip(),
            "rows": self._rows(),
        }
        if resumed.exit_code == 2 and re.search("nothing to resume|no run (has|of) ", resumed.text + self.run.text):
            again = self._start("again", "--yes")
            yield self._ended(again)
            self.seen["again"] = {"exit_code": again.exit_code, "begun": self._begun()[before:], "text": again.text}

    def _look(self, run: Process) -> None:
        self.seen |= {"exit_code": run.exit_code, "text": run.text, "begun": self._begun(), "rows": self._rows()}

    def _clean_up(self) -> None:
        for process in filter(None, (getattr(self, "run", None), self._holder)):
            if process.exit_code is None:
                os.kill(process.pid, signal.SIGKILL)
        if self.proxy is not None:
            self.proxy.send(signal.SIGKILL)
        if self._terminal >= 0:
            os.close(self._terminal)

    # -- looking -----------------------------------------------------------------------------------------------------

    def _is_there(self) -> bool:
        assert self.run.exit_code is None, self.run.text
        match self.moment.shows_in:
            case "there":
                return (self.folder / "there").exists()
            case "output":
                return self.moment.shown in self.run.text
        return all(f"{text} " in self._log() for text in self.moment.shown.split("+"))

    def _unless_ended(self, condition: Callable[[], bool], what: str) -> Wait:
        def is_so() -> bool:
            if condition():
                return True
            assert self.run.exit_code is None, f"{self._name} ended without {what}:\n{self.run.text}"
            return False

        return Wait(is_so, f"{self._name}: {what}")

    def _ended(self, process: Process) -> Wait:
        return Wait(lambda: process.exit_code is not None, f"the end of {self._name}: {process.output.name}")

    def _log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def _begun(self) -> list[str]:
        return re.findall(r"^begin (\w+) ", self._log(), re.MULTILINE)

    def _rows(self) -> dict[str, Any]:
        """Return the statuses of the run, and of the newest attempt of each of its steps."""
        from tests.interruptions.walking import connected

        with connected(self._server, self._database) as connection:
            try:
                runs = connection.execute(
                    "SELECT id, status, exit_code FROM django_runbook_run WHERE runbook LIKE %s ORDER BY started_at",
                    [f"%{self._name}%"],
                ).fetchall()
                steps = connection.execute(
                    "SELECT step_id, status FROM django_runbook_steprun WHERE run_id = ANY(%s) ORDER BY id",
                    [[row[0] for row in runs]],
                ).fetchall()
            except psycopg.errors.UndefinedTable:
                return {"runs": [], "steps": {}}
        return {"runs": [list(row[1:]) for row in runs], "steps": dict(steps)}

    def _pid_of_only_step(self) -> int:
        (keeper,) = self.server_children()
        (pid,) = children_of(keeper)
        return pid


def _one_signal(cell: Cell) -> Waits:
    cell.signal()
    if cell.moment.has_finally:
        yield cell.has_heard(count=1)
    cell.let_clean()
    if not cell.moment.ends_by_signal:
        cell.release()


def _two_signals(cell: Cell) -> Waits:
    yield from _first_of_many(cell)
    # The run counts from when it has heard the first one, which may be long after that one was sent.
    heard = time.monotonic()
    yield Wait(lambda: time.monotonic() > heard + _APART_SECONDS, "time passes")
    cell.signal()
    if cell.moment.has_finally:
        yield cell.has_heard(count=2)
    cell.let_after_signals()


def _storm(cell: Cell) -> Waits:
    yield from _first_of_many(cell)
    began = time.monotonic()
    for number in range(1, _STORM_COUNT):
        at = began + number * _STORM_PAUSE_SECONDS
        yield Wait(lambda at=at: time.monotonic() >= at, "time passes")  # type: ignore[misc]  # mypy infers no type for a lambda with a default
        if time.monotonic() < began + _STORM_SECONDS:
            cell.signal()
    cell.let_after_signals()


def _first_of_many(cell: Cell) -> Waits:
    cell.signal()
    if cell.moment.ends_by_signal and cell.moment.has_finally:
        # The others come while `finally` is at work.
        yield cell.has_logged("begin clean")
    elif cell.moment.has_finally:
        yield cell.has_heard(count=1)


def _killed_child(cell: Cell) -> Waits:
    cell.let_clean()
    if not cell.moment.working:
        # No process of a step is there.
        assert cell.server_children() == []
        cell.release()
        return
    os.kill(cell.pid_of(cell.moment.working), signal.SIGKILL)
    if cell.moment.has_others:
        yield cell.has_said("SIGKILL")
        cell.release()


def _killed_server(cell: Cell) -> Waits:
    cell.let_clean()
    os.kill(cell.server_pid(), signal.SIGKILL)
    if not cell.moment.working:
        cell.release()
    yield from ()


def _database_away(cell: Cell) -> Waits:
    assert cell.proxy is not None
    cell.let_clean()
    cell.proxy.send(AWAY)
    yield Wait(cell.proxy.is_away, "the database is away")
    began = time.monotonic()
    cell.release()
    # On a machine with much other work, the run takes longer to notice.
    yield cell.has_said("waiting")
    yield Wait(lambda: time.monotonic() > began + AWAY_SECONDS, "time passes")
    cell.proxy.send(BACK)


EVENTS: Final[dict[str, Callable[[Cell], Waits]]] = {
    "one signal": _one_signal,
    "two signals": _two_signals,
    "storm": _storm,
    "killed child": _killed_child,
    "killed server": _killed_server,
    "database away": _database_away,
}
