from __future__ import annotations

import datetime

import pytest

from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import parse_template, render_text
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.translation.dates import date_expression

NOW = datetime.datetime(2024, 3, 31, 14, 5, 9, tzinfo=datetime.UTC)
PLACE = Span(1, 1, 1, 2)


def value_of(source: str) -> str:
    template, diagnostics = parse_template(f"${{{{ {source} }}}}|", lambda start, end: PLACE)
    assert diagnostics == []
    return render_text(template, {"today": NOW.date(), "now": NOW}).removesuffix("|")


# What GNU date prints for the moment above.
@pytest.mark.parametrize(
    ("arguments", "source", "value"),
    [
        (["+%F"], "today", "2024-03-31"),
        (["+%Y-%m-%d"], "today", "2024-03-31"),
        (["-I"], "today", "2024-03-31"),
        (["+%Y%m%d"], 'today.strftime("%Y%m%d")', "20240331"),
        (["+%u"], "today.isoweekday()", "7"),
        (["+%Y"], "today.year", "2024"),
        (["+%d"], 'today.strftime("%d")', "31"),
        (["+%F_%H%M"], 'now.strftime("%Y-%m-%d_%H%M")', "2024-03-31_1405"),
        (["+%T"], 'now.strftime("%H:%M:%S")', "14:05:09"),
        (["+%s"], "now.timestamp() | int", "1711893909"),
        (["-d", "yesterday", "+%F"], "today - days(1)", "2024-03-30"),
        (["--date=tomorrow", "+%d.%m."], '(today + days(1)).strftime("%d.%m.")', "01.04."),
        (["-d", "3 days ago", "+%F"], "today - days(3)", "2024-03-28"),
        (["-d", "-2 weeks", "+%F"], "today - weeks(2)", "2024-03-17"),
        (["+%F", "-d", "+1 day"], "today + days(1)", "2024-04-01"),
        (["-v-1d", "+%F"], "today - days(1)", "2024-03-30"),
        (["-d", "2 hours ago", "+%H:%M"], '(now - hours(2)).strftime("%H:%M")', "12:05"),
        (["-d", "last month", "+%Y-%m"], 'add_months(today, -1).strftime("%Y-%m")', "2024-02"),
        (["+100%%"], 'today.strftime("100%%")', "100%"),
    ],
    ids=" ".join,
)
def test_a_date_is_an_expression_with_its_value(arguments: list[str], source: str, value: str) -> None:
    made = date_expression(arguments)
    assert made.source == source
    assert value_of(made.source) == value


@pytest.mark.parametrize(
    "arguments",
    [[], ["+%N"], ["-u", "+%F"], ["-d", "noon", "+%F"], ["-r", "file", "+%F"], ["+%"], ["-s", "12:00"]],
    ids=" ".join,
)
def test_other_dates_have_no_counterpart(arguments: list[str]) -> None:
    with pytest.raises(NotCarried):
        date_expression(arguments)
