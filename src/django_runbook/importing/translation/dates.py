"""Translates calls of ``date`` into expressions: the day and the moment at which the run started."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from django_runbook.importing.problems import NotCarried
from django_runbook.importing.translation.pieces import Expr, string_of

_DAY_ONLY: Final = frozenset("YmdjaAbBuwUWVGyeCgh%")
_KNOWN: Final = _DAY_ONLY | frozenset("HIMSpzZ")
_LONG: Final = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y", "h": "%b", "n": "\n", "t": "\t"}
_DIRECTIVE: Final = re.compile(r"%([-_0^#]?)([A-Za-z%])")
_ISO: Final = "%Y-%m-%d"
_ZERO: Final = {"now": ("", 0), "today": ("", 0), "yesterday": ("day", -1), "tomorrow": ("day", 1)}
_RELATIVE: Final = re.compile(
    r"(?P<sign>[-+]?)\s*(?P<count>\d+)\s*(?P<unit>minute|min|hour|day|week|month)s?(?P<ago>\s+ago)?", re.IGNORECASE
)
_NEXT: Final = re.compile(r"(?P<which>last|next)[ -](?P<unit>hour|day|week|month)", re.IGNORECASE)
_BSD: Final = re.compile(r"-v([-+])(\d+)([dwmHM])")
_BSD_UNITS: Final = {"d": "day", "w": "week", "m": "month", "H": "hour", "M": "minute"}
_NUMBERS: Final = {"%u": "isoweekday()", "%Y": "year"}
DAY: Final = "today"


def date_expression(arguments: Sequence[str]) -> Expr:
    """Return the expression of ``date`` with these arguments; raise NotCarried."""
    unit, count, layout = "", 0, ""
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("+"):
            layout = word[1:]
        elif word in {"-I", "--iso-8601", "-Idate", "--iso-8601=date"}:
            layout = _ISO
        elif word in {"-d", "--date"} and rest:
            unit, count = _shift(rest.pop(0))
        elif word.startswith(("--date=", "-d")):
            unit, count = _shift(word.removeprefix("--date=").removeprefix("-d"))
        elif (found := _BSD.fullmatch(word)) is not None:
            unit, count = _BSD_UNITS[found[3]], int(found[1] + found[2])
        else:
            raise NotCarried(f'"date {word}" has no counterpart in an expression')
    if not layout:
        raise NotCarried("the text of a date without a format depends on the locale")
    return _formatted(layout, unit, count)


def _shift(text: str) -> tuple[str, int]:
    text = text.strip().lower()
    if text in _ZERO:
        return _ZERO[text]
    found = _RELATIVE.fullmatch(text)
    if found is not None:
        is_past = (found["sign"] == "-") != bool(found["ago"])
        unit = "minute" if found["unit"] == "min" else found["unit"]
        return unit, -int(found["count"]) if is_past else int(found["count"])
    named = _NEXT.fullmatch(text)
    if named is not None:
        return named["unit"], -1 if named["which"] == "last" else 1
    raise NotCarried(f'the date "{text}" has no counterpart in an expression')


def _formatted(layout: str, unit: str, count: int) -> Expr:
    if layout == "%s":
        return Expr(source=f"{_of(_moved('now', unit, count))}.timestamp() | int", is_text=False)
    layout = _DIRECTIVE.sub(lambda found: _LONG.get(found[2], found[0]) if not found[1] else found[0], layout)
    directives = {found[2] for found in _DIRECTIVE.finditer(layout)}
    unknown = sorted(directives - _KNOWN)
    if unknown or re.sub(r"%[-_0^#]?[A-Za-z%]", "", layout).count("%"):
        raise NotCarried(f'the format "{layout}" of date has no counterpart in an expression')
    is_day = directives <= _DAY_ONLY and unit not in {"hour", "minute"}
    start = _moved("today" if is_day else "now", unit, count)
    if layout == _ISO:
        return Expr(source=start if is_day else f"{_of(start)}.date()", is_text=False)
    if layout in _NUMBERS:
        member = _NUMBERS[layout]
        return Expr(source=f"{_of(start)}.{member}", is_text=False)
    return Expr(source=f"{_of(start)}.strftime({string_of(layout)})")


def _of(source: str) -> str:
    """Return an expression as what a member follows."""
    return f"({source})" if " " in source and not source.startswith("add_months") else source


def _moved(start: str, unit: str, count: int) -> str:
    if not count:
        return start
    if unit == "month":
        # GNU date overflows into the next month where the day does not exist; this keeps the last day.
        return f"add_months({start}, {count})"
    return f"{start} {'-' if count < 0 else '+'} {unit}s({abs(count)})"
