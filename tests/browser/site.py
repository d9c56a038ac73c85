"""Serves a site in its own process and changes its runs on request: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_runbook.locks.file import FileLock


def main() -> None:
    """Serve until standard input ends."""
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.management import call_command
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("ada", password="lovelace")
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    calls = Calls(Path(os.environ["BROWSER_SITE_DATABASE"]).parent)
    _answer(server.server_address[1])
    for line in sys.stdin:
        name, arguments = json.loads(line)
        _answer(getattr(calls, name)(**arguments))


class _Own:
    """The locks of the runs of this site."""

    def __init__(self, directory: Path) -> None:
        from tests.journal_data import LOCKS

        self.identity = LOCKS
        self._directory = directory

    def __call__(self, name: str) -> FileLock:
        from django_runbook.locks.file import FileLock

        return FileLock(name, directory=self._directory)


class Calls:
    """The requests to the site."""

    def __init__(self, directory: Path) -> None:
        from django_runbook.admin import project_locks
        from django_runbook.locks.factory import Locks

        self._directory = directory
        self._locks: dict[str, FileLock] = {}
        project_locks.new_lock = lambda: Locks(_Own(directory), name="own", options={})

    def make(self, kind: str) -> str:
        """Store a run; one that is running holds its lock."""
        from django_runbook.models import RUNNING, Run
        from tests import journal_data

        run: Run = getattr(journal_data, kind)()
        if run.status == RUNNING:
            lock = self._locks[run.pk] = _Own(self._directory)(run.lock_name)
            lock.acquire()
        return run.pk

    def progress(self, run: str, done: int) -> None:
        """Set the progress of the batch of a run."""
        self._steps(run).filter(step_id="backfill").update(done_count=done)

    def write(self, run: str, head: str, tail: str = "", omitted: int = 0) -> None:
        """Set the output of the batch of a run."""
        self._steps(run).filter(step_id="backfill").update(output_head=head, output_tail=tail, omitted_count=omitted)

    def proceed(self, run: str) -> None:
        """End the batch of a run, and start the next step."""
        from django.utils import timezone

        from django_runbook.models import RUNNING, Run
        from tests.journal_data import Writer

        now = timezone.now()
        self._steps(run).filter(status=RUNNING).update(status="succeeded", finished_at=now)
        row = Run.objects.get(pk=run)
        Writer(row).step("report", (now - row.started_at).total_seconds(), None, status=RUNNING, line=99)

    def finish(self, run: str) -> None:
        """End a run."""
        from django.utils import timezone

        from django_runbook.models import RUNNING, Run

        now = timezone.now()
        self._steps(run).filter(status=RUNNING).update(status="succeeded", finished_at=now)
        Run.objects.filter(pk=run).update(status="succeeded", exit_code=0, finished_at=now)
        self._locks.pop(run).release()

    def die(self, run: str) -> None:
        """Release the lock of a run, as if its process was killed."""
        self._locks.pop(run).release()

    def _steps(self, run: str) -> Any:
        from django_runbook.models import StepRun

        return StepRun.objects.filter(run=run)


def _answer(value: object) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
