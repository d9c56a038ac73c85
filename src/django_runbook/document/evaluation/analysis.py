"""Checks the filters, tests and functions of an expression, and finds the names that it refers to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from jinja2 import nodes

from django_runbook.document.evaluation.budget import Budget
from django_runbook.document.evaluation.evaluator import evaluate_tree
from django_runbook.document.evaluation.filters import FILTERS, map_attribute
from django_runbook.document.evaluation.functions import FUNCTIONS
from django_runbook.document.evaluation.grammar import ExpressionProblem, SourceError, Token, tokens_of, tree_of
from django_runbook.document.evaluation.members import METHODS
from django_runbook.document.evaluation.tests import TESTS
from django_runbook.document.similar_names import suggestion
from django_runbook.structs import MutableStruct, field

# The filters that take the name of a filter or a test, with the index of that argument.
_TAKES_NAME: Final[Mapping[str, tuple[str, int]]] = {
    "map": ("filter", 0),
    "select": ("test", 0),
    "reject": ("test", 0),
    "selectattr": ("test", 1),
    "rejectattr": ("test", 1),
}
_TABLES: Final[Mapping[str, Mapping[str, Callable[..., object]]]] = {"filter": FILTERS, "test": TESTS}
_METHODS: Final = frozenset(name for methods in METHODS.values() for name in methods)
_EXAMPLES: Final = {"filter": 'map("upper")', "test": 'select("odd")'}
_HELP_FOR_ARGUMENTS: Final = {
    "map": ('name a filter, for example map("upper"), or an attribute, for example map(attribute="name")'),
    **dict.fromkeys(
        ("selectattr", "rejectattr"), 'name an attribute and a test, for example selectattr("count", "gt", 0)'
    ),
}
# Names from other languages.
_FOREIGN: Final = {
    "null": 'write "none"',
    "nil": 'write "none"',
    "empty": 'compare its length: "x | length == 0"',
    "len": 'write "x | length"',
    "size": 'write "x | length"',
    "range": "list the numbers",
    "str": 'write "x | string"',
    "now": 'write "now" without brackets',
    "today": 'write "today" without brackets',
    "timedelta": "write days(n), hours(n) or minutes(n)",
    "format": 'join strings with "~"',
    "append": 'write "list + [item]"',
}


class Named(NamedTuple):
    """Holds a name with its constant path, and the offsets of both."""

    root: str
    path: tuple[str, ...]
    start: int
    end: int


@lru_cache(maxsize=4096)
def analyse(source: str) -> tuple[tuple[Named, ...], tuple[ExpressionProblem, ...]]:
    """Return the names that an expression refers to, and its errors; without errors it can be evaluated."""
    try:
        tree, tokens = tree_of(source), tokens_of(source)
    except SourceError as error:
        return (), (error.problem,)
    analysis = _Analysis(tokens)
    analysis.visit(tree)
    return tuple(analysis.names()), tuple(sorted(analysis.problems, key=lambda problem: problem.start))


class _Path(MutableStruct, kw_only=False):
    """Collects a name and the constant names after it."""

    root: nodes.Name
    end: int
    names: list[str] = field(default_factory=list)


class _Analysis:
    def __init__(self, tokens: Mapping[int, Token]) -> None:
        self.problems: list[ExpressionProblem] = []
        self._paths: list[_Path] = []
        self._tokens = tokens
        self._in_order = list(tokens.values())
        self._indexes = {token.start: index for index, token in enumerate(self._in_order)}

    def names(self) -> Iterator[Named]:
        for path in self._paths:
            yield Named(path.root.name, tuple(path.names), path.root.lineno, path.end)

    def visit(self, node: nodes.Node) -> _Path | None:
        """Check a node and its children; return its path if it is a constant one."""
        match node:
            case nodes.Name():
                return self._name(node)
            case nodes.Getattr():
                return self._longer(self.visit(node.node), node.attr, end=self._after(node, 1).end)
            case nodes.Getitem(arg=nodes.Const(value=str() as key)):
                return self._longer(self.visit(node.node), key, end=self._after(node, 2).end)
            case nodes.Call():
                self._call(node)
            case nodes.Filter() | nodes.Test():
                self._filter_or_test(node)
            case _:
                self._visit_all(node.iter_child_nodes())
        return None

    def _visit_all(self, several: Iterator[nodes.Node] | Sequence[nodes.Node]) -> None:
        for node in several:
            self.visit(node)

    def _name(self, node: nodes.Name) -> _Path:
        token = self._tokens[node.lineno]
        if node.name in FUNCTIONS:
            self._report("RB303", f'"{node.name}" is a function', token, f"call it: {node.name}(…)")
        path = _Path(node, end=token.end)
        self._paths.append(path)
        return path

    def _longer(self, path: _Path | None, name: str, *, end: int) -> _Path | None:
        if path is not None:
            path.names.append(name)
            path.end = end
        return path

    def _after(self, node: nodes.Node, count: int) -> Token:
        return self._in_order[self._indexes[node.lineno] + count]

    def _call(self, node: nodes.Call) -> None:
        match node.node:
            case nodes.Name(name=name) as function:
                token = self._tokens[function.lineno]
                if name in FUNCTIONS:
                    self._check_arguments(FUNCTIONS[name], name, node.args, node.kwargs, token)
                else:
                    self._report("RB304", f'unknown function "{name}"', token, _help(name, FUNCTIONS, "functions"))
            case nodes.Getattr(attr=name) as method:
                self._method(node, name, self.visit(method.node), self._after(method, 1))
            case other:
                self.visit(other)
                self._report("RB303", "only functions and methods can be called", self._tokens[node.lineno])
        self._check_stars(node)
        self._visit_all([*node.args, *node.kwargs])

    def _method(self, node: nodes.Call, name: str, path: _Path | None, token: Token) -> None:
        if name not in _METHODS:
            self._report("RB304", f'unknown method "{name}"', token, _help(name, _METHODS, "methods"))
        match node.args:
            case [nodes.Const(value=str() as key), *_] if name == "get":
                self._longer(path, key, end=token.end)

    def _filter_or_test(self, node: nodes.Filter | nodes.Test) -> None:
        self._check_stars(node)
        if isinstance(node, nodes.Filter):
            self._named(node, "filter", node.name, node.args, self._tokens[node.lineno])
        else:
            is_denied = self._after(node, 1).text == "not"
            self._named(node, "test", node.name, node.args, self._after(node, 1 + is_denied))
        self._visit_all(node.iter_child_nodes())

    def _named(
        self, node: nodes.Filter | nodes.Test, kind: str, name: str, arguments: Sequence[nodes.Node], token: Token
    ) -> None:
        """Check a filter or a test that is named by a word, or by a string argument of another filter."""
        table = _TABLES[kind]
        if name not in table:
            self._report("RB304", f'unknown {kind} "{name}"', token, _help(name, table, f"{kind}s"))
            return
        inner, position = _TAKES_NAME.get(name, ("", 0)) if kind == "filter" else ("", 0)
        if not inner or len(arguments) <= position:
            function = map_attribute if name == "map" and kind == "filter" else table[name]
            self._check_arguments(function, name, [None, None, *arguments], node.kwargs, token)
            return
        first, *rest = arguments[position:]
        chosen = _constant(first)
        place = self._tokens.get(first.lineno, token)
        if isinstance(chosen, str):
            self._named(node, inner, chosen, rest, place)
        else:
            message = f"the name of a {inner} must be a literal string, so that it can be checked"
            self._report("RB304", message, place, f"write it as a string, for example {_EXAMPLES[inner]}")

    def _check_arguments(
        self,
        function: Callable[..., object],
        name: str,
        arguments: Sequence[object],
        named: Sequence[nodes.Keyword | nodes.Pair],
        token: Token,
    ) -> None:
        signature = inspect.signature(function)
        try:
            signature.bind(*arguments, **{str(one.key): None for one in named})
        except TypeError:
            own = [one for one in signature.parameters.values() if one.name not in {"budget", "value"}]
            listed = ", ".join(one.name for one in own if one.kind not in {one.VAR_POSITIONAL, one.VAR_KEYWORD})
            help_text = _HELP_FOR_ARGUMENTS.get(name) or (
                f"its arguments are: {listed}" if listed else "it has no arguments"
            )
            self._report("RB304", f'"{name}" has wrong arguments', token, help_text)

    def _check_stars(self, node: nodes.Call | nodes.Filter | nodes.Test) -> None:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._report("RB303", 'arguments cannot be unpacked with "*"', self._tokens[node.lineno])

    def _report(self, code: str, message: str, token: Token, help_text: str = "") -> None:
        self.problems.append(
            ExpressionProblem(code=code, message=message, start=token.start, end=token.end, help=help_text)
        )


def _help(word: str, known: Collection[str], what: str) -> str:
    if word in _FOREIGN:
        return _FOREIGN[word]
    listed = ", ".join(sorted(name for name in known if name.isidentifier()))
    return suggestion(word, known) or f"the {what} are: {listed}"


def _constant(node: nodes.Node) -> object:
    """Return the value of a constant node; None if it is not constant."""
    assert isinstance(node, nodes.Expr)
    try:
        return evaluate_tree(node, {}, budget=Budget(1000))
    except Exception:  # noqa: BLE001 - a node that cannot be evaluated is not constant
        return None
