"""Reads nodes as values or as the fields of a model, and reports invalid ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Final

from django_runbook.document import characters, commandline
from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.expressions import (
    OPEN,
    Expression,
    Template,
    parse_condition,
    parse_template,
    unreadable,
)
from django_runbook.document.keys import EXAMPLES, EXPECTED, HANDLERS, LISTS, NODE_KEYS, Kind
from django_runbook.document.runbook import Located, Runbook
from django_runbook.document.similar_names import typo_of
from django_runbook.document.syntax.nodes import Mapping, MissingNode, Node, Scalar, Sequence, span_of
from django_runbook.document.syntax.positions import Locate, locator
from django_runbook.document.syntax.scalars import describe, parse_duration, resolve
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.foreign import FOREIGN
from django_runbook.structs import Struct, field, replace
from django_runbook.wording import did_you_mean

Keys = dict[str, tuple[Scalar, Node]]
# Any: the values of typed keys become fields of a struct without another step.
Typed = dict[str, Any]
# What YAML 1.1 called booleans.
_BOOLEANS: Final = {**dict.fromkeys(("yes", "y", "on", "1"), "true"), **dict.fromkeys(("no", "n", "off", "0"), "false")}
_WORD: Final = re.compile(r"[\w./@-]{1,40}")
_COMMENT: Final = re.compile(r"[ \t]+#")
# The diagnostics of an expression or a quote without an end.
_UNCLOSED: Final = frozenset(("RB301", "RB303", "RB311"))
# Called with the node of a name; returns that runbook, and reports to the Reading why it cannot be read.
ReadCalled = Callable[[Scalar, "Reading"], Runbook]


class FileContent(Struct):
    """Holds what a rule checks: the Runbook and the nodes of its top-level keys.

    ``removed_text`` is the text that a syntax error made unreadable: what it defines is not unknown.
    """

    runbook: Runbook
    keys: Keys
    removed_text: str = ""


class Reading(Struct):
    """Reads the nodes of one source and collects its diagnostics; ``read_called`` reads the runbooks that it calls."""

    source: Source
    removed_text: str = ""
    read_called: ReadCalled
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def report(self, code: str, message: str, where: Span | Node, *, help_text: str = "") -> None:
        """Add a diagnostic at a node or a span."""
        span = where if isinstance(where, Span) else span_of(where)
        self.diagnostics.append(diagnose(code, message=message, span=span, help_text=help_text))

    def locate(self, node: Scalar) -> Locate:
        return locator(node, self.source)

    def value(self, node: Node) -> Located:
        """Read any value of the file; strings with expressions become Templates."""
        span = span_of(node)
        match node:
            case Scalar():
                return self._scalar(node, span)
            case Sequence():
                return Located(value=tuple(self.value(item) for item in node.items), span=span)
            case Mapping():
                return Located(value={key.text: self.value(value) for key, value in node.entries}, span=span)
        return Located(value=unreadable(span), span=span)

    def _scalar(self, node: Scalar, span: Span) -> Located:
        value = resolve(node)
        if not isinstance(value, str) or OPEN not in value:
            return Located(value=value, span=span, text=node.text)
        template, found = parse_template(value, self.locate(node))
        self.diagnostics.extend(self._explained(node, found))
        return Located(value=template, span=span, text=node.text)

    def template(self, node: Node, key: str) -> str | Template:
        """Read a string that may contain expressions."""
        value = self.value(node).value
        if isinstance(value, str | Template):
            return value
        self.expected(key, "a string", node)
        return ""

    def condition(self, node: Node, key: str) -> Expression | None:
        """Read the bare expression of ``when`` or ``until``."""
        if not isinstance(node, Scalar) or not node.text:
            self.expected(key, "an expression", node)
            return None
        expression, found = parse_condition(node.text, self.locate(node))
        self.diagnostics.extend(self._explained(node, found))
        return expression

    def command_line(self, node: Node, key: str) -> tuple[Located, ...]:
        """Read a command line as tokens; empty if there is none."""
        if isinstance(node, MissingNode):
            return ()
        if not isinstance(node, Scalar) or not isinstance(resolve(node), str) or not node.text.strip():
            self.expected(key, "a command line", node)
            return ()
        tokens, found = commandline.split(node.text, self.locate(node))
        # A character that is written as an escape is intended.
        meant = (item for item in found if item.code != "RB312" or self._is_seen(item.span))
        self.diagnostics.extend(self._explained(node, meant))
        return tokens

    def _is_seen(self, span: Span) -> bool:
        character = self.source.lines[span.line - 1][span.column - 1 : span.column]
        return characters.is_hidden(character)

    def _explained(self, node: Scalar, found: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
        """Explain an expression or a quote that is not closed because YAML read the rest as a comment."""
        line = self.source.lines[node.end.line] if node.end.line < len(self.source.lines) else ""
        is_cut = node.is_plain and _COMMENT.match(line, node.end.column) is not None
        is_open = is_cut and (node.text.count('"') % 2 or node.text.count("'") % 2 or node.text.count(OPEN) > 0)
        whole = line[node.start.column :].rstrip() if node.start.line == node.end.line else "the whole text"
        for item in found:
            if is_open and item.code in _UNCLOSED:
                # Only a file with this error needs it.
                from django_runbook.document.syntax.quoting import quoted

                help_text = f'YAML ends an unquoted string at " #"; quote all of it: {quoted(whole)}'
                yield replace(item, help=help_text)
            else:
                yield item

    def duration(self, node: Node | None, key: str, *, default: float) -> float:
        """Read a duration in seconds."""
        if node is None or isinstance(node, MissingNode):
            return default
        seconds = parse_duration(node.text) if isinstance(node, Scalar) else None
        if seconds is not None:
            return seconds
        shown = f'"{node.text}"' if isinstance(node, Scalar) and node.text else describe(node)
        message = f'"{key}" must be a duration, not {shown}'
        self.report("RB206", message, node, help_text="write it as 90, 90s, 10m or 1h30m")
        return default

    def expected(self, key: str, what: str, node: Node) -> None:
        if not isinstance(node, MissingNode):
            help_text = _example(key, node)
            if what == "a string" and isinstance(node, Scalar) and node.text:
                help_text = "quote it to make it a string"
            self.report("RB205", f'"{key}" must be {what}, not {describe(node)}', node, help_text=help_text)

    def fields(self, node: Mapping, kind: Kind) -> tuple[Typed | None, Keys]:
        """Return the values of the typed keys, or None if one is invalid, and the nodes of all known keys."""
        node_keys = NODE_KEYS[kind]
        keys: Keys = {}
        data: dict[str, object] = {}
        for key, value in node.entries:
            if key.text in node_keys:
                keys[key.text] = (key, value)
            elif key.text in _typed_keys(kind):
                keys[key.text] = (key, value)
                if not isinstance(value, MissingNode):
                    data[key.text] = _native(value)
            else:
                self.unknown_key(key, kind)
        if not data and kind is not Kind.RETRY:
            return {}, keys
        return self._typed(data, node=node, kind=kind, keys=keys), keys

    def _typed(self, data: dict[str, object], *, node: Mapping, kind: Kind, keys: Keys) -> Typed | None:
        from pydantic_core import ValidationError

        from django_runbook.document.validation import schema

        try:
            typed: Typed = schema.validator_of(kind).validate_python(data)
        except ValidationError as error:
            reported: set[str] = set()
            for problem in error.errors(include_url=False, include_context=False, include_input=False):
                key = str(problem["loc"][0])
                if key not in reported and problem["type"] == "missing":
                    self.report("RB204", f'{kind.value} needs "{key}"', _first_of(node))
                elif key not in reported:
                    self._report_value(key, problem["loc"][1:], keys[key][1])
                reported.add(key)
            return None
        return typed

    def known_keys(self, kind: Kind) -> frozenset[str]:
        """Return all keys of this kind of mapping."""
        return NODE_KEYS[kind] | _typed_keys(kind)

    def unknown_key(self, key: Scalar, kind: Kind) -> None:
        """Report an unknown key with a hint at the key to use instead."""
        word, known = key.text, self.known_keys(kind)
        owners = [other.value for other in Kind if word in self.known_keys(other) and other is not Kind.DEFAULTS]
        help_text = FOREIGN.get(word) or (None if owners else FOREIGN.get(word.replace("_", "-")))
        if help_text is None and owners:
            *others, last = owners
            listed = f"{', '.join(others)} or {last}" if others else last
            help_text = f'"{word}" is a key of {listed}'
        elif help_text is None:
            near = typo_of(word, sorted(known))
            help_text = did_you_mean(near) if near else f"the keys of {kind.value} are: {', '.join(sorted(known))}"
        code = "RB202" if word in FOREIGN else "RB201"
        self.report(code, f'unknown key "{word}" in {kind.value}', key, help_text=help_text)

    def _report_value(self, key: str, path: tuple[int | str, ...], node: Node) -> None:
        index = next((step for step in path if isinstance(step, int)), None)
        if isinstance(node, Sequence) and index is not None and index < len(node.items):
            node = node.items[index]
        if isinstance(node, MissingNode):
            return
        shown = f'"{node.text}"' if isinstance(node, Scalar) and isinstance(resolve(node), str) else describe(node)
        help_text = _example(key, node)
        if isinstance(node, Scalar) and OPEN in node.text:
            help_text = "this key does not take expressions"
        elif isinstance(node, Scalar) and node.text.lower() in _BOOLEANS and "true or false" in EXPECTED[key]:
            help_text = f"write {_BOOLEANS[node.text.lower()]}"
        elif key == "attempts":
            help_text = f"it counts all attempts, the first one too; {help_text}"
        self.report("RB205", f'"{key}" must be {EXPECTED[key]}, not {shown}', node, help_text=help_text)


def _example(key: str, node: Node) -> str:
    if key in {"steps", "parallel", *HANDLERS}:
        return 'begin each step with "- "'
    if key in LISTS and isinstance(node, Scalar) and _WORD.fullmatch(node.text):
        return f'write "{key}: [{node.text}]"'
    examples = " or ".join(f'"{key}: {example}"' for example in EXAMPLES.get(key, ()))
    return f"write it like {examples}" if examples else ""


def _first_of(node: Mapping) -> Node:
    return node.entries[0][0] if node.entries else node


@cache
def _typed_keys(kind: Kind) -> frozenset[str]:
    from django_runbook.document.validation import schema

    return frozenset(schema.FIELDS[kind])


def _native(node: Node) -> object:
    match node:
        case Scalar():
            return resolve(node)
        case Sequence():
            return [_native(item) for item in node.items]
        case Mapping():
            return {key.text: _native(value) for key, value in node.entries}
    return None
