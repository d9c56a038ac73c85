from __future__ import annotations

import pytest

from django_runbook.document.runbook import Schedule
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.validate import load


def read(value: str) -> tuple[Schedule | None, list[str]]:
    runbook, found = load(Source(path="a.yml", text=f"schedule: {value}\nsteps: [noop]\n"))
    assert runbook is not None
    return runbook.schedule, [f"{item.span.column} {item.code} {item.message} | {item.help}" for item in found]


def test_a_string_is_the_expression() -> None:
    short, _ = read("15 2 * * *")
    long, _ = read("{cron: 15 2 * * *}")
    assert short == long
    assert short is not None
    assert (short.cron.text, short.timezone, short.jitter_seconds, short.catch_up) == ("15 2 * * *", None, 0, False)


def test_a_mapping_has_everything() -> None:
    schedule, found = read("{cron: 15 2 * * mon, timezone: Europe/Berlin, jitter: 5m, catch_up: true}")
    assert found == []
    assert schedule is not None
    assert (schedule.cron.text, schedule.timezone, schedule.jitter_seconds, schedule.catch_up) == (
        "15 2 * * MON",
        "Europe/Berlin",
        300,
        True,
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", 'RB205 "schedule" must be a cron expression, or a mapping with cron, timezone and so on, not the number 5'),
        ("[15 2 * * *]", 'RB205 "schedule" must be a cron expression, or a mapping with cron, timezone and so on, not a list'),
        ("{timezone: UTC}", 'RB204 schedule needs "cron"'),
        ("{cron: 5}", 'RB205 "cron" must be a cron expression of five fields, not the number 5'),
        ("{cron: 15 2 * * *, timezone: 5}", 'RB205 "timezone" must be the name of a time zone, not the number 5'),
        ("{cron: 15 2 * * *, catch_up: yes}", 'RB205 "catch_up" must be true or false, not "yes" | write true'),
        ("{cron: 15 2 * * *, jitter: soon}", 'RB206 "jitter" must be a duration, not "soon"'),
        ('"${{ today }}"', "RB220 a cron expression has 5 fields, not 3 | this key does not take expressions"),
        ('{cron: "15 2 * * x"}', '28 RB220 the day of week "X" is not valid'),
        ("{cron: 15 2 * * *, timezone: Europe/Berln}", '40 RB221 unknown time zone "Europe/Berln" | did you mean "Europe/Berlin"?'),
        ("{cron: 15 2 * * *, timezone: europe/berlin }", '| did you mean "Europe/Berlin"?'),
        ("{cron: 15 2 * * *, timezone: new york}", '| did you mean "America/New_York"?'),
        ("{cron: 15 2 * * *, timezone: Europe}", 'RB221 unknown time zone "Europe"'),
        ("{cron: 15 2 * * *, timezone: ../UTC}", 'RB221 unknown time zone "../UTC"'),
        ("{cron: 15 2 * * *, zone: UTC}", 'RB201 unknown key "zone" in schedule'),
    ],
)  # fmt: skip
def test_an_invalid_value_is_reported(value: str, expected: str) -> None:
    _, [message, *_] = read(value)
    assert expected in message


def test_a_schedule_belongs_to_a_file() -> None:
    _, [item] = load(Source(path="a.yml", text="steps: [{command: noop, schedule: 15 2 * * *}]\n"))
    assert (item.code, item.help) == ("RB201", '"schedule" is a key of a runbook')
