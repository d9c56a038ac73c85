"""Parses ``${{ … }}`` in strings into Templates, and evaluates Templates and conditions.

The first expression imports Jinja2 (see `evaluation`): a runbook without expressions does not pay for it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.evaluation.budget import MAX_CHARACTERS
from django_runbook.document.evaluation.values import OperationError, kind_of, text_of
from django_runbook.structs import Struct

OPEN = "${{"
CLOSE = "}}"
MAX_LENGTH = 4000
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_QUOTED_OR_BRACES: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?P<braces>\$?\{\{)""", re.DOTALL)
_BRACES: Final = re.compile(r"\$?\{\{|\}\}")
_MAX_SHOWN: Final = 200
_MAX_REASON: Final = 500
Locate: TypeAlias = Callable[[int, int], Span]


class Reference(Struct):
    """Locates a name in an expression with its constant path: ``steps.late.output`` is ``steps`` and two names."""

    root: str
    path: tuple[str, ...]
    span: Span


class Expression(Struct):
    """Holds the source between the braces, or of a whole condition."""

    source: str
    span: Span
    references: tuple[Reference, ...] = ()


class Template(Struct):
    """Holds a string that contains expressions."""

    parts: tuple[str | Expression, ...]

    @property
    def whole(self) -> Expression | None:
        """Return the expression if the string is nothing else."""
        first = self.parts[0]
        return first if len(self.parts) == 1 and isinstance(first, Expression) else None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(part for part in self.parts if isinstance(part, Expression))


def as_written(value: str | Template) -> str:
    """Return a string as the file has it, with its expressions."""
    if isinstance(value, str):
        return value
    return "".join(f"${{{{ {part.source} }}}}" if isinstance(part, Expression) else part for part in value.parts)


def unreadable(span: Span) -> Template:
    """Return a template for an unreadable value: an expression whose value is unknown."""
    return Template(parts=(Expression(source="…", span=span, references=(Reference(root="", path=(), span=span),)),))


class ExpressionError(Exception):
    """Reports that the expression at ``span`` has no value."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.message = message
        self.span = span


class Segment(NamedTuple):
    """Delimits a part of a string; ``kind`` is ``text``, ``escape`` (``$${{``), ``expression`` or ``unclosed``."""

    kind: str
    start: int
    end: int


def segments(text: str) -> Iterator[Segment]:
    """Yield the segments of a string in order; an expression includes its braces."""
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
        end = end_of_expression(text, start + len(OPEN))
        if end is None:
            yield Segment("unclosed", start, len(text))
            return
        position = end + len(CLOSE)
        yield Segment("expression", start, position)
    if position < len(text):
        yield Segment("text", position, len(text))


def parse_template(text: str, locate: Locate) -> tuple[str | Template, list[Diagnostic]]:
    """Return a Template if the string contains expressions, else the string; ``$${{`` means a literal ``${{``."""
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
    """Make the diagnostic for a ``${{`` without its end."""
    message = 'the expression that begins with "${{" is not closed'
    return diagnose("RB301", message=message, span=span, help_text='close it with "}}"')


def parse_expression(text: str, locate: Locate, *, start: int, end: int) -> tuple[Expression | None, list[Diagnostic]]:
    """Parse the expression whose braces are at these offsets."""
    return _parse(text[start + len(OPEN) : end - len(CLOSE)], locate, offset=start + len(OPEN))


def _joined(last: list[str | Expression], literal: str) -> list[str | Expression]:
    if last and isinstance(last[0], str):
        return [last[0] + literal]
    return [*last, literal]


def parse_condition(text: str, locate: Locate) -> tuple[Expression | None, list[Diagnostic]]:
    """Parse the bare expression of a ``when`` or an ``until``."""
    start = _braces_in(text)
    if start is None:
        return _parse(text, locate, offset=0)
    width = len(OPEN) if text.startswith(OPEN, start) else 2
    help_text = f"remove the braces: {_without_braces(text)}"
    span = locate(start, start + width)
    message = f'"{text[start : start + width]}" inside a condition, which is already an expression'
    return None, [diagnose("RB302", message=message, span=span, help_text=help_text)]


def _braces_in(text: str) -> int | None:
    """Return the offset of the first braces outside quotes; no value begins with two of them."""
    found = (match.start() for match in _QUOTED_OR_BRACES.finditer(text) if match["braces"])
    return next(found, None)


def _without_braces(text: str) -> str:
    return " ".join(_BRACES.sub(" ", text).split())[:_MAX_SHOWN]


def evaluate(expression: Expression, context: Mapping[str, object]) -> object:
    """Return the value of an expression: complete plain data of a bounded size.

    Raise ExpressionError for any failure, with the place of the expression.
    """
    # Importing Jinja2 takes 20 ms, a third of the time that a whole start may take.
    from django_runbook.document.evaluation import evaluator

    try:
        return evaluator.evaluate(expression.source, context)
    except Exception as error:  # data can make an operation raise anything
        raise ExpressionError(f'"{expression.source}" has no value: {_reason(error)}', expression.span) from error


def _reason(error: Exception) -> str:
    try:
        text = " ".join(str(error).split())[:_MAX_REASON]
    except Exception:  # noqa: BLE001 - the message may be made of the data that caused it
        text = ""
    return text if text and isinstance(error, OperationError | ArithmeticError) else f"{type(error).__name__}: {text}"


def evaluate_condition(expression: Expression, context: Mapping[str, object]) -> bool:
    """Return the value of a condition, which must be true or false; raise ExpressionError."""
    value = evaluate(expression, context)
    if isinstance(value, bool):
        return value
    raise ExpressionError(f'"{expression.source}" gives {kind_of(value)}, not true or false', expression.span)


def render(template: str | Template, context: Mapping[str, object]) -> object:
    """Return the value of a template: of its own type if it is one expression, else a string; raise ExpressionError."""
    if isinstance(template, Template) and template.whole is not None:
        return evaluate(template.whole, context)
    return render_text(template, context)


def render_text(template: str | Template, context: Mapping[str, object]) -> str:
    """Return the value of a template as a string; raise ExpressionError."""
    if isinstance(template, str):
        return template
    texts = [part if isinstance(part, str) else as_text(evaluate(part, context), part) for part in template.parts]
    return joined(texts, template)


def joined(texts: Sequence[str], template: Template) -> str:
    """Join the parts of a template; raise ExpressionError if the result is too long."""
    if sum(map(len, texts)) > MAX_CHARACTERS:
        message = f"the string is longer than {MAX_CHARACTERS} characters"
        raise ExpressionError(message, template.expressions[0].span)
    return "".join(texts)


def as_text(value: object, expression: Expression) -> str:
    """Return a value as part of a string; raise ExpressionError for null, a list or a mapping."""
    try:
        return text_of(value)
    except OperationError:
        message = f'"{expression.source}" is {kind_of(value)}, which cannot be part of a string'
        if isinstance(value, datetime.timedelta):
            message += ": write .days or .total_seconds()"
        raise ExpressionError(message, expression.span) from None


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
        return None, [
            diagnose("RB303", message="the expression is empty", span=span, help_text="write a name or a value")
        ]
    span = locate(start, start + len(stripped))
    if len(stripped) > MAX_LENGTH:
        message = f"the expression is longer than {MAX_LENGTH} characters"
        return None, [diagnose("RB303", message=message, span=locate(start, start + 1))]
    from django_runbook.document.evaluation import analysis

    names, problems = analysis.analyse(stripped)
    if problems:
        return None, [
            diagnose(
                problem.code,
                message=problem.message,
                span=locate(start + problem.start, start + problem.end),
                help_text=problem.help,
            )
            for problem in problems
        ]
    references = tuple(
        Reference(root=one.root, path=one.path, span=locate(start + one.start, start + one.end)) for one in names
    )
    return Expression(source=stripped, span=span, references=references), []


def end_of_expression(text: str, start: int) -> int | None:
    """Return the offset of the closing braces, ignoring those inside quotes and brackets."""
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
    # If brackets are unbalanced, the nearest braces end the expression, and the parser reports the error inside.
    end = text.find(CLOSE, start, limit)
    return end if end >= 0 else None
