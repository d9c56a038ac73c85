"""Lists the keys of a runbook: which mapping has which, what each must hold, and what its value looks like."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Kind(enum.Enum):
    """A kind of mapping; the value is how a message calls it."""

    FILE = "a runbook"
    COMMAND = "a command step"
    GROUP = "a group"
    PARALLEL = "a parallel group"
    CALL = "a runbook step"
    RETRY = "retry"
    LOCK = "lock"
    PARAM = "a parameter"
    DEFAULTS = "defaults"


VERBS: Final = ("command", "steps", "parallel", "runbook")
HANDLERS: Final = ("on_success", "on_failure", "finally")
MAX_ATTEMPTS: Final = 1000
# A list is read by people, and each item has a result of its own: what goes through more rows is a batch command.
MAX_ITEMS: Final = 1000

_STEP: Final = ("name", "when", "for_each", "retry", "confirm", "timeout", "lock")
# Keys whose nodes are read by hand; the typed ones are the fields of the models in `schema`.
NODE_KEYS: Final = {
    Kind.FILE: frozenset(("params", "vars", "defaults", "steps", "timeout", "lock", *HANDLERS)),
    Kind.COMMAND: frozenset(("command", "args", "options", *_STEP)),
    Kind.GROUP: frozenset(("steps", *HANDLERS, *_STEP)),
    Kind.PARALLEL: frozenset(("parallel", *HANDLERS, *_STEP)),
    Kind.CALL: frozenset(("runbook", "params", *_STEP)),
    Kind.RETRY: frozenset(("delay", "max_delay", "until")),
    Kind.LOCK: frozenset(("name", "wait")),
    Kind.PARAM: frozenset(("default", "choices")),
    Kind.DEFAULTS: frozenset(("when", "retry", "confirm", "options", "timeout")),
}

# Keys of DESIGN section 3 that a later version brings.
NOT_YET: Final = frozenset(("queue", "shards"))

# What each key must be, as a person would say it; the models in `schema` hold a file to it.
EXPECTED: Final = {
    "id": "a lower-case name of letters, digits and underscores that begins with a letter",
    "name": "text",
    "description": "text",
    "help": "text",
    "tags": "a list of texts",
    "continue_on_error": "true, false, or a list of exit codes and exception names",
    "no_log": "true or false",
    "idempotent": "true or false",
    "isolate": "true or false",
    "atomic": "true or false",
    "max_parallel": "a whole number from 1 to 1000",
    "on_conflict": 'one of "fail", "wait" or "skip"',
    "fail_fast": "true or false",
    "journal": "true or false",
    "jitter": "true or false",
    "capture": 'one of "text", "lines" or "json"',
    "attempts": "a whole number from 1 to 1000",
    "backoff": "a number from 1 to 100",
    "errors": "a list of exit codes and exception names",
    "secrets": "a list of names of environment variables",
    "type": "one of string, integer, number, boolean, date, datetime or list",
}

# An example of each key's value, for the help of an error.
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
    "continue_on_error": ("true", "[3, IntegrityError]"),
    "tags": ("[data]",),
    "secrets": ("[SMTP_PASSWORD]",),
    "lock": ("search-index", "{name: search-index, on_conflict: wait}"),
    "on_conflict": ("wait",),
    "capture": ("json",),
    "id": ("import",),
    "when": ("params.mode == 'full'",),
    "backoff": ("2",),
    "type": ("integer",),
    "command": ("update_search_index --batch-size 5000",),
    "runbook": ("weekly.yml",),
}
# Keys whose value is a list of texts: one text needs brackets around it.
LISTS: Final = frozenset(("args", "tags", "secrets", "errors", "choices"))
