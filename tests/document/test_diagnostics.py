"""Makes and sorts diagnostics: their severity and title come from the table of codes."""

from __future__ import annotations

import pytest

from django_runbook.document.codes import CODES, Severity
from django_runbook.document.diagnostics import Diagnostic, Span, diagnose, has_errors, in_order


def made(code: str, *, line: int = 1, path: str = "") -> Diagnostic:
    return diagnose(code, message="a message", span=Span(line, 1, line, 2), path=path)


@pytest.mark.parametrize("code", CODES)
def test_the_severity_and_the_title_come_from_the_table(code: str) -> None:
    diagnostic = made(code)
    row = CODES[code]
    assert (diagnostic.code, diagnostic.severity, diagnostic.title) == (code, row.severity, row.title)


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(KeyError):
        made("RB999")


def test_a_diagnostic_cannot_have_another_severity() -> None:
    assert "severity" not in Diagnostic.__struct_fields__


def test_the_documentation_of_a_code_is_its_section() -> None:
    assert CODES["RB216"].documentation == "reference/diagnostics.md#rb216-wait-without-on_conflict-wait"


def test_diagnostics_are_sorted_by_place_and_those_of_included_files_come_last() -> None:
    first, second, included = made("RB201", line=1), made("RB106", line=2), made("RB105", path="weekly.yml")
    assert in_order([included, second, first, second]) == [first, second, included]


def test_an_expression_with_another_diagnostic_is_reported_once() -> None:
    undefined, without_value = made("RB305"), made("RB320")
    assert in_order([without_value, undefined]) == [undefined]
    assert in_order([without_value]) == [without_value]


def test_only_errors_keep_a_runbook_from_running() -> None:
    warning = next(code for code, row in CODES.items() if row.severity is Severity.WARNING)
    assert not has_errors([made(warning)])
    assert has_errors([made(warning), made("RB101")])
