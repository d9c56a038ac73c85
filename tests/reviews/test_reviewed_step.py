from __future__ import annotations

import pytest

from django_runbook.document.runbook import CommandStep, GroupStep
from django_runbook.reviews.reviewed_step import SETTINGS, file_settings, reviewed_steps
from tests.planning.support import plan_of
from tests.reviews.support import steps

# What is compared as a command line or as the content of a group, or does not change what runs.
ELSEWHERE = {"command", "args", "options", "shards", "block", "span", "error_spans", "queue_span", "description"}


def test_every_field_of_a_step_is_compared() -> None:
    names = (*CommandStep.__struct_fields__, *GroupStep.__struct_fields__)
    fields = {name.removesuffix("_seconds") for name in names}
    assert fields - ELSEWHERE == set(SETTINGS)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("command: say", {}),
        ("command: say, id: hello", {"id": "hello"}),
        ("command: say, name: Hello", {"name": "Hello"}),
        ("command: say, when: 1 > 0", {"when": "1 > 0"}),
        ("command: say, for_each: [a, b], max_parallel: 2", {"for_each": "[a, b]", "max_parallel": "2"}),
        ("command: say, timeout: 90", {"timeout": "1m30s"}),
        ("command: say, retry: 3", {"retry": "3 attempts, delay 1s, backoff 2, max_delay 1m"}),
        (
            "command: say, retry: {attempts: 2, jitter: false, errors: [75, ValueError], until: run.name != ''}",
            {
                "retry": "2 attempts, delay 1s, backoff 2, max_delay 1m, jitter false, errors [75, ValueError], "
                "until run.name != ''"
            },
        ),
        ("command: say, lock: a", {"lock": "a, on_conflict fail"}),
        ("command: say, lock: {name: a, on_conflict: wait, wait: 5m}", {"lock": "a, on_conflict wait, wait 5m"}),
        ("command: say, continue_on_error: [3]", {"continue_on_error": "[3]"}),
        ("command: say, isolate: false, idempotent: false", {"isolate": "false", "idempotent": "false"}),
        (
            "command: say, atomic: true, capture: text, no_log: true",
            {"atomic": "true", "capture": "text", "no_log": "true"},
        ),
        ("command: say, confirm: Sure?, tags: [a, b]", {"confirm": "Sure?", "tags": "a, b"}),
        ("steps: [noop], fail_fast: false", {"fail_fast": "false"}),
        ("parallel: [noop], max_parallel: 2", {"parallel": "true", "max_parallel": "2"}),
    ],
)
def test_settings_are_shown_as_the_file_has_them(keys: str, expected: dict[str, str]) -> None:
    assert reviewed_steps(steps(f"{{{keys}}}"))[0].settings == expected


def test_the_command_line_is_resolved_and_hides_what_the_step_hides() -> None:
    plan = steps(
        "{id: one, command: say, capture: text}, {command: say hello, args: ['${{ today.year }}', '${{ steps.one.output }}']}, {command: say hello, no_log: true}"
    )
    assert [one.line for one in reviewed_steps(plan)[1:]] == ["say hello 2013 ?", "say ***"]


def test_the_items_of_a_loop_have_command_lines_and_no_settings() -> None:
    loop, first, second = reviewed_steps(steps("{command: 'say ${{ item }}', for_each: [a, b], timeout: 5}"))
    assert loop.line == "loop say"
    assert [(one.line, one.settings) for one in (first, second)] == [("say a", {}), ("say b", {})]


def test_groups_are_named() -> None:
    group, inner = reviewed_steps(steps("{name: Search, steps: [noop]}"))
    assert (group.line, inner.around) == ("group Search", ("Search", "step", "step"))


def test_the_settings_of_the_file_are_shown() -> None:
    plan = plan_of(
        "name: Nightly\nparams: {day: {type: date}, mode: {choices: [a, b], default: a}}\nvars: {file: '${{ run.name }}'}\n"
        "secrets: [SMTP_PASSWORD]\nschedule: {cron: 15 2 * * *, timezone: UTC, jitter: 5m, catch_up: true}\ntimeout: 2h\nlock: {on_conflict: skip}\njournal: false\nnotify: [oncall]\nsteps: [noop]\n"
    )
    assert file_settings(plan) == {
        "name": "Nightly",
        "params.day": "date, required",
        "params.mode": "string, default a, one of a, b",
        "vars.file": "${{ run.name }}",
        "secrets": "SMTP_PASSWORD",
        "timeout": "2h",
        "lock": "the file's own, on_conflict skip",
        "schedule": "15 2 * * *, UTC, jitter 5m, catch_up",
        "journal": "false",
        "notify": "oncall",
    }
