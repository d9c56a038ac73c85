"""Opens the journal of a run, and collects what earlier attempts of it have completed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from django_runbook.planning.shards import counts_in
from django_runbook.runner import questions
from django_runbook.runner.context import RunOptions
from django_runbook.stages.console import Console
from django_runbook.stages.request import RunRequest
from django_runbook.stages.stage_results import Bound, Launch, Opened, Recorded
from django_runbook.structs import replace

if TYPE_CHECKING:
    from django_runbook.forecasts.subject import Subject
    from django_runbook.journal.listener import Journal
    from django_runbook.resume.in_doubt import AskText
    from django_runbook.resume.remaining import Remaining
    from django_runbook.resume.resumed_run import ResumedRun


def is_recorded(request: RunRequest, opened: Opened) -> bool:
    """Return whether the run is stored in the history."""
    may_record = opened.configuration.has_journal and opened.runbook.is_recorded
    return may_record and request.journal and not request.dry_run


def record(launch: Launch, opened: Opened, bound: Bound, resumed: ResumedRun | None) -> Recorded:
    """Open the journal of the run, unless it is not recorded."""
    request, console = launch.request, launch.console
    options = _options(request, bound, resumed)
    if resumed is None and not is_recorded(request, opened):
        return Recorded(journal=None, options=options)
    # Only a recorded run needs the folder `journal`, which would make every other start slower.
    from django_runbook.journal import new_run
    from django_runbook.journal.opening import JournalFactory

    kept = {"keep_going": options.keeps_going, "strict": options.is_strict, "shards": counts_in(bound.plan.outline)}
    journals = JournalFactory(plan=bound.plan, mask=console.mask, new_lock=opened.new_lock, warn=console.warn)
    if resumed is not None:
        remaining = _remaining(launch, bound, resumed)
        options = replace(options, past=remaining.past, attempt=resumed.run.attempt_count + 1)
        journal = journals.open_resumed(
            resumed.run,
            resumed.lock,
            attempts=remaining.attempts,
            skipped_pks=remaining.skipped_pks,
            given=tuple(request.params),
            options=kept,
        )
    else:
        stored = new_run.stored_options(bound.selection, **kept)
        journal = journals.open_new(path=opened.path, runbook=opened.key, given=tuple(request.params), options=stored)
    launch.stack.callback(journal.close)
    line = console.resume_command(request.file, journal.run_id, withheld=journal.withheld_params)
    options = replace(options, resume_command=console.mask(line))
    return Recorded(journal=journal, options=options, new_subject=lambda: _subject(opened, bound, journal))


def _subject(opened: Opened, bound: Bound, journal: Journal) -> Subject:
    # Only a recorded run is compared with others.
    from django_runbook.forecasts.subject import subject_of

    return subject_of(bound.plan, runbook=opened.key, unselected=bound.unselected, definition_of=journal.definition_of)


def _options(request: RunRequest, bound: Bound, resumed: ResumedRun | None) -> RunOptions:
    """Return what the request asks of the runner; a resumed run keeps what its first attempt asked for."""
    before = {} if resumed is None else resumed.options
    return RunOptions(
        unselected=bound.unselected,
        lacks_dry_run=bound.lacks_dry_run,
        is_dry_run=request.dry_run,
        keeps_going=request.keep_going or bool(before.get("keep_going")),
        is_strict=request.strict or bool(before.get("strict")),
        answers_yes=request.yes,
        asks_before_steps=request.ask_before_steps,
    )


def _remaining(launch: Launch, bound: Bound, resumed: ResumedRun) -> Remaining:
    # Only a resumed run needs this folder.
    from django_runbook.resume.choices import ResumeChoices
    from django_runbook.resume.remaining import remaining_steps

    request, console = launch.request, launch.console
    return remaining_steps(
        resumed.run,
        ResumeChoices(rerun=request.rerun, skip=request.skip, accepts_changes=request.accept_changes),
        plan=bound.plan,
        unselected=bound.unselected,
        ask=_ask_of(console),
        mask=console.mask,
    )


def _ask_of(console: Console) -> AskText | None:
    ask = questions.at_terminal(sys.stdin, console.question_stream)
    # No answer is neither of the two: then the error names both.
    return None if ask is None else lambda text: ask(text) or ""
