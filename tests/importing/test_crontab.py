from __future__ import annotations

import pytest

from django_runbook.importing.crontab import CronJob, parse_crontab


def only_job(text: str) -> CronJob:
    table = parse_crontab(text)
    assert len(table.jobs) == 1
    return table.jobs[0]


@pytest.mark.parametrize(
    ("line", "times", "command"),
    [
        ("15 2 * * * ./manage.py x", "15 2 * * *", "./manage.py x"),
        ("*/5\t8-18  1,15 JAN-MAR MON-FRI   ./manage.py x", "*/5 8-18 1,15 JAN-MAR MON-FRI", "./manage.py x"),
        ("@daily ./manage.py x", "@daily", "./manage.py x"),
        ("  0 0 * * 7 ./manage.py x  ", "0 0 * * 7", "./manage.py x"),
        (r"0 0 * * * ./manage.py x $(date +\%F)", "0 0 * * *", "./manage.py x $(date +%F)"),
        ("0 0 * * * A=1 ./manage.py x", "0 0 * * *", "A=1 ./manage.py x"),
        ("0~59 0 * * * ./manage.py x", "0~59 0 * * *", "./manage.py x"),
    ],
)
def test_a_job_has_its_times_and_its_command(line: str, times: str, command: str) -> None:
    job = only_job(line)
    assert (job.times, job.command, job.stdin) == (times, command, None)


@pytest.mark.parametrize(
    ("command", "stdin"),
    [("x%a%b", "a\nb\n"), ("x%", "\n"), (r"x%a\%b", "a%b\n")],
)
def test_lines_after_a_percent_sign_are_the_input(command: str, stdin: str) -> None:
    job = only_job(f"0 0 * * * {command}")
    assert (job.command, job.stdin) == ("x", stdin)


def test_a_variable_is_set_for_the_jobs_below_it() -> None:
    table = parse_crontab("A=1\n0 0 * * * one\nA = \"2 3\"\n'B'=\n0 0 * * * two\n")
    assert [dict(job.variables) for job in table.jobs] == [{"A": "1"}, {"A": "2 3", "B": ""}]
    assert dict(table.jobs[1].variable_lines) == {"A": 3, "B": 4}


def test_comments_right_above_a_job_belong_to_it() -> None:
    table = parse_crontab("# The table\n\n# One,\n# and more\n0 0 * * * one\n# Last\n")
    assert table.jobs[0].comments == ("One,", "and more")
    assert [(note.line, note.text) for note in table.leftovers] == [(1, "The table"), (6, "Last")]


def test_headings_and_jobs_that_are_turned_off_are_no_comments_of_a_job() -> None:
    table = parse_crontab("# m h dom mon dow command\n# 0 0 * * * off\n0 0 * * * one\n")
    assert table.jobs[0].comments == ()
    assert [(note.line, note.text, note.source) for note in table.leftovers] == [
        (1, "m h dom mon dow command", ""),
        (2, "a job that is turned off", "0 0 * * * off"),
    ]


@pytest.mark.parametrize("line", ["0 0 * * ./x", "hello", "61", "* * * *", "0 0 * * *"])
def test_another_line_is_left_to_the_reader(line: str) -> None:
    table = parse_crontab(f"\n{line}\n")
    assert table.jobs == ()
    assert [(note.line, note.source, note.is_open) for note in table.leftovers] == [(2, line, True)]


@pytest.mark.parametrize(
    ("lines", "has_users", "found"),
    [
        ("0 0 * * * root ./x\n0 1 * * * www-data\t./y -a\n", None, [("root", "./x"), ("www-data", "./y -a")]),
        ("0 0 * * * root ./x\n0 1 * * * ./y\n", None, [("", "root ./x"), ("", "./y")]),
        ("0 0 * * * python x.py\n", None, [("", "python x.py")]),
        ("0 0 * * * python x.py\n", True, [("python", "x.py")]),
        ("0 0 * * * desk ./x\n", False, [("", "desk ./x")]),
    ],
)
def test_a_column_of_users_is_found_or_named(
    lines: str, *, has_users: bool | None, found: list[tuple[str, str]]
) -> None:
    table = parse_crontab(lines, has_users=has_users)
    assert [(job.user, job.command) for job in table.jobs] == found
