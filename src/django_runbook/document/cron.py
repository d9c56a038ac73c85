"""Parses the five fields of a cron expression into the minutes, hours, days, months and weekdays that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from django_runbook.structs import Struct

_WORD: Final = re.compile(r"\S+")
_TERM: Final = re.compile(r"(?P<star>\*)|(?P<first>\w+)(-(?P<last>\w+))?", re.ASCII)
# Days of month and of week that some schedulers know, and most do not.
_EXTENSION: Final = re.compile(r"\w*(L|W|LW)|L-\d+|\w+#\d+", re.ASCII | re.IGNORECASE)
ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
LONGEST_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class CronField(Struct):
    """Describes one field: its name in messages, its smallest and greatest number, and the names of its numbers."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()


FIELDS: Final = (
    CronField(name="minute", first=0, last=59),
    CronField(name="hour", first=0, last=23),
    CronField(name="day of month", first=1, last=31),
    CronField(name="month", first=1, last=12, names=_MONTHS),
    # 7 is Sunday too.
    CronField(name="day of week", first=0, last=7, names=_WEEKDAYS),
)


class Cron(Struct):
    """Holds a valid expression: its five fields as they are written, and the sorted numbers that each one names.

    Weekdays are counted from 0, Sunday.
    """

    fields: tuple[str, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    @property
    def text(self) -> str:
        return " ".join(self.fields)

    @property
    def names_all_days(self) -> bool:
        return len(self.days) == FIELDS[2].last

    @property
    def names_all_weekdays(self) -> bool:
        return len(self.weekdays) == len(_WEEKDAYS)

    @property
    def needs_both_days(self) -> bool:
        """Return whether a date must match the day of month and the day of week: cron looks for a star in either."""
        return self.fields[2].startswith("*") or self.fields[4].startswith("*")

    @property
    def is_every_minute_or_hour(self) -> bool:
        """Return whether cron counts real time through a change of clocks: it looks for a star here as well."""
        return self.fields[0].startswith("*") or self.fields[1].startswith("*")


class CronProblem(Struct):
    """Describes an error in a part of an expression."""

    start: int
    end: int
    message: str
    help: str


class _FieldError(Exception):
    def __init__(self, message: str, help_text: str) -> None:
        super().__init__(message)
        self.help = help_text


def parse_cron(text: str) -> tuple[Cron | None, list[CronProblem]]:
    """Parse an expression; return None and the problems if there are any."""
    words = list(_WORD.finditer(text))
    if len(words) != len(FIELDS):
        return None, [CronProblem(start=0, end=max(len(text), 1), **_count_problem(text.strip(), len(words)))]
    numbers: list[tuple[int, ...]] = []
    problems: list[CronProblem] = []
    for place, word in zip(FIELDS, words, strict=True):
        try:
            numbers.append(_numbers(word[0].upper(), place))
        except _FieldError as error:
            problem = CronProblem(start=word.start(), end=word.end(), message=str(error), help=error.help)
            problems.append(problem)
    if problems:
        return None, problems
    minutes, hours, days, months, weekdays = numbers
    cron = Cron(
        fields=tuple(word[0].upper() for word in words),
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
    )
    if cron.needs_both_days and days[0] > max(LONGEST_MONTHS[month - 1] for month in months):
        message = f"no month of this schedule has day {days[0]}"
        help_text = "correct the day of month or the month"
        return None, [CronProblem(start=words[2].start(), end=words[3].end(), message=message, help=help_text)]
    return cron, []


def _count_problem(text: str, count: int) -> dict[str, str]:
    if text.startswith("@"):
        known = ALIASES.get(text.lower())
        help_text = f'write "{known}"' if known else "write five fields, such as 15 2 * * *"
        return {"message": f'"{text}" is not a cron expression of five fields', "help": help_text}
    names = ", ".join(place.name for place in FIELDS)
    help_text = "remove the seconds" if count == len(FIELDS) + 1 else f"the fields are {names}: 15 2 * * *"
    return {"message": f"a cron expression has 5 fields, not {count}", "help": help_text}


def _numbers(text: str, place: CronField) -> tuple[int, ...]:
    found = {number for term in text.split(",") for number in _term_numbers(term, place)}
    if place.names == _WEEKDAYS:
        found = {number % 7 for number in found}
    return tuple(sorted(found))


def _term_numbers(text: str, place: CronField) -> Iterator[int]:
    base, slash, step_text = text.partition("/")
    match = _TERM.fullmatch(base)
    if match is None or (_EXTENSION.fullmatch(base) and base not in place.names):
        raise _FieldError(f'the {place.name} "{text}" is not valid', _help_for(base, place))
    step = _step(step_text, place) if slash else 1
    if match["star"]:
        # A week that ends on Sunday would have eight days.
        return iter(range(place.first, min(place.last, 6) + 1 if place.names == _WEEKDAYS else place.last + 1, step))
    first = _number(match["first"], place)
    if match["last"] is None:
        if slash:
            help_text = f'write "{first}-{place.last}/{step}": schedulers read a step of one number in different ways'
            raise _FieldError(f'the {place.name} "{text}" has a step, but is not a range', help_text)
        return iter((first,))
    last = _number(match["last"], place)
    if last < first:
        raise _FieldError(
            f'the {place.name} "{text}" ends before it begins',
            f'write two parts, such as "{match["first"]}-{place.last},{place.first}-{match["last"]}"'
            if place.names != _WEEKDAYS
            else f'list the days, such as "{match["first"]},{match["last"]}"',
        )
    return iter(range(first, last + 1, step))


def _step(text: str, place: CronField) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= place.last:
        raise _FieldError(
            f'the {place.name} has the step "{text}"', f"a step is a number from 1 to {place.last}, as in */2"
        )
    return int(text[:4])


def _number(text: str, place: CronField) -> int:
    if text in place.names:
        return place.names.index(text) + place.first
    if not text.isascii() or not text.isdigit() or not place.first <= int(text[:4]) <= place.last or len(text) > 2:
        raise _FieldError(f'the {place.name} "{text}" is not valid', _help_for(text, place))
    return int(text)


def _help_for(text: str, place: CronField) -> str:
    if text == "?":
        return 'write "*"'
    if _EXTENSION.fullmatch(text) and text not in place.names and place.name.startswith("day"):
        return 'cron has no last or n-th day: name a range of days, and test the day with "when"'
    names = f", or a name from {place.names[0]} to {place.names[-1]}" if place.names else ""
    return f"it is a number from {place.first} to {place.last}{names}, a range 1-5, a list 1,3, a step */2, or *"
