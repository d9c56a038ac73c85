"""Evaluates the tree of an expression, node by node, within one budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import nodes

from django_runbook.document.evaluation import filters, members, operators
from django_runbook.document.evaluation.budget import Budget
from django_runbook.document.evaluation.functions import FUNCTIONS
from django_runbook.document.evaluation.grammar import tree_of
from django_runbook.document.evaluation.tests import TESTS
from django_runbook.document.evaluation.values import Missing, OperationError, present

_SIGNS: Final[Mapping[type[nodes.Expr], str]] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
    nodes.Pow: "**",
    nodes.Neg: "-",
    nodes.Pos: "+",
}


def evaluate(source: str, names: Mapping[str, object], *, budget: Budget | None = None) -> object:
    """Return the value of an expression as plain data; raise OperationError, or the exception of an operation."""
    return evaluate_tree(tree_of(source), names, budget=budget)


def evaluate_tree(tree: nodes.Expr, names: Mapping[str, object], *, budget: Budget | None = None) -> object:
    """Return the value of a tree as plain data; raise as `evaluate` does."""
    budget = budget or Budget()
    return budget.settle(_Evaluator(names, budget).value(tree))


class _Evaluator:
    def __init__(self, names: Mapping[str, object], budget: Budget) -> None:
        self._names = names
        self._budget = budget

    def value(self, node: nodes.Node) -> Any:
        self._budget.spend(items=1)
        return _VALUES[type(node)](self, node)

    def const(self, node: nodes.Const) -> object:
        return node.value

    def name(self, node: nodes.Name) -> object:
        if node.name in self._names:
            return self._names[node.name]
        return Missing(lambda: f'"{node.name}" is not defined')

    def list_of(self, node: nodes.List | nodes.Tuple) -> list[object]:
        return [self.value(item) for item in node.items]

    def tuple_of(self, node: nodes.Tuple) -> tuple[object, ...]:
        return tuple(self.list_of(node))

    def dict_of(self, node: nodes.Dict) -> dict[object, object]:
        return {present(self.value(pair.key)): self.value(pair.value) for pair in node.items}

    def both(self, node: nodes.And) -> object:
        left = self.value(node.left)
        return self.value(node.right) if operators.is_true(left) else left

    def either(self, node: nodes.Or) -> object:
        left = self.value(node.left)
        return left if operators.is_true(left) else self.value(node.right)

    def denial(self, node: nodes.Not) -> bool:
        return not operators.is_true(self.value(node.node))

    def condition(self, node: nodes.CondExpr) -> object:
        if operators.is_true(self.value(node.test)):
            return self.value(node.expr1)
        if node.expr2 is None:
            return Missing(lambda: 'the condition is false, and "else" is missing')
        return self.value(node.expr2)

    def comparison(self, node: nodes.Compare) -> bool:
        left = self.value(node.expr)
        for operand in node.ops:
            right = self.value(operand.expr)
            if not operators.compare(self._budget, operand.op, left, right):
                return False
            left = right
        return True

    def concatenation(self, node: nodes.Concat) -> str:
        return operators.concatenate(self._budget, [self.value(one) for one in node.nodes])

    def calculation(self, node: nodes.BinExpr) -> object:
        return operators.calculate(self._budget, _SIGNS[type(node)], self.value(node.left), self.value(node.right))

    def sign(self, node: nodes.UnaryExpr) -> object:
        return operators.negate(self.value(node.node), _SIGNS[type(node)])

    def attribute(self, node: nodes.Getattr) -> object:
        return members.attribute(self.value(node.node), node.attr)

    def item(self, node: nodes.Getitem) -> object:
        obj = self.value(node.node)
        if isinstance(node.arg, nodes.Slice):
            bounds = (node.arg.start, node.arg.stop, node.arg.step)
            return members.part(self._budget, obj, [None if one is None else self.value(one) for one in bounds])
        return members.item(self._budget, obj, self.value(node.arg))

    def call(self, node: nodes.Call) -> object:
        arguments, named = self._arguments(node)
        if isinstance(node.node, nodes.Getattr):
            return members.call(self._budget, self.value(node.node.node), node.node.attr, arguments, named)
        if isinstance(node.node, nodes.Name) and node.node.name in FUNCTIONS:
            return FUNCTIONS[node.node.name](*arguments, **named)
        raise OperationError("only functions and methods can be called")

    def filter(self, node: nodes.Filter) -> object:
        assert node.node is not None
        arguments, named = self._arguments(node)
        return filters.apply(self._budget, node.name, self.value(node.node), arguments, named)

    def test(self, node: nodes.Test) -> bool:
        arguments, named = self._arguments(node)
        return TESTS[node.name](self._budget, self.value(node.node), *arguments, **named)

    def _arguments(self, node: nodes.Call | nodes.Filter | nodes.Test) -> tuple[list[object], dict[str, object]]:
        return [self.value(one) for one in node.args], {str(one.key): self.value(one.value) for one in node.kwargs}


# Any: each method takes the kind of node that it is listed for.
_VALUES: Final[Mapping[type[nodes.Node], Callable[[_Evaluator, Any], object]]] = {
    nodes.Const: _Evaluator.const,
    nodes.Name: _Evaluator.name,
    nodes.List: _Evaluator.list_of,
    nodes.Tuple: _Evaluator.tuple_of,
    nodes.Dict: _Evaluator.dict_of,
    nodes.And: _Evaluator.both,
    nodes.Or: _Evaluator.either,
    nodes.Not: _Evaluator.denial,
    nodes.CondExpr: _Evaluator.condition,
    nodes.Compare: _Evaluator.comparison,
    nodes.Concat: _Evaluator.concatenation,
    **dict.fromkeys(
        (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow), _Evaluator.calculation
    ),
    **dict.fromkeys((nodes.Neg, nodes.Pos), _Evaluator.sign),
    nodes.Getattr: _Evaluator.attribute,
    nodes.Getitem: _Evaluator.item,
    nodes.Call: _Evaluator.call,
    nodes.Filter: _Evaluator.filter,
    nodes.Test: _Evaluator.test,
}
