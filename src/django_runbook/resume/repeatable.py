"""Lists the commands that are safe to repeat after an interruption, so that a resumed run does not ask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from django.core.management import get_commands
from django.db import connections

from django_runbook.binding import catalog
from django_runbook.binding.database_option import database_of
from django_runbook.document.runbook import CommandStep
from django_runbook.structs import Struct


class Verdict(Struct):
    """Says whether a second call of an interrupted command has the same effect as one call, and why.

    With ``needs_ddl_rollback`` this is true only in a database that rolls back schema changes.
    """

    is_safe: bool
    why: str
    needs_ddl_rollback: bool = False


def _safe(why: str, *, needs_ddl_rollback: bool = False) -> Verdict:
    return Verdict(is_safe=True, why=why, needs_ddl_rollback=needs_ddl_rollback)


def _unsafe(why: str) -> Verdict:
    return Verdict(is_safe=False, why=why)


# By app, then by command: a command of the same name in another app is unknown.
VERDICTS: Final[Mapping[str, Mapping[str, Verdict]]] = {
    "django.core": {
        "check": _safe("only reads"),
        "compilemessages": _safe("writes each .mo file from its .po file"),
        "createcachetable": _safe("creates only the tables that are missing"),
        "dbshell": _unsafe("runs any SQL"),
        "diffsettings": _safe("only reads"),
        "dumpdata": _safe("reads the database and writes its file from the start"),
        "flush": _unsafe("would delete rows written since, including the history of the run"),
        "inspectdb": _safe("only reads"),
        "loaddata": _unsafe("adds objects without a primary key twice, and overwrites later changes"),
        "makemessages": _safe("merges strings that are already in its files"),
        "makemigrations": _unsafe("may leave an incomplete migration, or write an empty one twice"),
        "migrate": _safe(
            "applies only migrations that are not recorded, and each commits together with its record",
            needs_ddl_rollback=True,
        ),
        "optimizemigration": _unsafe("rewrites source code"),
        "runserver": _unsafe("serves requests"),
        "sendtestemail": _unsafe("sends its mail twice"),
        "shell": _unsafe("runs any code"),
        "showmigrations": _safe("only reads"),
        "sqlflush": _safe("only prints SQL"),
        "sqlmigrate": _safe("only prints SQL"),
        "sqlsequencereset": _safe("only prints SQL"),
        "squashmigrations": _unsafe("rewrites source code"),
        "startapp": _unsafe("refuses a folder that the first call created"),
        "startproject": _unsafe("refuses a folder that the first call created"),
        "test": _unsafe("runs any code of the tests"),
        "testserver": _unsafe("serves requests"),
    },
    "django.contrib.auth": {
        "changepassword": _unsafe("asks for a password"),
        "createsuperuser": _unsafe("fails if the first call created the user"),
    },
    "django.contrib.contenttypes": {
        "remove_stale_contenttypes": _safe("deletes only content types without a model"),
    },
    "django.contrib.gis": {
        "inspectdb": _safe("only reads"),
        "ogrinspect": _safe("only reads"),
    },
    "django.contrib.sessions": {
        "clearsessions": _safe("deletes only expired sessions"),
    },
    "django.contrib.staticfiles": {
        "collectstatic": _safe("copies the files that are missing or older than their sources"),
        "findstatic": _safe("only reads"),
        "runserver": _unsafe("serves requests"),
    },
    "django_runbook": {
        "check_runbooks": _safe("only reads"),
        "check_runs": _safe("only reads"),
        "diff_runbook": _safe("only reads"),
        "fail_run": _safe("only fails"),
        "import_crontab": _unsafe("refuses files that the first call wrote"),
        "import_script": _unsafe("refuses files that the first call wrote"),
        "list_runbooks": _safe("only reads"),
        "mail_run_report": _unsafe("sends its mail twice"),
        "new_runbook": _unsafe("refuses a file that the first call created"),
        "prune_runs": _safe("is a batch command, which continues from its checkpoint"),
        "purge_rows": _safe("is a batch command, which continues from its checkpoint"),
        "render_schedule": _safe("writes its files from the start"),
        "run_runbook": _unsafe("starts a new run of the runbook"),
        "runbook_completion": _safe("only reads"),
        "runbook_lsp": _unsafe("serves an editor"),
        "runbook_schema": _safe("writes its file from the start"),
        "show_calls": _safe("only reads"),
        "show_runs": _safe("only reads"),
        "wait_for": _safe("only polls and waits"),
    },
}


class RepeatableCommands(Struct):
    """Holds the commands that are safe to repeat; ``own`` are those that the project lists in its settings."""

    own: Collection[str] = ()

    def may_repeat(self, step: CommandStep, argv: Sequence[str]) -> bool:
        """Return whether a step can be repeated after an interruption; the file overrides the verdict."""
        if step.idempotent is not None:
            return step.idempotent or step.atomic
        command = str(step.command[0].value)
        return step.atomic or _continues(command) or self.is_safe(command, argv)

    def is_safe(self, command: str, argv: Sequence[str]) -> bool:
        """Return whether a second call with these arguments is safe."""
        if command in self.own:
            return True
        app = get_commands().get(command, "")
        verdict = VERDICTS.get(app, {}).get(command) if isinstance(app, str) else None
        if verdict is None or not verdict.is_safe:
            return False
        return not verdict.needs_ddl_rollback or _rolls_back_ddl(argv)


def _rolls_back_ddl(argv: Sequence[str]) -> bool:
    alias = database_of(argv)
    return alias in connections.settings and bool(connections[alias].features.can_rollback_ddl)


def _continues(command: str) -> bool:
    """Return whether a command continues from its last checkpoint."""
    try:
        loaded = catalog.load(command)
    except Exception:  # noqa: BLE001 - a command that cannot be loaded was reported when the file was checked
        return False
    return bool(getattr(loaded, "continues_from_checkpoint", False))
