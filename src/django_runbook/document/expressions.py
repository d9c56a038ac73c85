"""``${{ … }}`` in a text to a Template, and a Template with its names to a value.

Jinja2 is imported with the first expression (see `sandbox`): a runbook without one does not pay for it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from django_runbook.document.diagnostics import Diagnostic, Span

if TYPE_CHECKING:
    from types import ModuleType

OPEN = "${{"
CLOSE = "}}"
MAX_LENGTH = 4000
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
Locate: TypeAlias = Callable[[int, int], Span]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name in an expression with its constant path: ``steps.late.output`` is ``steps`` and two names."""

    root: str
    path: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """The text between the braces, or the whole of a condition."""

    source: str
    span: Span
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Text with expressions in it."""

    parts: tuple[str | Expression, ...]

    @property
    def whole(self) -> Expression | None:
        """The expression that the text consists of, if it is nothing else."""
        first = self.parts[0]
        return first if len(self.parts) == 1 and isinstance(first, Expression) else None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(part for part in self.parts if isinstance(part, Expression))


def as_written(value: str | Template) -> str:
    """A text as the file has it, with its expressions."""
    if isinstance(value, str):
        return value
    return "".join(f"${{{{ {part.source} }}}}" if isinstance(part, Expression) else part for part in value.parts)


class ExpressionError(Exception):
    """An expression has no value; ``span`` is its place."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.message = message
        self.span = span


class Segment(NamedTuple):
    """A stretch of a text: ``text``, ``escape`` (``$${{``), ``expression`` or ``unclosed``."""

    kind: str
    start: int
    end: int


def segments(text: str) -> Iterator[Segment]:
    """The stretches of a text in order; braces of an expression are part of it."""
    position = 0
    while (start := text.find(OPEN, position)) >= 0:
        is_escape = start > position and text[start - 1] == "$"
        first = start - is_escape
        if first > position:
            yield Segment("text", position, first)
        if is_escape:
            position = start + len(OPEN)
            yield Segment("escape", first, position)
            continue
        end = _end_of_expression(text, start + len(OPEN))
        if end is None:
            yield Segment("unclosed", start, len(text))
            return
        position = end + len(CLOSE)
        yield Segment("expression", start, position)
    if position < len(text):
        yield Segment("text", position, len(text))


def parse_template(text: str, locate: Locate) -> tuple[str | Template, list[Diagnostic]]:
    """A text as itself, or as a Template where it holds expressions; ``$${{`` stands for a literal ``${{``."""
    if OPEN not in text:
        return text, []
    parts: list[str | Expression] = []
    diagnostics: list[Diagnostic] = []
    for kind, start, end in segments(text):
        if kind == "unclosed":
            diagnostics.append(unclosed(locate(start, start + len(OPEN))))
        elif kind == "expression":
            expression, found = parse_expression(text, locate, start=start, end=end)
            diagnostics += found
            if expression is not None:
                parts.append(expression)
        else:
            literal = OPEN if kind == "escape" else text[start:end]
            parts[-1:] = _joined(parts[-1:], literal)
    return _simplify(parts), diagnostics


def unclosed(span: Span) -> Diagnostic:
    """What is said of a ``${{`` without its end."""
    message = 'the expression that begins with "${{" is not closed'
    return Diagnostic(code="RB301", message=message, span=span, help='close it with "}}"')


def parse_expression(text: str, locate: Locate, *, start: int, end: int) -> tuple[Expression | None, list[Diagnostic]]:
    """The expression whose braces stand at these offsets."""
    return _parse(text[start + len(OPEN) : end - len(CLOSE)], locate, offset=start + len(OPEN))


def _joined(last: list[str | Expression], literal: str) -> list[str | Expression]:
    if last and isinstance(last[0], str):
        return [last[0] + literal]
    return [*last, literal]


def parse_condition(text: str, locate: Locate) -> tuple[Expression | None, list[Diagnostic]]:
    """The bare expression of a ``when`` or an ``until``."""
    if OPEN in text:
        start = text.index(OPEN)
        message = '"${{" inside a condition'
        help_text = "write the condition bare, without ${{ }}"
        return None, [Diagnostic(code="RB302", message=message, span=locate(start, start + 3), help=help_text)]
    return _parse(text, locate, offset=0)


def is_known(expression: Expression, known: Callable[[Reference], bool]) -> bool:
    """Whether all that the expression names has a value already."""
    return all(known(reference) for reference in expression.references)


def evaluate(expression: Expression, context: Mapping[str, object]) -> object:
    """The value of an expression; raises ExpressionError."""
    return _sandbox().evaluate(expression, context)


def evaluate_condition(expression: Expression, context: Mapping[str, object]) -> bool:
    """The value of a condition, which must be true or false; raises ExpressionError."""
    value = evaluate(expression, context)
    if isinstance(value, bool):
        return value
    raise ExpressionError(f'"{expression.source}" gives {_describe(value)}, not true or false', expression.span)


def render(template: str | Template, context: Mapping[str, object]) -> object:
    """The value of a template: of its own type where it is one expression, else text; raises ExpressionError."""
    if isinstance(template, str):
        return template
    if template.whole is not None:
        return evaluate(template.whole, context)
    return "".join(part if isinstance(part, str) else as_text(evaluate(part, context), part) for part in template.parts)


def as_text(value: object, expression: Expression) -> str:
    """How a value looks inside text; nothing, lists and mappings have no look."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime.date():
            return value.isoformat()
    raise ExpressionError(f'"{expression.source}" is {_describe(value)}, which cannot stand in text', expression.span)


def _describe(value: object) -> str:
    match value:
        case None:
            return "nothing (null)"
        case str():
            return "text"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
    return f"{value!r}"


def _sandbox() -> ModuleType:
    # Jinja2 costs 20 ms to import, a third of what a whole start may cost.
    from django_runbook.document import sandbox

    return sandbox


def _simplify(parts: list[str | Expression]) -> str | Template:
    match parts:
        case []:
            return ""
        case [str() as text]:
            return text
    return Template(parts=tuple(parts))


def _parse(source: str, locate: Locate, *, offset: int) -> tuple[Expression | None, list[Diagnostic]]:
    stripped = source.strip()
    start = offset + len(source) - len(source.lstrip())
    if not stripped:
        span = locate(max(offset - len(OPEN), 0), offset + len(source) + len(CLOSE))
        return None, [Diagnostic(code="RB303", message="the expression is empty", span=span, help="name a value")]
    span = locate(start, start + len(stripped))
    if len(stripped) > MAX_LENGTH:
        message = f"the expression is longer than {MAX_LENGTH} characters"
        return None, [Diagnostic(code="RB303", message=message, span=locate(start, start + 1))]
    references, problem = _sandbox().analyse(stripped)
    if problem is not None:
        at = locate(start + problem.start, start + problem.end)
        return None, [Diagnostic(code=problem.code, message=problem.message, span=at, help=problem.help)]
    placed = tuple(
        Reference(root=root, path=path, span=locate(start + first, start + last))
        for root, path, first, last in references
    )
    return Expression(source=stripped, span=span, references=placed), []


def _end_of_expression(text: str, start: int) -> int | None:
    """Where the closing braces stand, not counting those inside quotes and brackets."""
    stack: list[str] = []
    quote = ""
    position, limit = start, min(len(text), start + MAX_LENGTH + 100)
    while position < limit:
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif not stack and text.startswith(CLOSE, position):
            return position
        elif character in _CLOSERS:
            stack.append(_CLOSERS[character])
        elif stack and character == stack[-1]:
            stack.pop()
        position += 1
    # Unbalanced: the nearest braces end it, and the parser says what is wrong inside.
    end = text.find(CLOSE, start, limit)
    return end if end >= 0 else None
