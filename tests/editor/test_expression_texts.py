from __future__ import annotations

from django_runbook.document.evaluation.filters import FILTERS
from django_runbook.document.evaluation.functions import FUNCTIONS
from django_runbook.document.evaluation.tests import TESTS
from django_runbook.document.validation.reference_checks import HANDLER_RUN_NAMES, ROOTS, STEP_NAMES
from django_runbook.editor.expression_texts import (
    FILTER_TEXTS,
    ROOT_TEXTS,
    RUN_TEXTS,
    STEP_TEXTS,
    TEST_TEXTS,
    function_text,
    signature_of,
)


def test_each_name_of_expressions_is_explained() -> None:
    assert set(ROOTS) - set(ROOT_TEXTS) == set()
    assert set(STEP_NAMES) == set(STEP_TEXTS)
    assert set(HANDLER_RUN_NAMES) == set(RUN_TEXTS)


def test_each_filter_and_each_test_is_explained() -> None:
    assert set(FILTERS) == set(FILTER_TEXTS)
    assert {name for name in TESTS if name.isidentifier()} == set(TEST_TEXTS)


def test_each_function_is_explained_by_its_docstring() -> None:
    assert all(function_text(name).startswith("Return ") for name in FUNCTIONS)
    assert signature_of("add_months") == "add_months(date, n)"
