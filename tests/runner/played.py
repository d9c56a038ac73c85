"""Runs the files of a tree with commands that the test plays, and holds what the runner made of them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from django_runbook import checking, clock, conf, events
from django_runbook.document import inputs
from django_runbook.planning import selection
from django_runbook.planning.plan import plan
from django_runbook.process import deadlines
from django_runbook.process.isolation import Isolation
from django_runbook.process.stopping import Stop
from django_runbook.results import RunResult
from django_runbook.runner import branches
from django_runbook.runner import run as runner
from django_runbook.runner.context import RunContext, RunOptions
from django_runbook.testing.free_lock import FreeLock
from tests.runner.fakes import FakeCommands, FakeTime
from tests.runner.trees import Case, texts


def play(case: Case) -> Played:
    """Run a case in this process, in a time of its own."""
    return Played(case)


class Played:
    """What the runner made of a case."""

    def __init__(self, case: Case) -> None:
        self.events: list[events.Event] = []
        time, stop = FakeTime(), Stop()
        self.commands = FakeCommands(file=case.file, time=time, stop=stop, keep_going=case.keep_going)
        with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
            patch.setattr(deadlines, "time", time)
            patch.setattr("django_runbook.runner.members.together", time.together(branches.together))
            self.result = self._run(case, Path(directory), stop)

    def _run(self, case: Case, directory: Path, stop: Stop) -> RunResult:
        for name, text in texts(case.file):
            (directory / name).write_text(text)
        path = directory / case.file.name
        loaded = checking.load(path, name=str(path), configuration=conf.read())
        assert loaded.runbook is not None, loaded.diagnostics
        run = {"id": "1", "name": "main", "file": case.file.name}
        binder = checking.new_binder()
        known = inputs.resolve(loaded.runbook, inputs.GivenInputs(now=clock.now(), run=run))
        planned = plan(loaded.runbook, known, binder)
        assert [*loaded.diagnostics, *planned.diagnostics] == []
        chosen = selection.Selection(tags=case.tags, skip_tags=case.skip_tags)
        around = RunContext(
            execute=self.commands.execute,
            isolate=self.commands.isolate,
            isolation=Isolation(is_default=False),
            new_lock=FreeLock,
            emit=self.events.append,
            binder=binder,
            stop=stop,
            mask=lambda text: text,
        )
        unselected = selection.unselected_steps(planned.outline, chosen)
        return runner.run(planned, RunOptions(unselected=unselected, keeps_going=case.keep_going), around)

    def happened(self) -> list[tuple[str, ...]]:
        """The starts, the further attempts and the ends of steps in their order."""
        return [read for event in self.events if (read := _emitted(event))]


def _emitted(event: events.Event) -> tuple[str, ...]:
    match event:
        case events.StepStarted():
            return ("start", event.step_id)
        case events.AttemptFailed():
            return ("retry", event.step_id, str(event.attempt))
        case events.StepFinished():
            return ("end", event.result.step_id, event.result.status.value)
    return ()
