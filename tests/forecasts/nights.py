"""Simulates a year of nights: steps drift, rest on weekends, are slow at the end of a month, and in one week."""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Iterator
from typing import Final

from django_runbook.forecasts.figures import RunFigures, StepFigures
from django_runbook.forecasts.judgments import History, PastRun, StepHistory, at_end, slow
from django_runbook.forecasts.samples import LEAST_EXCESS_SECONDS
from django_runbook.structs import Struct, replace

FIRST_DAY: Final = datetime.date(2025, 1, 1)
NIGHTS: Final = 365
# Nothing is planted before: five samples of each weekday take five weeks.
WARM_UP: Final = 50
_REMEMBERED: Final = 120
_SLOW_WEEK: Final = range(200, 207)


class Planted(Struct):
    """Describes what is made unusual in one night."""

    key: str
    kind: str


class Found(Struct):
    """Holds one notice of one night."""

    day: datetime.date
    key: str
    kind: str


class Year(Struct):
    planted: tuple[Found, ...]
    noticed: tuple[Found, ...]

    @property
    def missed(self) -> set[Found]:
        return set(self.planted) - set(self.noticed)

    @property
    def false(self) -> list[Found]:
        return [found for found in self.noticed if found not in self.planted]


def simulate(seed: int) -> Year:
    """Run a year of nights and judge each by those before."""
    rng = random.Random(seed)
    planted = _plant(rng)
    past: list[PastRun] = []
    noticed: list[Found] = []
    for number in range(NIGHTS):
        day = FIRST_DAY + datetime.timedelta(days=number)
        tonight = planted.get(number, ())
        steps = _night(number, day, rng, slow={one.key for one in tonight if one.kind == "slow"})
        for one in tonight:
            steps[one.key] = _spoiled(steps[one.key], one.kind)
        history = History(runs=tuple(past))
        noticed += [found for key, step in steps.items() for found in _judged(history, day, key, step)]
        seconds = sum(step.seconds or 0 for step in steps.values())
        past = [PastRun(day, RunFigures(shape="", seconds=seconds, steps=steps)), *past][:_REMEMBERED]
    expected = tuple(
        Found(day=FIRST_DAY + datetime.timedelta(days=number), key=one.key, kind=one.kind)
        for number, found in planted.items()
        for one in found
    )
    return Year(planted=expected, noticed=tuple(noticed))


def _judged(history: History, day: datetime.date, key: str, figures: StepFigures) -> Iterator[Found]:
    past: StepHistory = history.step(key, figures.definition)
    seconds = None if figures.seconds is None else slow(past, day, figures.seconds, is_running=False)
    for judgment in (*filter(None, (seconds,)), *at_end(past, day, figures)):
        yield Found(day=day, key=key, kind=judgment.kind)


def _plant(rng: random.Random) -> dict[int, tuple[Planted, ...]]:
    """Choose two nights of each month; nothing is made empty where it is empty anyway.

    By the rules, what happens to a step on more than one in eight nights of a weekday is usual, and not planted again.
    """
    planted: dict[int, tuple[Planted, ...]] = {}
    number = WARM_UP
    while number < NIGHTS - 1:
        kinds = [
            Planted(key="import", kind="slow"),
            Planted(key="report", kind="output"),
            Planted(key="report", kind="slow"),
        ]
        kinds += [Planted(key="import", kind="skipped"), Planted(key="late", kind="output")]
        if not _is_weekend(FIRST_DAY + datetime.timedelta(days=number)):
            kinds.append(Planted(key="classify", kind="rows"))
        planted[number] = (rng.choice([one for one in kinds if _is_exception(one, number, planted)]),)
        number += rng.randint(8, 22)
    return planted


def _is_exception(one: Planted, number: int, planted: dict[int, tuple[Planted, ...]]) -> bool:
    similar = [n for n in range(number % 7, number, 7) if n >= number - _REMEMBERED and not _is_edge(n)]
    return sum(one in planted.get(n, ()) for n in similar) <= math.ceil(len(similar) / 8)


def _is_edge(number: int) -> bool:
    day = FIRST_DAY + datetime.timedelta(days=number)
    return day.day == 1 or (day + datetime.timedelta(days=1)).day == 1


def _night(number: int, day: datetime.date, rng: random.Random, *, slow: set[str]) -> dict[str, StepFigures]:
    """Return the figures of a night, in which some steps are slow.

    By the rules, a step is slow that takes twice the longest time of similar nights. So a slow step takes four times
    what it takes on average that night: four times the time that it takes by chance may be three times the usual one.
    """
    is_last = (day + datetime.timedelta(days=1)).day == 1
    pace = (1 + 1.5 * number / NIGHTS) * (3 if is_last else 1) * (1.7 if number in _SLOW_WEEK else 1)
    weekend = _is_weekend(day)

    def seconds(usual: float, key: str = "") -> float:
        by_chance = usual * pace * rng.lognormvariate(0, 0.15)
        return usual * pace * 4 + LEAST_EXCESS_SECONDS if key in slow else by_chance

    flights = int(900 * rng.lognormvariate(0, 0.1) * (0.6 if weekend else 1))
    is_sunday, is_first = day.weekday() == 6, day.day == 1
    return {
        "import": _ran(seconds(240 * (0.4 if weekend else 1), "import"), rows=flights, output_size=flights * 3),
        "classify": _ran(seconds(60 if weekend else 600), rows=0 if weekend else 30 * flights, output_size=80),
        "late": _ran(seconds(5), captured_size=flights // 5, output_size=flights * 8),
        "report": _ran(seconds(20 * (4 if is_sunday else 1), "report"), output_size=1200),
        "purge": _ran(seconds(30), rows=max(0, int(rng.gauss(3, 2))), output_size=40),
        "weekly": _ran(seconds(300), output_size=10) if is_sunday else _skipped(),
        "monthly": _ran(seconds(900), output_size=10) if is_first else _skipped(),
    }


def _ran(seconds: float, *, rows: int | None = None, output_size: int, captured_size: int | None = None) -> StepFigures:
    return StepFigures(
        definition="same",
        status="succeeded",
        seconds=seconds,
        rows=rows,
        output_size=output_size,
        captured_size=captured_size,
    )


def _skipped() -> StepFigures:
    return StepFigures(definition="same", status="skipped")


def _spoiled(figures: StepFigures, kind: str) -> StepFigures:
    match kind:
        case "slow":
            return figures
        case "rows":
            return replace(figures, rows=0)
        case "output" if figures.captured_size is not None:
            return replace(figures, captured_size=0, output_size=3)
        case "output":
            return replace(figures, output_size=0)
    return _skipped()


def _is_weekend(day: datetime.date) -> bool:
    return day.weekday() >= 5
