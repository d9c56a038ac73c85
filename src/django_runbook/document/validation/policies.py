"""Reads the keys that control how a step runs: retry, for_each, shards, timeout and lock."""

from __future__ import annotations

import math

from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import Template
from django_runbook.document.keys import EXPECTED, MAX_ATTEMPTS, MAX_ITEMS, Kind
from django_runbook.document.runbook import Located, LockSettings, Retry, ShardSettings
from django_runbook.document.syntax.nodes import Mapping, MissingNode, Node, Scalar, Sequence, span_of
from django_runbook.document.syntax.scalars import resolve
from django_runbook.document.validation.reading import Keys, Reading, Typed

_TOO_MANY = "process many rows in one command: each item of a loop has its own result"


def retry(keys: Keys, reading: Reading) -> Retry | None:
    """Read ``retry``: a number of attempts, or a mapping."""
    if "retry" not in keys:
        return None
    node = keys["retry"][1]
    if isinstance(node, Scalar) and type(attempts := resolve(node)) is int:
        if 1 <= attempts <= MAX_ATTEMPTS:
            return Retry(attempts=attempts)
        reading.expected("retry", EXPECTED["attempts"], node)
        return None
    if not isinstance(node, Mapping):
        reading.expected("retry", "the number of attempts, or a mapping with attempts, delay and so on", node)
        return None
    typed, fields = reading.fields(node, Kind.RETRY)
    delay = reading.duration(fields.get("delay", (None, None))[1], "delay", default=1.0)
    max_delay = reading.duration(fields.get("max_delay", (None, None))[1], "max_delay", default=60.0)
    until = reading.condition(fields["until"][1], "until") if "until" in fields else None
    if typed is None:
        return None
    if typed.get("errors") is not None:
        typed["errors"] = tuple(typed["errors"])
    longest = max_delay if "max_delay" in fields else max(max_delay, delay)
    return Retry(delay_seconds=delay, max_delay_seconds=longest, until=until, **typed)


def error_spans(keys: Keys) -> dict[tuple[str, str], Span]:
    """Locate the exceptions that ``errors`` and ``continue_on_error`` name."""
    nodes = {key: keys[key][1] for key in ("continue_on_error",) if key in keys}
    retry_node = keys["retry"][1] if "retry" in keys else None
    if isinstance(retry_node, Mapping):
        nodes |= {key.text: node for key, node in retry_node.entries if key.text == "errors"}
    return {
        (key, item.text): span_of(item)
        for key, node in nodes.items()
        if isinstance(node, Sequence)
        for item in node.items
        if isinstance(item, Scalar)
    }


def queue_span(keys: Keys) -> Span | None:
    """Return the place of the value of ``queue``, which may be in the defaults of the file."""
    return span_of(keys["queue"][1]) if "queue" in keys else None


def shards(keys: Keys, typed: Typed, reading: Reading) -> ShardSettings | None:
    """Read ``shards``: a number, or ``auto``."""
    if "shards" not in keys:
        return None
    node = keys["shards"][1]
    count = resolve(node) if isinstance(node, Scalar) else None
    if count == "auto" or (type(count) is int and 1 <= count <= MAX_ITEMS):
        number = count if isinstance(count, int) else None
        return ShardSettings(count=number, max_parallel=typed.get("max_parallel"), span=span_of(node))
    reading.expected("shards", EXPECTED["shards"], node)
    return None


def for_each(keys: Keys, reading: Reading) -> Located | None:
    """Read ``for_each``: a list, a mapping of lists, or one expression."""
    if "for_each" not in keys:
        return None
    node = keys["for_each"][1]
    if isinstance(node, MissingNode):
        return None
    located = reading.value(node)
    match located.value:
        case tuple() as items if len(items) <= MAX_ITEMS:
            return located
        case tuple():
            reading.report("RB212", f'"for_each" has more than {MAX_ITEMS} items', node, help_text=_TOO_MANY)
        case Template() as template if template.whole is not None:
            return located
        case dict() as lists if lists:
            return located if _are_lists(node, lists, reading) else None
        case str() as text if text and isinstance(node, Scalar):
            message = '"for_each" must be a list, a mapping of lists or an expression, not a string'
            reading.report("RB205", message, node, help_text=f"write an expression as ${{{{ {text} }}}}")
        case _:
            reading.expected("for_each", "a list, a mapping of at least one list, or one whole expression", node)
    return None


def _are_lists(node: Node, lists: dict[str, Located], reading: Reading) -> bool:
    """Check a mapping of lists, and the size of their product if all lists are literal."""
    assert isinstance(node, Mapping)
    is_good, count = True, 1
    for key, value in node.entries:
        match lists[key.text].value:
            case tuple() as items:
                count *= max(len(items), 1)
            case Template() as template if template.whole is not None:
                pass
            case _:
                reading.expected(key.text, "a list, or one whole expression that returns one", value)
                is_good = False
        if not key.text.isidentifier():
            reading.report("RB210", f'"{key.text}" cannot be a name in expressions', key)
            is_good = False
    if count > MAX_ITEMS:
        message = f'"for_each" has {count} items, the product of its lists, but at most {MAX_ITEMS} are allowed'
        reading.report("RB212", message, node, help_text=_TOO_MANY)
        return False
    return is_good


def timeout(keys: Keys, reading: Reading) -> float | None:
    """Read ``timeout`` in seconds; None if there is none."""
    if "timeout" not in keys:
        return None
    node = keys["timeout"][1]
    if isinstance(node, MissingNode):
        return None
    seconds = reading.duration(node, "timeout", default=math.inf)
    if seconds == 0:
        reading.report("RB206", '"timeout" must be longer than 0 seconds', node, help_text="remove it")
    return seconds if 0 < seconds < math.inf else None


def lock(keys: Keys, reading: Reading, *, default: str | None) -> LockSettings | None:
    """Read the lock of a step, or of the file: its lock is named ``default`` and is on unless the file says false."""
    if "lock" not in keys:
        return LockSettings(name=default, is_default=True) if default is not None else None
    node = keys["lock"][1]
    if isinstance(node, Mapping):
        return _lock_of(node, reading, default=default)
    value = reading.value(node).value
    if value is False:
        return None
    if isinstance(value, str | Template) and value:
        return LockSettings(name=value)
    if value is True and default is not None:
        return LockSettings(name=default, is_default=True)
    reading.expected("lock", "a name, a mapping with name, on_conflict and wait, or false", node)
    return None


def _lock_of(node: Mapping, reading: Reading, *, default: str | None) -> LockSettings | None:
    typed, keys = reading.fields(node, Kind.LOCK)
    name = reading.template(keys["name"][1], "name") if "name" in keys else default
    on_conflict = (typed or {}).get("on_conflict")
    wait = reading.duration(keys["wait"][1], "wait", default=0) if "wait" in keys else None
    if name is None:
        reading.report("RB204", 'the lock of a step needs "name"', node.entries[0][0] if node.entries else node)
        return None
    if wait is not None and on_conflict != "wait" and typed is not None:
        message = f'"wait" has no meaning with "on_conflict: {on_conflict or "fail"}"'
        reading.report("RB216", message, keys["wait"][0], help_text='add "on_conflict: wait", or remove it')
    return LockSettings(name=name, is_default="name" not in keys, on_conflict=on_conflict or "fail", wait_seconds=wait)
