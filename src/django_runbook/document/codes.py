"""Defines the code of each diagnostic: its severity, its title and its place in the documentation.

This table is the only source of all three. `diagnostics.diagnose` reads it; tests hold the documentation to it.
"""

from __future__ import annotations

import enum
import re
from typing import Final

from django_runbook.structs import Struct

_PAGE: Final = "reference/diagnostics.md"
_NOT_IN_ANCHORS: Final = re.compile(r"[^\w -]")


class Severity(enum.StrEnum):
    ERROR = "error"
    WARNING = "warning"


class CodeDefinition(Struct):
    """Defines a code; only a code with the severity ERROR keeps a runbook from running."""

    code: str
    severity: Severity
    title: str

    @property
    def documentation(self) -> str:
        """Return the page and the anchor of its section, from the folder of the documentation."""
        heading = f"{self.code}: {self.title}".lower()
        return f"{_PAGE}#{_NOT_IN_ANCHORS.sub('', heading).replace(' ', '-')}"


def _error(code: str, title: str) -> CodeDefinition:
    return CodeDefinition(code=code, severity=Severity.ERROR, title=title)


def _warning(code: str, title: str) -> CodeDefinition:
    return CodeDefinition(code=code, severity=Severity.WARNING, title=title)


_DEFINITIONS: Final = (
    _error("RB101", "the file cannot be read"),
    _error("RB102", "the file is too large"),
    _error("RB103", "the file is not UTF-8"),
    _error("RB104", "a character is not allowed in a file"),
    _error("RB105", "a syntax error"),
    _error("RB106", "a duplicate key"),
    _error("RB107", "a tab"),
    _error("RB108", "an anchor, an alias, a tag or a second document"),
    _error("RB109", "a merge key"),
    _error("RB110", "too many levels"),
    _error("RB111", "a key that is not a string"),
    _error("RB112", "a number that YAML versions read in different ways, or that is too long"),
    _error("RB113", "an expression that needs quotes"),
    _error("RB200", "not a runbook"),
    _error("RB201", "an unknown key"),
    _error("RB202", "a key of another tool"),
    _error("RB204", "a missing key"),
    _error("RB205", "a value of the wrong type"),
    _error("RB206", "an invalid duration"),
    _error("RB207", "a duplicate id"),
    _error("RB208", "an empty list of steps"),
    _error("RB209", "a step with two actions"),
    _error("RB210", "a name that expressions cannot use"),
    _error("RB211", "a default or choice that does not fit its parameter"),
    _error("RB212", "a loop with too many items"),
    _error("RB213", "an unknown runbook"),
    _error("RB214", "a runbook that calls itself"),
    _error("RB215", "an unknown or missing parameter"),
    _error("RB216", '"wait" without "on_conflict: wait"'),
    _error("RB217", '"max_parallel" where nothing runs together'),
    _error("RB218", "an invalid parameter value"),
    _error("RB219", '"shards" with a key that it excludes'),
    _error("RB220", "an invalid cron expression"),
    _error("RB221", "an unknown time zone"),
    _error("RB225", "a variable that is listed twice"),
    _error("RB301", "an expression that is not closed"),
    _error("RB302", "braces inside a condition"),
    _error("RB303", "an expression that cannot be parsed"),
    _error("RB304", "an unknown filter, test, function or method, or wrong arguments"),
    _error("RB305", "an undefined name"),
    _error("RB306", "an unknown step"),
    _error("RB307", "a reference to a later step"),
    _error("RB308", 'the output of a step without "capture"'),
    _error("RB309", "a step that cannot be referenced here"),
    _error("RB310", "a condition that is not a boolean"),
    _error("RB311", "a command line that cannot be split"),
    _error("RB312", "an invisible character in a command line or a key"),
    _error("RB320", "an expression without a value"),
    _error("RB401", "an unknown command"),
    _warning("RB402", "arguments that cannot be checked yet"),
    _error("RB403", "an unknown option"),
    _error("RB404", "an invalid argument value"),
    _error("RB405", 'a positional argument under "options"'),
    _error("RB406", "an option without a meaning in a runbook"),
    _error("RB407", "an ambiguous option"),
    _error("RB408", "values that no command line can express"),
    _error("RB409", "a duplicate option"),
    _error("RB410", "a value that would become an option"),
    _error("RB411", "shell syntax"),
    _warning("RB412", "arguments that cannot be checked"),
    _error("RB413", "a missing argument"),
    _error("RB414", "too many arguments"),
    _error("RB415", "a command that cannot be loaded"),
    _error("RB416", "an unknown database alias"),
    _error("RB417", "an exception that cannot be imported"),
    _error("RB418", "too many steps"),
    _error("RB419", "an atomic step whose history is in another database"),
    _error("RB420", "an atomic batch command"),
    _warning("RB421", "a command that parses its own command line"),
    _error("RB422", '"shards" on a command without "--shard"'),
    _error("RB424", 'a command with "env" that cannot have a process of its own'),
    _error("RB430", "an unknown queue"),
    _error("RB431", "a queue without a task engine"),
    _error("RB432", "a queue in a run that is not recorded"),
    _warning("RB433", "a queue whose workers must run on this host"),
    _error("RB434", "a step in the process of the run that has a queue"),
    _error("RB440", "an unknown reporter"),
)
CODES: Final = {definition.code: definition for definition in _DEFINITIONS}
