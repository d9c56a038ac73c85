"""The keys of a runbook: which mapping has which, what each must hold, and what other tools call them."""

from __future__ import annotations

import enum
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

# What each key must be, as a person would say it; the models in `schema` are what holds a file to it.
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
    "jitter": "true or false",
    "capture": 'one of "text", "lines" or "json"',
    "attempts": "a whole number from 1 to 1000",
    "backoff": "a number from 1 to 100",
    "errors": "a list of exit codes and exception names",
    "secrets": "a list of names of environment variables",
    "type": "one of string, integer, number, boolean, date, datetime or list",
}

# Words of other tools, with what is said about them here. A row is a word, the key for it, and whose word it is.
FOREIGN: Final = {
    "ignore_errors": 'use "continue_on_error" (ignore_errors is Ansible\'s name for it)',
    "ignore_error": 'use "continue_on_error" (ignore_error is go-task\'s name for it)',
    "continue-on-error": 'use "continue_on_error" (continue-on-error is how GitHub Actions spells it)',
    "continueOnError": 'use "continue_on_error" (continueOnError is how Azure Pipelines spells it)',
    "continue_on": 'use "continue_on_error" (continue_on is Dagu\'s name for it)',
    "allow_failure": 'use "continue_on_error" (allow_failure is GitLab\'s name for it)',
    "on_error": 'use "continue_on_error" to go on, or "on_failure" for steps that run after a failure',
    "if": 'use "when" (if is the name in GitHub Actions); it holds a bare expression',
    "unless": 'use "when" with "not"',
    "condition": 'use "when"; it holds a bare expression',
    "preconditions": 'use "when" (preconditions is Dagu\'s name for it)',
    "only_if": 'use "when"; it holds a bare expression',
    "retries": 'use "retry", which counts all attempts and not only the further ones',
    "retry_policy": 'use "retry" (retry_policy is Dagu\'s name for it)',
    "retryPolicy": 'use "retry"',
    "retry_count": 'use "retry", which counts all attempts and not only the further ones',
    "max_attempts": 'use "retry" with "attempts"',
    "max_retries": 'use "retry", which counts all attempts and not only the further ones',
    "repeat_policy": 'use "retry" with "until" (repeat_policy is Dagu\'s name for it)',
    "repeatPolicy": 'use "retry" with "until"',
    "poll": 'use "retry" with "until"',
    "until": 'use "retry" with "until" inside it',
    "delay": 'use "retry" with "delay" inside it',
    "needs": "steps run in the order of the file; leave it out",
    "depends": "steps run in the order of the file; leave it out",
    "depends_on": "steps run in the order of the file; leave it out",
    "dependsOn": "steps run in the order of the file; leave it out",
    "deps": "steps run in the order of the file; leave it out",
    "loop": 'use "for_each" (loop is Ansible\'s name for it)',
    "with_items": 'use "for_each" (with_items is Ansible\'s name for it)',
    "with_list": 'use "for_each" (with_list is Ansible\'s name for it)',
    "with_dict": 'use "for_each" (with_dict is Ansible\'s name for it)',
    "with_nested": 'use "for_each" with a mapping of lists (with_nested is Ansible\'s name for it)',
    "foreach": 'use "for_each"',
    "for": 'use "for_each" (for is go-task\'s name for it)',
    "matrix": 'use "for_each" with a mapping of lists',
    "strategy": 'use "for_each" with a mapping of lists',
    "run": 'use "command" with a management command; there is no shell step',
    "shell": 'use "command" with a management command; there is no shell step',
    "script": 'use "command" with a management command; there is no shell step',
    "cmd": 'use "command" with a management command; there is no shell step',
    "cmds": 'use "steps"; there is no shell step',
    "exec": 'use "command" with a management command; there is no shell step',
    "uses": 'use "command" with a management command',
    "management_command": 'use "command"',
    "with": 'use "options" (with is the name in GitHub Actions)',
    "kwargs": 'use "options"',
    "flags": 'use "options"',
    "opts": 'use "options"',
    "arguments": 'use "args" for positional values and "options" for options',
    "parameters": 'use "params"',
    "inputs": 'use "params" (inputs is the name in GitHub Actions)',
    "variables": 'use "vars"',
    "env": 'commands see the environment of the process; name secrets in "secrets"',
    "environment": 'commands see the environment of the process; name secrets in "secrets"',
    "register": 'use "id" and "capture"; the value is steps.<id>.output (register is Ansible\'s name for it)',
    "output": 'use "capture"; the value is steps.<id>.output',
    "outputs": 'use "capture"; the value is steps.<id>.output',
    "jobs": 'use "steps"; a runbook is one list',
    "tasks": 'use "steps" (tasks is Ansible\'s name for it)',
    "stages": 'use "steps"; a runbook is one list',
    "pre_tasks": 'put them first in "steps"',
    "post_tasks": 'put them last in "steps", or into "finally"',
    "block": 'use "steps" inside a step (block is Ansible\'s name for it)',
    "rescue": 'use "on_failure" (rescue is Ansible\'s name for it)',
    "always": 'use "finally" (always is Ansible\'s name for it)',
    "ensure": 'use "finally"',
    "cleanup": 'use "finally"',
    "after_script": 'use "finally" (after_script is GitLab\'s name for it)',
    "handler_on": 'use "on_success", "on_failure" and "finally" (handler_on is Dagu\'s name for it)',
    "handlerOn": 'use "on_success", "on_failure" and "finally"',
    "on_exit": 'use "finally"',
    "mail_on": 'use "on_success" or "on_failure" with a command that sends mail (mail_on is Dagu\'s name for it)',
    "handlers": 'use "on_success", "on_failure" and "finally"',
    "notify": 'use "on_success" or "on_failure"',
    "onFailure": 'use "on_failure"',
    "onSuccess": 'use "on_success"',
    "fail-fast": 'use "fail_fast" (fail-fast is how GitHub Actions spells it)',
    "any_errors_fatal": 'use "fail_fast" (any_errors_fatal is Ansible\'s name for it)',
    "timeout-minutes": 'use "timeout" with a unit, as in "10m"',
    "timeout_sec": 'use "timeout" with a unit, as in "10m"',
    "timeout_seconds": 'use "timeout" with a unit, as in "90s"',
    "time_limit": 'use "timeout" with a unit, as in "10m"',
    "deadline": 'use "timeout" with a unit, as in "10m"',
    "async": 'use "parallel" for steps that run together',
    "max-parallel": 'use "max_parallel" (max-parallel is how GitHub Actions spells it)',
    "forks": 'use "max_parallel"',
    "serial": 'use "max_parallel"',
    "throttle": 'use "max_parallel" (throttle is Ansible\'s name for it)',
    "max_active_steps": 'use "max_parallel" (max_active_steps is Dagu\'s name for it)',
    "background": 'use "parallel" for steps that run together',
    "schedule": "a runbook has no scheduler; start it from cron",
    "cron": "a runbook has no scheduler; start it from cron",
    "on": "a runbook has no triggers; start it from cron, a deploy or by hand",
    "concurrency": 'use "lock" (concurrency is the name in GitHub Actions)',
    "mutex": 'use "lock"',
    "max_active_runs": 'use "lock" (max_active_runs is Dagu\'s name for it); the file has one by default',
    "include": 'use "runbook" (static, read when the file is loaded)',
    "include_tasks": 'use "runbook" (static, read when the file is loaded)',
    "import_tasks": 'use "runbook" (static, read when the file is loaded)',
    "import_playbook": 'use "runbook" (static, read when the file is loaded)',
    "include_role": 'use "runbook" (static, read when the file is loaded)',
    "workflow": 'use "runbook" (static, read when the file is loaded)',
    "become": "a command runs as the user of this process; leave it out",
    "hosts": "a runbook runs on this host; leave it out",
    "delegate_to": "a runbook runs on this host; leave it out",
    "working-directory": "a command runs in the working directory of this process; leave it out",
    "working_directory": "a command runs in the working directory of this process; leave it out",
    "chdir": "a command runs in the working directory of this process; leave it out",
    "dir": "a command runs in the working directory of this process; leave it out",
    "failed_when": "a command fails by raising, or by its exit code; leave it out",
    "changed_when": "a runbook does not count changes; leave it out",
    "prompt": 'use "confirm"',
    "pause": 'use "confirm"',
    "approval": 'use "confirm"',
    "dry_run": "give --dry-run to run_runbook",
    "secret": 'use "secrets"',
    "version": "a runbook has no version key; leave it out",
    "title": 'use "name"',
    "label": 'use "name"',
}
