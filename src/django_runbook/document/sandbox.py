"""The source of an expression to its names and to its value, by Jinja2 in a sandbox without side effects."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from django_runbook.document.diagnostics import nearest
from django_runbook.document.expressions import Expression, ExpressionError
from django_runbook.document.views import StepView

_MAX_TOKENS = 300
_MAX_DEPTH = 20
_MAX_TEXT = 100_000
_MAX_BITS = 4096
_WORDS = frozenset("and or not in is if else true false none True False None".split())  # noqa: SIM905 - reads best so
_FILTER_NAMES = (
    "abs capitalize count d default dictsort first float int items last length list lower map max min reject "
    "rejectattr reverse round select selectattr sort string sum title trim unique upper"
)
_TEST_NAMES = (
    "boolean defined divisibleby eq equalto even false float ge greaterthan gt in integer iterable le lessthan "
    "lower lt mapping ne none number odd sameas sequence string true undefined upper == != < <= > >="
)
_METHODS: Final[Mapping[type, frozenset[str]]] = {
    str: frozenset(
        [
            "capitalize",
            "count",
            "endswith",
            "find",
            "isalnum",
            "isalpha",
            "isdigit",
            "islower",
            "isupper",
            "lower",
            "lstrip",
            "removeprefix",
            "removesuffix",
            "rsplit",
            "rstrip",
            "split",
            "splitlines",
            "startswith",
            "strip",
            "title",
            "upper",
        ]
    ),
    datetime.datetime: frozenset(["date", "hour", "minute", "second", "time", "timestamp", "tzinfo"]),
    datetime.date: frozenset(
        ["day", "isocalendar", "isoformat", "isoweekday", "month", "replace", "strftime", "weekday", "year"]
    ),
    datetime.time: frozenset(["hour", "isoformat", "minute", "second", "strftime"]),
    list: frozenset(("count", "index")),
    tuple: frozenset(("count", "index")),
    Mapping: frozenset(("get", "items", "keys", "values")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong in a source, with the offsets of the place."""

    code: str
    message: str
    start: int
    end: int
    help: str = ""


class _Missing(StrictUndefined):
    @property
    def _undefined_message(self) -> str:
        name, holder = self._undefined_name, self._undefined_obj
        if isinstance(holder, StepView):
            return f'step "{holder["id"]}" is {holder["status"]} and has no {name}'
        if isinstance(holder, Mapping):
            near = nearest(str(name), map(str, holder))
            return f'there is no "{name}" here' + (f'; "{near}" is near' if near else "")
        if isinstance(holder, Sequence) and isinstance(name, int):
            return f"there is no item {name}: it has {len(holder)}"
        return f'"{name}" is not defined'


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("*", "**", "%", "+"))

    def __init__(self) -> None:
        super().__init__(undefined=_Missing)
        self.globals.clear()
        self.filters = {name: FILTERS[name] for name in _FILTER_NAMES.split()}
        self.filters |= {"join": _join, "replace": _replace, "tojson": _to_json}
        self.tests = {name: TESTS[name] for name in _TEST_NAMES.split()}

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        if not attribute.startswith("_") and attribute in _methods_of(obj):
            return getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str) and not isinstance(obj, Mapping):
            return self.getattr(obj, argument)
        if not isinstance(obj, Mapping | Sequence):
            return self.undefined(obj=obj, name=argument)
        try:
            return obj[argument]
        except (KeyError, IndexError):
            return self.undefined(obj=obj, name=argument)

    def is_safe_callable(self, obj: Any) -> bool:
        owner = getattr(obj, "__self__", None)
        return owner is not None and getattr(obj, "__name__", "") in _methods_of(owner)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _refuse_blow_up(operator, left, right)
        return super().call_binop(context, operator, left, right)


def _methods_of(obj: object) -> frozenset[str]:
    found = [names for kind, names in _METHODS.items() if isinstance(obj, kind)]
    return frozenset().union(*found)


def _refuse_blow_up(operator: str, left: Any, right: Any) -> None:
    if operator == "%" and isinstance(left, str):
        raise SecurityError('texts are joined with "~", not formatted with "%"')
    if operator == "*":
        sized, times = (left, right) if hasattr(left, "__len__") else (right, left)
        if hasattr(sized, "__len__") and isinstance(times, int) and len(sized) * times > _MAX_TEXT:
            raise SecurityError("the result is too long")
    if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
        _refuse_long(len(left) + len(right))
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * (max(right, 1) if operator == "**" else 1) + right.bit_length()
        if bits > _MAX_BITS:
            raise SecurityError("the number is too large")


def _refuse_long(length: int) -> None:
    if length > _MAX_TEXT * 100:
        raise SecurityError("the result is too long")


def _join(values: Any, separator: str = "") -> str:
    texts = [str(value) for value in values]
    _refuse_long(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _replace(text: str, old: str, new: str) -> str:
    _refuse_long(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _to_json(value: Any) -> str:
    return json.dumps(value, default=_json_default, ensure_ascii=False)


def _json_default(value: object) -> object:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_SANDBOX: Final = _Sandbox()
_Token = tuple[str, str, int]


@lru_cache(maxsize=4096)
def analyse(source: str) -> tuple[tuple[tuple[str, tuple[str, ...], int, int], ...], Problem | None]:
    """The names of a source with their constant paths and offsets, or the first problem in it."""
    try:
        tokens = list(_tokens(source))
    except TemplateSyntaxError as error:
        return (), _syntax_problem(error, 0, len(source))
    problem = _limits(tokens) or _unknown_words(tokens)
    if problem is None:
        problem = _parse(source, tokens)
    return ((), problem) if problem else (tuple(_references(tokens)), None)


def _tokens(source: str) -> Iterator[_Token]:
    offset = 0
    for _, kind, value in _SANDBOX.lexer.tokeniter(source, name=None, state="variable"):
        if kind not in {"whitespace", "variable_begin"}:
            yield kind, value, offset
        offset += len(value)


def _limits(tokens: list[_Token]) -> Problem | None:
    if len(tokens) > _MAX_TOKENS:
        start = tokens[_MAX_TOKENS][2]
        return Problem(
            code="RB303",
            message="the expression is too long",
            start=start,
            end=start + 1,
            help="use vars for its parts",
        )
    depth = 0
    for kind, value, start in tokens:
        if kind == "operator":
            depth += (value in "([{") - (value in ")]}")
        if depth > _MAX_DEPTH:
            return Problem(code="RB303", message="too many brackets inside each other", start=start, end=start + 1)
    return None


def _unknown_words(tokens: list[_Token]) -> Problem | None:
    for index in range(1, len(tokens)):
        kind, value, start = tokens[index]
        before = tokens[index - 1][1]
        is_test = before == "is" or (before == "not" and index > 1 and tokens[index - 2][1] == "is")
        if kind != "name" or not (before == "|" or (is_test and value != "not")):
            continue
        word, known = ("test", _SANDBOX.tests) if is_test else ("filter", _SANDBOX.filters)
        if value not in known:
            near = nearest(value, known)
            names = ", ".join(sorted(name for name in known if name.isalpha()))
            help_text = f'"{near}" is near' if near else f"the {word}s are: {names}"
            message = f'there is no {word} "{value}"'
            return Problem(code="RB304", message=message, start=start, end=start + len(value), help=help_text)
    return None


def _parse(source: str, tokens: list[_Token]) -> Problem | None:
    try:
        parser = Parser(_SANDBOX, source, state="variable")
    except TemplateSyntaxError as error:
        return _syntax_problem(error, 0, len(source))
    try:
        parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateSyntaxError("the expression should end here", parser.stream.current.lineno)
    except (TemplateSyntaxError, RecursionError) as error:
        return _problem_at(error, tokens, _index_of_current(parser, tokens), length=len(source))
    return None


def _index_of_current(parser: Parser, tokens: list[_Token]) -> int:
    try:
        remaining = sum(1 for _ in parser.stream)
    except TemplateSyntaxError:
        return len(tokens)
    return max(len(tokens) - remaining, 0) if remaining else len(tokens)


def _problem_at(error: Exception, tokens: list[_Token], index: int, *, length: int) -> Problem:
    if index < len(tokens):
        _, value, start = tokens[index]
        return _syntax_problem(error, start, start + len(value))
    return _syntax_problem(error, max(length - 1, 0), length)


def _syntax_problem(error: Exception, start: int, end: int) -> Problem:
    text = getattr(error, "message", None) or str(error)
    return Problem(code="RB303", message=f"the expression cannot be read: {text}", start=start, end=end)


def _references(tokens: list[_Token]) -> Iterator[tuple[str, tuple[str, ...], int, int]]:
    for index, (kind, value, start) in enumerate(tokens):
        before = tokens[index - 1][1] if index else ""
        after = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        is_word = kind == "name" and value not in _WORDS
        is_keyword_argument = after == "=" and before in {"(", ","}
        is_test = before == "is" or (before == "not" and index > 1 and tokens[index - 2][1] == "is")
        if is_word and before not in {".", "|"} and not is_keyword_argument and not is_test:
            path, end = _path_after(tokens, index)
            yield value, path, start, end


def _path_after(tokens: list[_Token], index: int) -> tuple[tuple[str, ...], int]:
    path: list[str] = []
    end = tokens[index][2] + len(tokens[index][1])
    while True:
        texts = [token[1] for token in tokens[index + 1 : index + 4]]
        kinds = [token[0] for token in tokens[index + 1 : index + 4]]
        if texts[:1] == ["."] and kinds[1:2] == ["name"]:
            step, name = 2, texts[1]
        elif texts[:1] == ["["] and kinds[1:2] == ["string"] and texts[2:3] == ["]"]:
            step, name = 3, texts[1][1:-1]
        else:
            return tuple(path), end
        index += step
        path.append(name)
        end = tokens[index][2] + len(tokens[index][1])


@lru_cache(maxsize=4096)
def _compiled(source: str) -> TemplateExpression:
    return _SANDBOX.compile_expression(source, undefined_to_none=False)


def evaluate(expression: Expression, context: Mapping[str, object]) -> object:
    """The value of an expression; raises ExpressionError whatever goes wrong."""
    try:
        value = _compiled(expression.source)(context)
        if isinstance(value, StrictUndefined):
            value._fail_with_undefined_error()
    except Exception as error:  # an expression may fail in as many ways as Python
        raise ExpressionError(_one_line(expression, error), expression.span) from error
    return list(value) if isinstance(value, Iterator) else value


def _one_line(expression: Expression, error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f'"{expression.source}" has no value: {text}'


_BOOLEAN_NODES = (nodes.Compare, nodes.Not, nodes.Test)
_KIND_OF_NODE: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Concat: "text",
    nodes.List: "a list",
    nodes.Tuple: "a list",
    nodes.Dict: "a mapping",
    nodes.Neg: "a number",
    nodes.Pos: "a number",
    nodes.Sub: "not a boolean",
    nodes.Mul: "not a boolean",
    nodes.Div: "a number",
    nodes.FloorDiv: "a number",
    nodes.Mod: "a number",
    nodes.Pow: "a number",
    nodes.Add: "not a boolean",
}
_KIND_OF_FILTER: Final = {
    **dict.fromkeys(("count", "length", "int", "float", "abs", "round", "sum"), "a number"),
    **dict.fromkeys(("lower", "upper", "title", "trim", "string", "join", "replace", "tojson", "capitalize"), "text"),
    **dict.fromkeys(("list", "sort", "unique", "map", "select", "reject", "dictsort"), "a list"),
}


@lru_cache(maxsize=4096)
def _tree(source: str) -> nodes.Expr:
    return Parser(_SANDBOX, source, state="variable").parse_expression()


def kind_other_than_boolean(source: str, kind_of: Callable[[str, str], str | None]) -> str | None:
    """What a condition is sure to give that is neither true nor false; None where it may be right.

    ``kind_of`` says what a name such as ``params``, ``day`` holds, None where nobody knows.
    """
    kind = _kind(_tree(source), kind_of)
    return None if kind in {"boolean", "unknown"} else kind


def _kind(node: nodes.Node, kind_of: Callable[[str, str], str | None]) -> str:
    match node:
        case nodes.Const(value=value):
            return _kind_of_value(value)
        case nodes.And() | nodes.Or():
            kinds = {_kind(node.left, kind_of), _kind(node.right, kind_of)}
            return next((kind for kind in kinds if kind not in {"boolean", "unknown"}), "unknown")
        case nodes.CondExpr():
            kinds = {_kind(branch, kind_of) for branch in (node.expr1, node.expr2) if branch is not None}
            return next((kind for kind in kinds if kind not in {"boolean", "unknown"}), "unknown")
        case nodes.Getattr(node=nodes.Name(name=root), attr=name):
            return kind_of(root, name) or "unknown"
        case nodes.Name(name=root):
            return kind_of(root, "") or "unknown"
        case nodes.Filter(name=name):
            return _KIND_OF_FILTER.get(name, "unknown")
        case _ if isinstance(node, _BOOLEAN_NODES):
            return "boolean"
    return _KIND_OF_NODE.get(type(node), "unknown")


def _kind_of_value(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case None:
            return "nothing"
        case int() | float():
            return "a number"
    return "text"
