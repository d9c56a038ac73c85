"""A node to a value or to the fields of a model, with what is wrong about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django_runbook.document import commandline
from django_runbook.document.diagnostics import Diagnostic, Span, nearest
from django_runbook.document.expressions import OPEN, Expression, Template, parse_condition, parse_template
from django_runbook.document.keys import EXPECTED, FOREIGN, NODE_KEYS, NOT_YET, Kind
from django_runbook.document.nodes import Hole, Mapping, Node, Scalar, Sequence, span_of
from django_runbook.document.positions import Locate, locator
from django_runbook.document.runbook import Located, Runbook
from django_runbook.document.scalars import describe, parse_duration, resolve
from django_runbook.document.source import Source

Keys = dict[str, tuple[Scalar, Node]]
# Any: the values of typed keys go straight into the fields of a dataclass.
Typed = dict[str, Any]
# The name of a runbook, at its place, to that runbook; what keeps it from being read is reported to the Reading.
Include = Callable[[Scalar, "Reading"], Runbook]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading of a file: where the text is, what was found against it, and how a runbook that it names is read."""

    source: Source
    left_out: str = ""
    include: Include
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def report(self, code: str, message: str, where: Span | Node, *, help_text: str = "") -> None:
        """Note a mistake at a node or a span."""
        span = where if isinstance(where, Span) else span_of(where)
        self.diagnostics.append(Diagnostic(code=code, message=message, span=span, help=help_text))

    def locate(self, node: Scalar) -> Locate:
        return locator(node, self.source)

    def value(self, node: Node) -> Located:
        """Any value of the file; expressions in texts become Templates."""
        span = span_of(node)
        match node:
            case Scalar():
                return self._scalar(node, span)
            case Sequence():
                return Located(value=tuple(self.value(item) for item in node.items), span=span)
            case Mapping():
                return Located(value={key.text: self.value(value) for key, value in node.entries}, span=span)
        return Located(value=None, span=span)

    def _scalar(self, node: Scalar, span: Span) -> Located:
        value = resolve(node)
        if not isinstance(value, str) or OPEN not in value:
            return Located(value=value, span=span, text=node.text)
        template, found = parse_template(value, self.locate(node))
        self.diagnostics.extend(found)
        return Located(value=template, span=span, text=node.text)

    def template(self, node: Node, key: str) -> str | Template:
        """A text that may hold expressions."""
        value = self.value(node).value
        if isinstance(value, str | Template):
            return value
        self.expected(key, "text", node)
        return ""

    def condition(self, node: Node, key: str) -> Expression | None:
        """The bare expression of ``when`` or ``until``."""
        if not isinstance(node, Scalar) or not node.text:
            self.expected(key, "an expression, as in \"params.mode == 'full'\"", node)
            return None
        expression, found = parse_condition(node.text, self.locate(node))
        self.diagnostics.extend(found)
        return expression

    def command_line(self, node: Node, key: str) -> tuple[Located, ...]:
        """A command line as tokens; empty when there is none."""
        if isinstance(node, Hole):
            return ()
        if not isinstance(node, Scalar) or not isinstance(resolve(node), str) or not node.text.strip():
            self.expected(key, "a command line", node)
            return ()
        tokens, found = commandline.split(node.text, self.locate(node))
        self.diagnostics.extend(found)
        return tokens

    def duration(self, node: Node | None, key: str, *, default: float) -> float:
        """Seconds."""
        if node is None:
            return default
        seconds = parse_duration(node.text) if isinstance(node, Scalar) else None
        if seconds is not None:
            return seconds
        shown = f'"{node.text}"' if isinstance(node, Scalar) and node.text else describe(node)
        message = f'"{key}" must be a duration, not {shown}'
        self.report("RB206", message, node, help_text="write it as 90, 90s, 10m or 1h30m")
        return default

    def expected(self, key: str, what: str, node: Node) -> None:
        if not isinstance(node, Hole):
            help_text = "quote it to make it text" if what == "text" and isinstance(node, Scalar) and node.text else ""
            self.report("RB205", f'"{key}" must be {what}, not {describe(node)}', node, help_text=help_text)

    def fields(self, node: Mapping, kind: Kind) -> tuple[Typed | None, Keys]:
        """The values of the typed keys that are given, None where one of them is wrong, and all known keys."""
        node_keys = NODE_KEYS[kind]
        keys: Keys = {}
        data: dict[str, object] = {}
        for key, value in node.entries:
            if key.text in node_keys:
                keys[key.text] = (key, value)
            elif key.text in _typed_keys(kind):
                keys[key.text] = (key, value)
                if not isinstance(value, Hole):
                    data[key.text] = _native(value)
            else:
                self.unknown_key(key, kind)
        if not data and kind is not Kind.RETRY:
            return {}, keys
        return self._typed(data, node=node, kind=kind, keys=keys), keys

    def _typed(self, data: dict[str, object], *, node: Mapping, kind: Kind, keys: Keys) -> Typed | None:
        from pydantic import ValidationError

        from django_runbook.document import schema

        try:
            model = schema.MODELS[kind].model_validate(data)
        except ValidationError as error:
            told: set[str] = set()
            for problem in error.errors(include_url=False, include_context=False, include_input=False):
                key = str(problem["loc"][0])
                if key not in told and problem["type"] == "missing":
                    self.report("RB204", f'{kind.value} needs "{key}"', _first_of(node))
                elif key not in told:
                    self._report_value(key, problem["loc"][1:], keys[key][1])
                told.add(key)
            return None
        return {name: getattr(model, name) for name in model.model_fields_set}

    def known_keys(self, kind: Kind) -> frozenset[str]:
        """All keys that this kind of mapping has."""
        return NODE_KEYS[kind] | _typed_keys(kind)

    def unknown_key(self, key: Scalar, kind: Kind) -> None:
        """Say what to write instead of a key that has no meaning here."""
        word, known = key.text, self.known_keys(kind)
        if word in NOT_YET:
            self.report("RB203", f'"{word}" is not supported yet', key, help_text="leave it out until a later version")
            return
        owners = [other.value for other in Kind if word in self.known_keys(other) and other is not Kind.DEFAULTS]
        help_text = FOREIGN.get(word) or (None if owners else FOREIGN.get(word.replace("_", "-")))
        near = nearest(word, sorted(known))
        if help_text is None and owners:
            *others, last = owners
            listed = f"{', '.join(others)} or {last}" if others else last
            help_text = f'"{word}" is a key of {listed}'
        elif help_text is None:
            help_text = f'use "{near}"' if near else f"the keys of {kind.value} are: {', '.join(sorted(known))}"
        code = "RB202" if word in FOREIGN else "RB201"
        self.report(code, f'unknown key "{word}" in {kind.value}', key, help_text=help_text)

    def _report_value(self, key: str, path: tuple[int | str, ...], node: Node) -> None:
        index = next((step for step in path if isinstance(step, int)), None)
        if isinstance(node, Sequence) and index is not None and index < len(node.items):
            node = node.items[index]
        if isinstance(node, Hole):
            return
        shown = f'"{node.text}"' if isinstance(node, Scalar) and isinstance(resolve(node), str) else describe(node)
        help_text = ""
        if isinstance(node, Scalar) and OPEN in node.text:
            help_text = "this key takes no expression"
        elif key == "attempts":
            help_text = "it counts all attempts, the first one too"
        self.report("RB205", f'"{key}" must be {EXPECTED[key]}, not {shown}', node, help_text=help_text)


def _first_of(node: Mapping) -> Node:
    return node.entries[0][0] if node.entries else node


@cache
def _typed_keys(kind: Kind) -> frozenset[str]:
    from django_runbook.document import schema

    return frozenset(schema.MODELS[kind].model_fields)


def _native(node: Node) -> object:
    match node:
        case Scalar():
            return resolve(node)
        case Sequence():
            return [_native(item) for item in node.items]
        case Mapping():
            return {key.text: _native(value) for key, value in node.entries}
    return None
