from __future__ import annotations

import pytest

from django_runbook.importing.draft import Plain, StepDraft, steps_of
from django_runbook.importing.script import import_script


def step_of(line: str) -> StepDraft:
    steps = steps_of(import_script(f"true\n{line}\n", name="some.sh", stem="some").entries)
    assert len(steps) == 1
    return steps[0]


@pytest.mark.parametrize(
    "line",
    [
        "python manage.py noop",
        "python3.11 -u -W ignore manage.py noop",
        "/srv/env/bin/python /srv/desk/manage.py noop",
        "./manage.py noop",
        "manage.py noop",
        "django-admin noop",
        "python -m django noop",
        "$VENV/bin/python manage.py noop",
        "sudo -u desk -E ./manage.py noop",
        "su - desk -c './manage.py noop'",
        "su -c './manage.py noop' desk",
        "runuser -u desk -- ./manage.py noop",
        "bash -lc 'cd /srv && ./manage.py noop'",
        "env -u X ./manage.py noop",
        "nice -n 10 ionice -c3 ./manage.py noop",
        "nohup ./manage.py noop",
        "time ./manage.py noop",
        "poetry run python manage.py noop",
        "uv run --project /srv manage.py noop",
        "pipenv run ./manage.py noop",
        "docker compose -f a.yml exec -T web python manage.py noop",
        "docker-compose run --rm web ./manage.py noop",
        "docker exec -it desk python manage.py noop",
        "kubectl -n desk exec deploy/web -c app -- python manage.py noop",
        "chronic ./manage.py noop",
        "sentry-cli monitors run desk -- ./manage.py noop",
        "cronitor exec abc ./manage.py noop",
        "{ ( ./manage.py noop ); }",
    ],
)
def test_what_is_around_a_command_is_removed(line: str) -> None:
    assert step_of(line).command == "noop"


@pytest.mark.parametrize(
    ("line", "timeout"),
    [
        ("timeout 90 ./manage.py noop", "90s"),
        ("timeout -k 5 -s INT 10m ./manage.py noop", "10m"),
        ("timeout 1.5h ./manage.py noop", "90m"),
        ("timeout 0 ./manage.py noop", None),
        ("sudo timeout 1d ./manage.py noop", "1d"),
    ],
)
def test_a_timeout_is_that_of_the_step(line: str, timeout: str | None) -> None:
    assert step_of(line).timeout == timeout


@pytest.mark.parametrize(
    ("line", "lock"),
    [
        ("flock -n /tmp/a.lock ./manage.py noop", {"name": "a", "on_conflict": "fail"}),
        ("flock /tmp/a.lock ./manage.py noop", {"name": "a", "on_conflict": "wait"}),
        ("flock -xw 60 /tmp/a ./manage.py noop", {"name": "a", "on_conflict": "wait", "wait": "1m"}),
        ("flock --timeout=5 /tmp/a ./manage.py noop", {"name": "a", "on_conflict": "wait", "wait": "5s"}),
        ("flock -w 0 /tmp/a ./manage.py noop", {"name": "a", "on_conflict": "fail"}),
        ("flock -nE 0 /tmp/a ./manage.py noop", {"name": "a", "on_conflict": "skip"}),
        ("flock -n /tmp/a -c './manage.py noop'", {"name": "a", "on_conflict": "fail"}),
        ("exec 9>/tmp/a\nflock -n 9 || exit 75\n./manage.py noop", {"name": "a", "on_conflict": "fail"}),
        ("exec 9>/tmp/a\nflock -n 9 || exit 0\n./manage.py noop", {"name": "a", "on_conflict": "skip"}),
        ("exec 9>/tmp/a\nif ! flock -w 5 9; then\n  echo held\n  exit 1\nfi\n./manage.py noop", {"name": "a", "on_conflict": "wait", "wait": "5s"}),
        ("(\n  flock -n 9 || exit 1\n  ./manage.py noop\n) 9>/tmp/a", {"name": "a", "on_conflict": "fail"}),
    ],
)  # fmt: skip
def test_a_lock_of_a_file_is_that_of_the_runbook(line: str, lock: dict[str, Plain]) -> None:
    draft = import_script(line, name="some.sh", stem="some")
    assert draft.lock == lock
    assert [step.command for step in steps_of(draft.entries)] == ["noop"]


def test_two_files_with_one_stem_are_two_locks() -> None:
    text = "flock -n /a/x.lock ./manage.py noop\nflock -n /b/x.lock ./manage.py noop\nflock -n /a/x.lock ./manage.py noop\n"
    steps = steps_of(import_script(text, name="some.sh", stem="some").entries)
    assert [(step.lock or {})["name"] for step in steps] == ["x", "/b/x.lock", "x"]


@pytest.mark.parametrize(
    ("line", "env"),
    [
        ("A=1 B='x y' ./manage.py noop", {"A": "1", "B": "x y"}),
        ("env A=1 ./manage.py noop", {"A": "1"}),
        ("sudo -u desk A=1 ./manage.py noop", {"A": "1"}),
        ("docker compose exec -e A=1 --env=B=2 web ./manage.py noop", {"A": "1", "B": "2"}),
        ("export A=$(date +%F)\n./manage.py noop", {"A": "${{ vars.a }}"}),
        ("API_TOKEN=abc ./manage.py noop", {"API_TOKEN": "${{ secrets.API_TOKEN }}"}),
        ("DJANGO_SETTINGS_MODULE=a.b PYTHONPATH=/x ./manage.py noop", {}),
    ],
)
def test_a_variable_of_a_command_is_that_of_the_step(line: str, env: dict[str, str]) -> None:
    assert step_of(line).env == env
