"""Lists the keys of each kind of mapping, with the expected value and an example of each."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Kind(enum.Enum):
    """Names the kinds of mappings; the values are their names in messages."""

    FILE = "a runbook"
    COMMAND = "a command step"
    GROUP = "a group"
    PARALLEL = "a parallel group"
    CALL = "a runbook step"
    RETRY = "retry"
    LOCK = "lock"
    SCHEDULE = "schedule"
    PARAM = "a parameter"
    VARIABLE = "a variable"
    DEFAULTS = "defaults"


VERBS: Final = ("command", "steps", "parallel", "runbook")
HANDLERS: Final = ("on_success", "on_failure", "finally")
MAX_ATTEMPTS: Final = 1000
# People read the list of items, and each item has its own result: more rows are work for a batch command.
MAX_ITEMS: Final = 1000

_STEP: Final = ("name", "when", "for_each", "retry", "confirm", "timeout", "lock")
# Keys whose nodes `reading` reads; the typed keys are the fields of the models in `schema`.
NODE_KEYS: Final = {
    Kind.FILE: frozenset(
        ("$schema", "params", "env", "vars", "defaults", "steps", "timeout", "lock", "schedule", *HANDLERS)
    ),
    Kind.COMMAND: frozenset(("command", "args", "options", "stdin", "env", "shards", *_STEP)),
    Kind.GROUP: frozenset(("steps", *HANDLERS, *_STEP)),
    Kind.PARALLEL: frozenset(("parallel", *HANDLERS, *_STEP)),
    Kind.CALL: frozenset(("runbook", "params", *_STEP)),
    Kind.RETRY: frozenset(("delay", "max_delay", "until")),
    Kind.LOCK: frozenset(("name", "wait")),
    Kind.SCHEDULE: frozenset(("cron", "timezone", "jitter")),
    Kind.PARAM: frozenset(("default", "choices")),
    Kind.VARIABLE: frozenset(("name", "default")),
    Kind.DEFAULTS: frozenset(("when", "retry", "confirm", "options", "env", "timeout")),
}

# Human-readable expectations for each key; the models in `schema` enforce them.
EXPECTED: Final = {
    "id": "a lower-case name of letters, digits and underscores that begins with a letter",
    "name": "a string",
    "description": "a string",
    "help": "a string",
    "tags": "a list of strings",
    "continue_on_error": "true, false, or a list of exit codes and exception names",
    "no_log": "true or false",
    "idempotent": "true or false",
    "isolate": "true or false",
    "queue": "the name of a queue, or false",
    "atomic": "true or false",
    "max_parallel": "an integer from 1 to 1000",
    "shards": 'an integer from 1 to 1000, or "auto"',
    "on_conflict": '"fail", "wait" or "skip"',
    "fail_fast": "true or false",
    "journal": "true or false",
    "unusual": '"warn", "fail" or "ignore"',
    "notify": "a list of names of reporters",
    "jitter": "true or false",
    "cron": "a cron expression of five fields",
    "timezone": "the name of a time zone",
    "catch_up": "true or false",
    "capture": '"text", "lines" or "json"',
    "attempts": "an integer from 1 to 1000",
    "backoff": "a number from 1 to 100",
    "errors": "a list of exit codes and exception names",
    "secrets": "a list of names of environment variables",
    "env": "a list of names of environment variables, or of mappings with name and default",
    "type": "one of string, integer, number, boolean, date, datetime, list",
}

# Example values for the help of an error.
EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "args": ("[data/flights.csv]",),
    "options": ("{batch-size: 500}",),
    "params": ("{day: 2013-01-31}",),
    "vars": ("{folder: reports}",),
    "defaults": ("{timeout: 10m}",),
    "choices": ("[full, delta]",),
    "retry": ("3", "{attempts: 3, delay: 10s}"),
    "attempts": ("3",),
    "errors": ("[OperationalError, 75]",),
    "until": ("steps.poll.output == 'ready'",),
    "for_each": ("[EWR, JFK]",),
    "max_parallel": ("2",),
    "shards": ("8", "auto"),
    "stdin": ("yes",),
    "continue_on_error": ("true", "[3, IntegrityError]"),
    "tags": ("[data]",),
    "secrets": ("[SMTP_PASSWORD]",),
    "env": ("[REGION]", "[{name: REGION, default: eu}]"),
    "lock": ("search-index", "{name: search-index, on_conflict: wait}"),
    "on_conflict": ("wait",),
    "capture": ("json",),
    "id": ("import",),
    "when": ("params.mode == 'full'",),
    "backoff": ("2",),
    "type": ("integer",),
    "command": ("update_search_index --batch-size 5000",),
    "runbook": ("weekly.yml",),
    "queue": ("heavy",),
    "schedule": ("15 2 * * *", '{cron: "15 2 * * *", timezone: Europe/Berlin}'),
    "cron": ("15 2 * * *",),
    "timezone": ("Europe/Berlin",),
    "notify": ("[oncall]",),
}
# Keys whose value is a list of strings: a single string needs brackets.
LISTS: Final = frozenset(("args", "tags", "secrets", "env", "errors", "choices", "notify"))
