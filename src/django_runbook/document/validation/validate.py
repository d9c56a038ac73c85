"""Validates the nodes of a file as a Runbook: checks every key, type and name, and reports all errors at once."""

from __future__ import annotations

from pathlib import PurePath

from django_runbook.cleaning import is_blank
from django_runbook.document import params as parameters
from django_runbook.document.diagnostics import Diagnostic, in_order
from django_runbook.document.expressions import Expression, Template
from django_runbook.document.keys import Kind
from django_runbook.document.runbook import Block, Located, Param, Runbook, Schedule
from django_runbook.document.syntax.nodes import Mapping, MissingNode, Node, Scalar, Sequence, has_missing_part, span_of
from django_runbook.document.syntax.parse import Parsed, parse
from django_runbook.document.syntax.source import START, Source
from django_runbook.document.validation import environment, policies
from django_runbook.document.validation.called_runbooks import CalledRunbooks, RefusedRunbook
from django_runbook.document.validation.reading import FileContent, Keys, Reading
from django_runbook.document.validation.rules import RULES
from django_runbook.document.validation.steps import StepReader
from django_runbook.structs import replace


def load(source: Source, *, called: CalledRunbooks | None = None) -> tuple[Runbook | None, list[Diagnostic]]:
    """Read the runbook in a source; return it with all diagnostics in the order of the file.

    A runbook with errors holds everything readable, so that its commands can be checked too; it is None if nothing is
    readable. ``called`` loads the called runbooks, whose diagnostics have a path.
    """
    called = called or CalledRunbooks()

    def read_called(node: Scalar, caller: Reading) -> Runbook:
        found = called.open(node.text, caller=source.path)
        if isinstance(found, RefusedRunbook):
            caller.report(found.code, found.message, node, help_text=found.help)
            return _nothing(node.text)
        if found.runbook is None:
            with called.inside(found):
                runbook, diagnostics = (None, found.problems) if found.problems else load(found.source, called=called)
            caller.diagnostics.extend(
                item if item.path else replace(item, path=found.source.path) for item in diagnostics
            )
            found.runbook = runbook or _nothing(found.source.path)
        return found.runbook

    parsed = parse(source)
    reading = Reading(
        source=source, removed_text=parsed.removed_text, read_called=read_called, diagnostics=list(parsed.diagnostics)
    )
    runbook = _validate(parsed, reading, own_lock=f"runbook {called.key_of(source.path)}")
    return runbook, in_order(reading.diagnostics)


def _nothing(path: str) -> Runbook:
    """Return an empty runbook in place of an unreadable one, which is reported already."""
    return Runbook(path=path, name=PurePath(path).stem, block=Block(steps=()))


def _validate(parsed: Parsed, reading: Reading, *, own_lock: str) -> Runbook | None:
    root = parsed.root
    if root is None or (isinstance(root, Scalar) and not root.text):
        if not reading.diagnostics:
            reading.report("RB200", "the file is empty", START, help_text='begin with "steps:" and a list of steps')
        return None
    if not isinstance(root, Mapping):
        if not isinstance(root, MissingNode):
            help_text = 'put the list under "steps:"' if not isinstance(root, Scalar) else 'begin with "steps:"'
            reading.report("RB200", "a runbook must be a mapping", root, help_text=help_text)
        return None
    return _file(root, reading, own_lock=own_lock)


def _file(root: Mapping, reading: Reading, *, own_lock: str) -> Runbook:
    typed, keys = reading.fields(root, Kind.FILE)
    given = typed or {}
    if "$schema" in keys:
        # For editors; a run has no use for it.
        reading.template(keys["$schema"][1], "$schema")
    if "steps" not in keys:
        reading.report("RB204", 'a runbook needs "steps"', root, help_text='add "steps:" and a list of steps')
    steps = StepReader(reading=reading, defaults=_defaults(keys, reading))
    steps.reserve_ids(root)
    name = given.get("name") or ""
    if is_blank(name):
        name = PurePath(reading.source.path).stem
    secrets = tuple(given.get("secrets", ()))
    runbook = Runbook(
        path=reading.source.path,
        name=name,
        description=given.get("description", ""),
        params=_params(keys, reading),
        vars=_vars(keys, reading),
        env=environment.declared(keys, reading, secrets=secrets),
        secrets=secrets,
        is_recorded=given.get("journal", True),
        unusual=given.get("unusual") or "warn",
        notify=_notify(keys) if "notify" in given else None,
        block=steps.block(typed, keys),
        timeout_seconds=policies.timeout(keys, reading),
        lock=policies.lock(keys, reading, default=own_lock),
        schedule=_schedule(keys, reading),
    )
    file = FileContent(runbook=runbook, keys=keys, removed_text=reading.removed_text)
    for rule in RULES:
        reading.diagnostics.extend(rule(file))
    return runbook


def _schedule(keys: Keys, reading: Reading) -> Schedule | None:
    if "schedule" not in keys:
        return None
    # Other files do not need it.
    from django_runbook.document.validation.schedules import schedule

    return schedule(keys, reading)


def _defaults(keys: Keys, reading: Reading) -> list[tuple[Scalar, Node]]:
    if "defaults" not in keys:
        return []
    node = keys["defaults"][1]
    if not isinstance(node, Mapping):
        reading.expected("defaults", "a mapping of step keys", node)
        return []
    _, known = reading.fields(node, Kind.DEFAULTS)
    return list(known.values())


def _notify(keys: Keys) -> tuple[Located, ...]:
    node = keys["notify"][1]
    items = node.items if isinstance(node, Sequence) else ()
    names = (item for item in items if isinstance(item, Scalar))
    return tuple(Located(value=name.text, span=span_of(name), text=name.text) for name in names)


def _vars(keys: Keys, reading: Reading) -> dict[str, Located]:
    node = keys["vars"][1] if "vars" in keys else None
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        reading.expected("vars", "a mapping of names to values", node)
        return {}
    return {key.text: reading.value(value) for key, value in node.entries if _is_name(key, reading)}


def _params(keys: Keys, reading: Reading) -> tuple[Param, ...]:
    node = keys["params"][1] if "params" in keys else None
    if node is None:
        return ()
    if not isinstance(node, Mapping):
        reading.expected("params", "a mapping of names to parameters", node)
        return ()
    found = (_param(key, value, reading) for key, value in node.entries if _is_name(key, reading))
    return tuple(param for param in found if param is not None)


def _is_name(key: Scalar, reading: Reading) -> bool:
    if key.text.isidentifier():
        return True
    help_text = f'write it as "{key.text.replace("-", "_")}"' if "-" in key.text else ""
    reading.report("RB210", f'"{key.text}" cannot be a name in expressions', key, help_text=help_text)
    return False


def _param(key: Scalar, node: Node, reading: Reading) -> Param | None:
    span = span_of(key)
    if not isinstance(node, Mapping) and has_missing_part(node):
        # The unreadable part is reported already, and its values are unknown.
        return Param(name=key.text, type="", span=span)
    if not isinstance(node, Mapping):
        default = reading.value(node)
        return Param(
            name=key.text, type=parameters.type_of(_plain(default)), span=span, default=_typed(default, key, reading)
        )
    typed, fields = reading.fields(node, Kind.PARAM)
    if typed is None or has_missing_part(node):
        # Without its type and its values, nothing more can be checked.
        return Param(name=key.text, type="", span=span)
    given = reading.value(fields["default"][1]) if "default" in fields else None
    choices = _choices(fields, reading)
    first = choices[0] if choices else _plain(given)
    param = Param(
        name=key.text,
        type=typed.get("type") or parameters.type_of(first),
        span=span,
        default=given,
        help=typed.get("help", ""),
    )
    return _checked(param, choices, fields, reading)


def _typed(default: Located, key: Scalar, reading: Reading) -> Located:
    if default.value is None:
        message = f'the parameter "{key.text}" has no value'
        help_text = (
            "add a default, or a mapping with its type, such as {type: integer, default: null} for an optional one"
        )
        reading.report("RB205", message, key, help_text=help_text)
    return default


def _choices(fields: Keys, reading: Reading) -> tuple[object, ...]:
    if "choices" not in fields:
        return ()
    node = fields["choices"][1]
    value = _plain(reading.value(node))
    if isinstance(value, tuple) and value:
        return value
    reading.expected("choices", "a list of values", node)
    return ()


def _checked(param: Param, choices: tuple[object, ...], fields: Keys, reading: Reading) -> Param:
    try:
        typed = tuple(parameters.convert(_item_of(param), choice) for choice in choices)
    except parameters.ParamError as error:
        reading.report("RB211", f"{error}", fields["choices"][1])
        return param
    checked = Param(
        name=param.name, type=param.type, span=param.span, default=param.default, choices=typed, help=param.help
    )
    default = param.default
    if default is not None and default.value is not None and not _has_expression(default):
        try:
            parameters.convert(checked, _plain(default))
        except parameters.ParamError as error:
            reading.report("RB211", f"the default does not fit: {error}", default.span)
    return checked


def _item_of(param: Param) -> Param:
    return Param(name=param.name, type="string", span=param.span) if param.type == "list" else param


def _has_expression(located: Located) -> bool:
    return isinstance(located.value, Template | Expression)


def _plain(located: Located | None) -> object:
    """Return a value without its places; a template counts as a string."""
    if located is None:
        return None
    if isinstance(located.value, tuple):
        return tuple(_plain(item) for item in located.value)
    return "" if isinstance(located.value, Template) else located.value
