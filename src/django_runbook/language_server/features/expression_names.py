"""Lists the names that can be written at the cursor in an expression, each with its explanation."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from django_runbook.document.evaluation.filters import FILTERS
from django_runbook.document.evaluation.functions import FUNCTIONS
from django_runbook.document.evaluation.members import ATTRIBUTES, METHODS
from django_runbook.document.evaluation.tests import TESTS
from django_runbook.document.expressions import Expression, Template, as_written
from django_runbook.document.runbook import CallStep, CommandStep, Located, Param, Step
from django_runbook.document.validation.reference_checks import STEP_NAMES, UNTIL_NAMES
from django_runbook.editor.expression_texts import (
    FILTER_TEXTS,
    ROOT_TEXTS,
    RUN_TEXTS,
    STEP_TEXTS,
    TEST_TEXTS,
    function_text,
    signature_of,
)
from django_runbook.language_server.cursor.cursor_scopes import CursorScope
from django_runbook.language_server.cursor.expression_cursor import ExpressionCursor, Writing
from django_runbook.language_server.features.answers import SuggestionKind

_TYPES: Final[Mapping[str, type]] = {
    "string": str,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "list": list,
    "today": datetime.date,
    "now": datetime.datetime,
}
_MAX_SHOWN: Final = 200


class Name(NamedTuple):
    """Holds a name that can be written, with what it is in a word or two, and an explanation in Markdown."""

    name: str
    kind: SuggestionKind
    detail: str = ""
    help: str = ""
    is_function: bool = False


def names_at(cursor: ExpressionCursor, scope: CursorScope) -> list[Name]:
    """Return the names that can be written at the cursor."""
    match cursor.writing:
        case Writing.FILTER:
            return [
                Name(name, SuggestionKind.FUNCTION, "filter", FILTER_TEXTS.get(name, "")) for name in sorted(FILTERS)
            ]
        case Writing.TEST:
            names = (name for name in sorted(TESTS) if name.isidentifier())
            return [Name(name, SuggestionKind.FUNCTION, "test", TEST_TEXTS.get(name, "")) for name in names]
        case Writing.NAME:
            roots = [Name(root, SuggestionKind.VARIABLE, "", ROOT_TEXTS.get(root, "")) for root in scope.scope.roots]
            return [*roots, *_functions()]
    return list(_members(cursor.path, scope))


def _functions() -> Iterator[Name]:
    for name in FUNCTIONS:
        help_text = f"`{signature_of(name)}`\n\n{function_text(name)}"
        yield Name(name, SuggestionKind.FUNCTION, signature_of(name), help_text, is_function=True)


def _members(path: tuple[str, ...], scope: CursorScope) -> Iterator[Name]:
    match path:
        case ("steps",):
            for step_id in scope.scope.steps:
                step = scope.steps.get(step_id)
                yield Name(step_id, SuggestionKind.STEP, "step", _about_step(step) if step is not None else "")
        case ("steps", step_id):
            yield from _attributes_of_step(step_id, scope)
        case ("run",):
            for name in scope.scope.run_names:
                yield Name(name, SuggestionKind.ATTRIBUTE, "", RUN_TEXTS.get(name, ""))
        case ("item",):
            for name in scope.scope.item_names or ():
                yield Name(name, SuggestionKind.ATTRIBUTE, "of the item")
        case ("params",):
            for param in scope.runbook.params:
                if param.name in scope.scope.params:
                    yield Name(param.name, SuggestionKind.VARIABLE, param.type, about_param(param))
        case ("params", name):
            yield from _of_type(_TYPES.get(scope.scope.params.get(name, "")))
        case ("today" | "now" as root,):
            yield from _of_type(_TYPES[root])
        case (root,):
            known = getattr(scope.scope, root, ()) if root in scope.scope.roots else ()
            for name in known if isinstance(known, Collection) else ():
                yield Name(str(name), SuggestionKind.VARIABLE, "", _about_value(scope.runbook.vars.get(name), root))


def _attributes_of_step(step_id: str, scope: CursorScope) -> Iterator[Name]:
    facts = scope.scope.steps.get(step_id)
    if facts is None:
        return
    for name in UNTIL_NAMES if facts.is_own else STEP_NAMES:
        is_absent = (name == "output" and not facts.captures) or (name == "results" and not facts.is_loop)
        if not is_absent:
            yield Name(name, SuggestionKind.ATTRIBUTE, f"of {step_id}", STEP_TEXTS.get(name, ""))


def _of_type(kind: type | None) -> Iterator[Name]:
    if kind is None:
        return
    attributes = {name for owner, names in ATTRIBUTES.items() if issubclass(kind, owner) for name in names}
    methods = {name for owner, names in METHODS.items() if issubclass(kind, owner) for name in names}
    yield from (Name(name, SuggestionKind.ATTRIBUTE, kind.__name__) for name in sorted(attributes))
    yield from (Name(name, SuggestionKind.FUNCTION, kind.__name__, is_function=True) for name in sorted(methods))


def about_param(param: Param) -> str:
    """Return the declaration of a parameter in Markdown."""
    parts = [f"**{param.name}**: {param.type or 'unknown type'}", param.help]
    if param.choices:
        parts.append(f"Choices: {', '.join(f'`{choice}`' for choice in param.choices)}")
    parts.append("Required" if param.default is None else f"Default: `{_shown(param.default)}`")
    return "\n\n".join(filter(None, parts))


def _about_step(step: Step) -> str:
    """Return the name and the command of a step in Markdown."""
    what = ""
    if isinstance(step, CommandStep):
        words = (str(as_written(word.value)) for word in step.command if isinstance(word.value, str | Template))
        what = f"`{' '.join(words)[:_MAX_SHOWN]}`"
    elif isinstance(step, CallStep):
        what = f"runbook `{step.runbook.path}`"
    name = as_written(step.name)
    title = f"**{step.id}**" if name == step.id else f"**{step.id}**: {name}"
    return "\n\n".join(filter(None, (title, what, step.description)))


def _about_value(value: Located | None, root: str) -> str:
    return f"`{_shown(value)}`" if value is not None and root == "vars" else ""


def _shown(value: Located) -> str:
    match value.value:
        case Template():
            text = as_written(value.value)
        case Expression(source=source):
            text = source
        case tuple():
            text = f"[{', '.join(_shown(item) for item in value.value)}]"
        case dict():
            text = f"{{{', '.join(f'{name}: {_shown(item)}' for name, item in value.value.items())}}}"
        case other:
            text = value.text or str(other)
    return text[:_MAX_SHOWN]
