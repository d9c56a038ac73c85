"""Lists the commands of a shell that the translation knows, and why others have no place in a runbook."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from django_runbook.structs import Struct

# They print or do nothing, so a runbook needs no counterpart.
SILENT: Final = {
    "echo": "reports show each step with its output",
    "printf": "reports show each step with its output",
    "date": "reports show the time of each step",
    "true": "it does nothing",
    ":": "it does nothing",
    "clear": "reports need no empty screen",
    "logger": "the history has the output of each step",
    "umask": "set it where the run is started",
    "ulimit": "set it where the run is started",
    "shopt": "it configures the shell",
    "shift": "params have names",
}
# They do not end, so no step comes after them.
SERVERS: Final = {
    "runserver", "runserver_plus", "testserver", "celery", "qcluster", "run_huey", "process_tasks", "db_worker",
    "rqworker", "rqscheduler", "runworker", "run_celery", "runjobs_loop",
}  # fmt: skip
# Their exit code is an answer; a step after "&&" would run without it.
PREDICATES: Final = {
    "grep", "egrep", "fgrep", "pgrep", "pidof", "which", "type", "hash", "diff", "cmp", "mountpoint", "ping", "nc",
    "pg_isready", "id", "false", "find", "lsof", "host", "nslookup", "mysqladmin", "redis-cli", "getent",
}  # fmt: skip
_WATCHERS: Final = re.compile(
    r"hc-ping\.com|healthchecks?\.|cronitor\.(?:link|io)|nosnch\.in|betteruptime|betterstack|uptime|heartbeat|"
    r"/cron/|opsgenie|deadman|/ping(?:\b|/)|pushover|slack\.com|chat\.googleapis|api\.telegram|webhook",
    re.IGNORECASE,
)
_PING: Final = (
    'a message to a monitor: name a reporter of RUNBOOK["REPORTERS"] in "notify", which reports failures, too'
)

_REASONS: Final = {
    "mail": 'mail: add mail_run_report to on_failure, or a reporter of RUNBOOK["REPORTERS"] to "notify"',
    "sleep": "a pause: use jitter in the schedule, or retry or wait_for if a step has to wait for something",
    "pip": "packages are installed before a run: the run itself uses them",
    "git": "the code is updated before a run: the run itself uses it",
    "pg_dump": "not a management command: write one, or keep it in the shell before or after the run",
}
_SAME: Final = {
    **dict.fromkeys(("mailx", "sendmail", "mutt", "msmtp"), "mail"),
    **dict.fromkeys(("pip3", "pipenv", "poetry", "uv", "pdm", "npm", "yarn", "apt-get", "apt"), "pip"),
    **dict.fromkeys(("hg", "svn"), "git"),
}


class Wrapper(Struct):
    """Describes a command that runs another one: its options with values, and its own arguments before that one.

    ``first`` are the sub-commands that make it a wrapper. ``reason`` says what becomes of it. ``variable_options`` set
    variables. With ``ends_with_dashes``, the other command follows "--".
    """

    options: frozenset[str] = frozenset()
    arguments: int = 0
    first: tuple[str, ...] = ()
    reason: str = ""
    takes_variables: bool = False
    variable_options: frozenset[str] = frozenset()
    ends_with_dashes: bool = False


_PRIORITY: Final = "give the run its priority where it is started"
_LOGGED: Final = "the history has the output of each step"
_QUIET: Final = "--verbosity 0 prints problems only"
_RUN_AS: Final = "start the run as this user"
_CONTAINER: Final = "start the run in the container"
_PACKAGES: Final = "start the run with it"
_EXEC: Final = frozenset(("-u", "--user", "-e", "--env", "-w", "--workdir", "--index", "--name", "-v", "--entrypoint"))
_COMPOSE: Final = _EXEC | {"-f", "--file", "-p", "--project-name", "--profile", "--env-file", "--network"}


def _compose(*first: str) -> Wrapper:
    variable_options = frozenset(("-e", "--env"))
    return Wrapper(options=_COMPOSE, arguments=1, first=first, reason=_CONTAINER, variable_options=variable_options)


def _options(text: str) -> frozenset[str]:
    return frozenset(text.split())


WRAPPERS: Final[Mapping[str, tuple[Wrapper, ...]]] = {
    "sudo": (Wrapper(options=_options("-u -g -C -p -h -U --user --group"), reason=_RUN_AS, takes_variables=True),),
    "doas": (Wrapper(options=_options("-u"), reason=_RUN_AS),),
    "gosu": (Wrapper(arguments=1, reason=_RUN_AS),),
    "setuser": (Wrapper(arguments=1, reason=_RUN_AS),),
    "env": (Wrapper(options=_options("-u --unset"), takes_variables=True),),
    "nice": (Wrapper(options=_options("-n --adjustment"), reason=_PRIORITY),),
    "ionice": (Wrapper(options=_options("-c -n"), reason=_PRIORITY),),
    "chrt": (Wrapper(arguments=1, reason=_PRIORITY),),
    "nohup": (Wrapper(reason="start the run with it if a terminal may go away"),),
    "setsid": (Wrapper(),),
    "time": (Wrapper(reason="reports show how long each step took"),),
    "exec": (Wrapper(),),
    "command": (Wrapper(),),
    "chronic": (Wrapper(reason=_QUIET),),
    "cronic": (Wrapper(reason=_QUIET),),
    "stdbuf": (Wrapper(options=_options("-i -o -e")),),
    "unbuffer": (Wrapper(),),
    "systemd-cat": (Wrapper(options=_options("-t -p"), reason=_LOGGED),),
    "newrelic-admin": (Wrapper(first=("run-program",), reason=_PACKAGES),),
    "ddtrace-run": (Wrapper(reason=_PACKAGES),),
    "opentelemetry-instrument": (Wrapper(reason=_PACKAGES),),
    "dotenv": (Wrapper(options=_options("-f --file"), first=("run",), reason=_PACKAGES),),
    "envdir": (Wrapper(arguments=1, reason=_PACKAGES),),
    "poetry": (Wrapper(options=_options("-C --directory -P"), first=("run",), reason=_PACKAGES),),
    "pipenv": (Wrapper(first=("run",), reason=_PACKAGES),),
    "pdm": (Wrapper(options=_options("-p"), first=("run",), reason=_PACKAGES),),
    "hatch": (Wrapper(first=("run",), reason=_PACKAGES),),
    "rye": (Wrapper(first=("run",), reason=_PACKAGES),),
    "uv": (
        Wrapper(
            options=_options("--project --directory --python -p --env-file --group --extra --with"),
            first=("run",),
            reason=_PACKAGES,
        ),
    ),
    "docker": (_compose("compose", "exec"), _compose("compose", "run"), _compose("exec"), _compose("run")),
    "docker-compose": (_compose("exec"), _compose("run")),
    "podman": (_compose("exec"), _compose("run")),
    "kubectl": (
        Wrapper(
            options=_options("-n --namespace -c --container --context"),
            arguments=1,
            first=("exec",),
            reason=_CONTAINER,
            ends_with_dashes=True,
        ),
    ),
    "cronitor": (Wrapper(arguments=1, first=("exec",), reason=_PING),),
    "runitor": (Wrapper(options=_options("-uuid -slug -ping-key -api-url"), reason=_PING),),
    "sentry-cli": (
        Wrapper(
            options=_options("-e --environment -s --schedule"), arguments=1, first=("monitors", "run"), reason=_PING
        ),
    ),
}


def reason_of(name: str, source: str) -> str:
    """Say why a command has no place in a runbook, and what to do."""
    if '"$@"' in source:
        return "it runs the arguments of the script: start them after the run"
    if name in {"curl", "wget", "http"} and _WATCHERS.search(source):
        return _PING
    if name.startswith("pip") or name in _REASONS or name in _SAME:
        return _REASONS[_SAME.get(name, name if name in _REASONS else "pip")]
    return "not a management command: write one, or keep it in the shell before or after the run"
