"""Explains the names, filters and tests of expressions in one line, for editors; the reference has the rest."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Final

from django_runbook.document.evaluation.functions import FUNCTIONS

ROOT_TEXTS: Final[Mapping[str, str]] = {
    "params": "The parameters of the runbook, each in its type.",
    "vars": "The variables of the file, computed once when the run starts.",
    "env": "The environment variables that the file declares.",
    "secrets": "The secrets of the file, masked wherever they are shown.",
    "steps": "The steps before this one, by their ids.",
    "run": "The run: its id, its name and its file.",
    "item": 'The item of the innermost "for_each" around this place.',
    "today": "The day on which the run started, in the time zone of the project.",
    "now": "The moment at which the run started, in the time zone of the project.",
}
STEP_TEXTS: Final[Mapping[str, str]] = {
    "id": "Its id, with the number of its item.",
    "name": "Its name.",
    "status": "How it ended: succeeded, failed, skipped …",
    "ignored": 'Whether it failed and "continue_on_error" ignored it.',
    "exit_code": "0, or the exit code of its failure; absent if it did not run.",
    "attempts": "The number of attempts.",
    "error": "The message of its failure; absent without a failure.",
    "output": "Its captured output; absent if it did not succeed.",
    "results": "The list of its items, each with the attributes of a step.",
}
RUN_TEXTS: Final[Mapping[str, str]] = {
    "id": "The unique id of the run.",
    "name": "The name of the runbook.",
    "file": "The file of the runbook.",
    "status": "The status of the list that the handler belongs to.",
    "failed_step": "The id of the first failed step; absent without a failure.",
    "error": "The message of that failure.",
}
FILTER_TEXTS: Final[Mapping[str, str]] = {
    "abs": "Return the absolute value of a number.",
    "capitalize": "Capitalize the first letter, and convert the others to lower case.",
    "count": "Count the items.",
    "d": "Return a default if the value is absent.",
    "default": "Return a default if the value is absent; with true as the second argument, also if it is empty.",
    "dictsort": "List the pairs of a mapping, sorted.",
    "first": "Return the first item.",
    "float": "Convert to a floating-point number.",
    "int": "Convert to an integer.",
    "items": "List the pairs of a mapping.",
    "join": "Join the items into a string, with a separator between them.",
    "last": "Return the last item.",
    "length": "Count the items, or the characters of a string.",
    "list": "Make a list of the items.",
    "lower": "Convert to lower case.",
    "map": "Apply a filter to each item, or return an attribute of each.",
    "max": "Return the largest item.",
    "min": "Return the smallest item.",
    "reject": "Remove the items that pass a test.",
    "rejectattr": "Remove the items with an attribute that passes a test.",
    "replace": "Replace a part of a string.",
    "reverse": "Reverse the order.",
    "round": "Round a number, by default to an integer.",
    "select": "Keep the items that pass a test.",
    "selectattr": "Keep the items with an attribute that passes a test.",
    "sort": "Sort the items.",
    "string": "Convert to a string.",
    "sum": "Add the items.",
    "title": "Capitalize each word.",
    "tojson": "Write as JSON.",
    "trim": "Remove white space at both ends.",
    "unique": "Remove duplicates.",
    "upper": "Convert to upper case.",
}
TEST_TEXTS: Final[Mapping[str, str]] = {
    "boolean": "True for true and false.",
    "defined": "True for a value that is present.",
    "divisibleby": "True for a number that is divisible by another.",
    "eq": "True for equal values.",
    "equalto": "True for equal values.",
    "even": "True for an even number.",
    "false": "True for false.",
    "float": "True for a floating-point number.",
    "ge": "True for a value that is not smaller.",
    "greaterthan": "True for a larger value.",
    "gt": "True for a larger value.",
    "in": "True for an item of a list, or a part of a string.",
    "integer": "True for an integer.",
    "iterable": "True for a string, a list or a mapping.",
    "le": "True for a value that is not larger.",
    "lessthan": "True for a smaller value.",
    "lower": "True for a string in lower case.",
    "lt": "True for a smaller value.",
    "mapping": "True for a mapping.",
    "ne": "True for different values.",
    "none": "True for null.",
    "number": "True for a number.",
    "odd": "True for an odd number.",
    "sameas": "True for the same value, of the same type.",
    "sequence": "True for a string, a list or a mapping.",
    "string": "True for a string.",
    "true": "True for true.",
    "undefined": "True for a value that is absent.",
    "upper": "True for a string in upper case.",
}


def function_text(name: str) -> str:
    """Return what a date function returns."""
    return inspect.getdoc(FUNCTIONS[name]) or ""


def signature_of(name: str) -> str:
    """Return a call of a date function: ``add_months(date, n)``."""
    return f"{name}({', '.join(inspect.signature(FUNCTIONS[name]).parameters)})"
