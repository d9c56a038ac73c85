"""Explains each key of a runbook in one sentence, for editors; ``docs/reference/file.md`` explains them in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django_runbook.document.keys import EXAMPLES, Kind

_PAGE: Final = "https://github.com/django-runbook/django-runbook/blob/main/docs/reference/file.md"

KEY_TEXTS: Final[Mapping[str, str]] = {
    "$schema": "Name the JSON Schema that an editor uses for this file; a run ignores it.",
    "name": "Set the name that reports show.",
    "description": "Describe it to readers of the file.",
    "id": "Name the step in expressions and on the command line: lower-case letters, digits and underscores.",
    "tags": "List words for --tags and --skip-tags.",
    "command": "Call a management command: its name and its arguments, split like a shell command, without a shell.",
    "args": "List positional values; each one is a single argument, even with spaces or a leading dash.",
    "options": "Set options of the command by name, with native values; null leaves an option out.",
    "stdin": "Give the text that the command reads from its standard input, which is empty otherwise.",
    "steps": "List the steps, which run in order; in a step, the list makes it a group.",
    "parallel": "List steps that run at the same time, each in its own process.",
    "runbook": "Run another runbook, which is read and checked together with this file.",
    "when": "Give an expression without braces; if it is false, the step is skipped.",
    "confirm": 'Ask a person at the terminal; any answer except "y" or "yes" skips the step.',
    "for_each": "Run the step once for each item of a list, or of the product of a mapping of lists.",
    "max_parallel": "Limit how many items of a loop, or branches of a parallel group, run at the same time.",
    "shards": "Divide the rows of a batch command into this many shards, which run at the same time, or auto.",
    "retry": "Set the total number of attempts, including the first, or a mapping with the details.",
    "timeout": "Limit the time of one attempt, or of the whole list: 90, 90s, 10m or 1h30m.",
    "continue_on_error": "Ignore any failure, or those with these exit codes or exceptions; the run ends as a warning.",
    "fail_fast": "Choose whether a failure ends the list; with false, all steps run and the list fails at its end.",
    "on_success": "List steps that run if all steps of the list have succeeded.",
    "on_failure": "List steps that run if a step has failed.",
    "finally": "List steps that always run last, even if the run is stopped.",
    "capture": "Keep the standard output as steps.ID.output: as text, a list of lines, or parsed JSON.",
    "no_log": "Keep arguments and output out of reports and the history.",
    "lock": "Keep other runs out while this one runs: a name, a mapping, or false.",
    "on_conflict": "Choose what happens if another run holds the lock: fail, wait or skip.",
    "wait": "Limit how long on_conflict: wait waits.",
    "schedule": "Say when to start the runbook, for manage.py render_schedule: a cron expression or a mapping.",
    "cron": "Give minute, hour, day of month, month and day of week.",
    "timezone": "Name the time zone of the schedule; by default that of the project.",
    "catch_up": "Make up for a missed start as soon as the scheduler works again.",
    "isolate": "Run the command in a process of its own (true) or in the process of the run (false).",
    "atomic": "Run the command in one transaction, together with the record of its success.",
    "idempotent": "Mark the command as safe to repeat after an interruption.",
    "queue": "Run the command on a worker that reads this queue; false runs it on this host.",
    "journal": "Record the runs of this runbook; without a record, a run cannot be resumed.",
    "unusual": "Choose what happens if a run is unlike earlier ones: warn, fail the run at its end, or ignore it.",
    "notify": "List the reporters of the project that are notified; by default all are, and with [] none.",
    "params": "Declare typed inputs, which --param NAME=VALUE sets.",
    "type": "Set the type of the parameter; by default that of its default or of its first choice.",
    "default": "Set the value if none is passed; null makes the parameter optional.",
    "choices": "List the allowed values.",
    "help": "Explain the parameter.",
    "env": "List environment variables that expressions can read as env.NAME; each must be set, or have a default.",
    "secrets": "List environment variables whose values are masked in all output.",
    "vars": "Name values that are computed once when the run starts, in order.",
    "defaults": "Set keys that apply to each command step of the file.",
    "attempts": "Set the total number of attempts, including the first.",
    "delay": "Set the pause before the second attempt.",
    "backoff": "Multiply each pause by this factor.",
    "max_delay": "Limit the pauses.",
    "jitter": "Shorten each pause by a random part, so that processes that failed together do not retry together.",
    "errors": "List the exit codes and exceptions that are retried; by default any failure is.",
    "until": "Give an expression without braces that must be true for an attempt to count as a success.",
}
_OF_KIND: Final[Mapping[tuple[Kind, str], str]] = {
    (Kind.LOCK, "name"): "Set the name of the lock.",
    (Kind.COMMAND, "env"): "Start the command by manage.py, in a new process with these environment variables.",
    (Kind.DEFAULTS, "env"): "Start each command by manage.py, in a new process with these environment variables.",
    (Kind.VARIABLE, "name"): "Name the environment variable.",
    (Kind.VARIABLE, "default"): "Set the value if the variable is not set.",
    (Kind.SCHEDULE, "jitter"): "Delay each start by a random part of this duration.",
    (Kind.CALL, "params"): "Set the parameters of the called runbook.",
}

_EXAMPLES_OF_KIND: Final[Mapping[tuple[Kind, str], tuple[str, ...]]] = {
    (Kind.COMMAND, "env"): ("{REGION: eu}",),
    (Kind.DEFAULTS, "env"): ("{REGION: eu}",),
}


def text_of(kind: Kind, key: str) -> str:
    """Return the sentence about a key of this kind of mapping; raise KeyError for an unknown key."""
    return _OF_KIND.get((kind, key)) or KEY_TEXTS[key]


def markdown_of(kind: Kind, key: str) -> str:
    """Return the sentence with examples and a link to the reference."""
    examples = "".join(f"\n{key}: {example}" for example in _EXAMPLES_OF_KIND.get((kind, key)) or EXAMPLES.get(key, ()))
    shown = f"\n\n```yaml{examples}\n```" if examples else ""
    return f"{text_of(kind, key)}{shown}\n\n[Reference]({_PAGE}#{key.strip('$')})"
