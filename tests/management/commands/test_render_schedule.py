from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command


@pytest.fixture(autouse=True)
def dirs(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "nightly.yml").write_text("schedule: {cron: 15 2 * * *, timezone: UTC}\nsteps: [noop]\n")
    settings.RUNBOOK = {"DIRS": [folder]}
    monkeypatch.chdir(tmp_path)


def render(*arguments: str) -> tuple[str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    call_command("render_schedule", *arguments, stdout=stdout, stderr=stderr)
    return stdout.getvalue(), stderr.getvalue()


def test_a_local_scheduler_starts_this_installation(tmp_path: Path) -> None:
    text, _ = render("--to", "crontab")
    assert text.splitlines()[-1] == (
        f"15 2 * * *  cd {tmp_path} && {sys.executable} manage.py run_runbook nightly.yml --verbosity 0"
    )


def test_the_path_of_this_python_has_no_detour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v" / "bin").mkdir(parents=True)
    (tmp_path / "v" / "bin" / "python").symlink_to(sys.executable)
    # What sys.executable is after `../v/bin/python manage.py …`.
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/runbooks/../v/bin/python")
    text, _ = render("--to", "crontab")
    assert f"&& {tmp_path}/v/bin/python manage.py run_runbook" in text
    # A folder that is a link leads elsewhere: the path without the detour would be another file.
    (tmp_path / "elsewhere" / "v" / "bin").mkdir(parents=True)
    (tmp_path / "elsewhere" / "v" / "bin" / "python").write_text("another")
    (tmp_path / "elsewhere" / "link").symlink_to(tmp_path / "runbooks")
    detour = f"{tmp_path}/elsewhere/link/../v/bin/python"
    monkeypatch.setattr(sys, "executable", detour)
    text, _ = render("--to", "crontab")
    assert f"&& {detour} manage.py run_runbook" in text


def test_options_replace_the_defaults() -> None:
    text, _ = render(
        *(
            "nightly",
            "--to=crontab",
            "--python=py",
            "--manage=m.py",
            "--directory=/srv",
            "--user=desk",
            "--arguments=--strict",
        )
    )
    assert text.splitlines()[-1] == "15 2 * * *  desk  cd /srv && py m.py run_runbook nightly.yml --strict"


def test_the_settings_of_the_call_are_those_of_the_run(settings: Any) -> None:
    text, _ = render("--to=crontab", "--settings=desk.settings", "--pythonpath=/srv/lib", "--arguments=--strict")
    assert text.splitlines()[-1].endswith(
        "run_runbook nightly.yml --settings=desk.settings --pythonpath=/srv/lib --strict"
    )


def test_files_are_written_checked_and_found_out_of_date(tmp_path: Path) -> None:
    call = ("--to", "systemd", "--output", "units")
    with pytest.raises(
        CommandError, match=r'nightly\.service" is missing\n"units/nightly\.timer" is missing'
    ) as missing:
        render(*call, "--check")
    render(*call)
    assert render(*call, "--check") == ("", "")
    (tmp_path / "runbooks" / "nightly.yml").write_text("schedule: {cron: 15 3 * * *, timezone: UTC}\nsteps: [noop]\n")
    with pytest.raises(CommandError, match=r'^"units/nightly\.timer" is out of date$') as stale:
        render(*call, "--check")
    assert (missing.value.returncode, stale.value.returncode) == (1, 1)


def test_a_file_without_a_schedule_any_more_is_reported_and_kept(tmp_path: Path) -> None:
    call = ("--to", "github", "--output", "workflows")
    render(*call)
    (tmp_path / "workflows" / "tests.yml").write_text("name: not ours\n")
    (tmp_path / "runbooks" / "nightly.yml").rename(tmp_path / "runbooks" / "weekly.yml")
    _, stderr = render(*call)
    assert stderr == '"workflows/nightly.yml" has no schedule any more: delete it\n'
    with pytest.raises(CommandError, match=r'^"workflows/nightly\.yml" has no schedule any more: delete it$'):
        render(*call, "--check")
    # One runbook says nothing about the others.
    assert render("weekly", *call, "--check") == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to=crontab", "--check"], "--check needs --output"),
        (["--to=crontab", "--image=x"], "--image has no meaning with --to crontab, only with kubernetes, github"),
        (["--to=crontab", "--env-file=x"], "--env-file has no meaning with --to crontab, only with systemd"),
        (["--to=systemd", "--user=a\nb"], "--user must be printable text of one line"),
        (["--to=kubernetes"], "--to kubernetes needs --image"),
        (["--to=celery-beat"], "--to celery-beat needs --task"),
        (["--to=crontab", "--arguments=--param 'a=1\n2'"], "--arguments must be printable text of one line"),
        (["--to=crontab", '--arguments="'], "--arguments: No closing quotation"),
        (["--to=crontab", "unknown"], 'runbook "unknown" was not found'),
    ],
)
def test_invalid_usage_ends_with_2(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError) as caught:
        render(*arguments)
    assert message in str(caught.value)
    assert caught.value.returncode == 2


def test_a_folder_that_cannot_be_written_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "units").write_text("a file")
    with pytest.raises(CommandError, match="units: ") as caught:
        render("--to", "systemd", "--output", "units")
    assert caught.value.returncode == 1


def test_files_are_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    call = ("--to", "systemd", "--output", "units")
    render(*call)
    before = {path.name: path.read_bytes() for path in (tmp_path / "units").iterdir()}
    (tmp_path / "runbooks" / "nightly.yml").write_text("schedule: {cron: 15 3 * * *, timezone: UTC}\nsteps: [noop]\n")
    (tmp_path / "units" / "nightly.timer").unlink()
    (tmp_path / "units" / "nightly.timer").mkdir()
    with pytest.raises(CommandError, match=r"/units/nightly\.timer: Is a directory$"):
        render(*call)
    assert (tmp_path / "units" / "nightly.service").read_bytes() == before["nightly.service"]
    assert sorted(path.name for path in (tmp_path / "units").iterdir()) == sorted(before)


def test_two_schedulers_share_a_folder() -> None:
    calls = [(f"--to={target}", "--output=deploy", *more) for target, *more in (
        ("crontab",), ("systemd",), ("kubernetes", "--image=desk:1"), ("celery-beat", "--task=desk.run"), ("github",),
    )]  # fmt: skip
    for call in calls:
        assert render(*call) == ("", "")
    for call in calls:
        assert render(*call, "--check") == ("", "")


def test_the_last_schedule_leaves_files_too(tmp_path: Path) -> None:
    call = ("--to=kubernetes", "--image=desk:1", "--output=deploy")
    render(*call)
    (tmp_path / "runbooks" / "nightly.yml").write_text("steps: [noop]\n")
    with pytest.raises(CommandError, match=r'^"deploy/nightly\.yaml" has no schedule any more: delete it$') as caught:
        render(*call, "--check")
    assert caught.value.returncode == 1
    assert render(*call)[1] == '"deploy/nightly.yaml" has no schedule any more: delete it\n'
    (tmp_path / "deploy" / "nightly.yaml").unlink()
    with pytest.raises(CommandError, match="no runbook of this project has a"):
        render(*call, "--check")


@pytest.mark.parametrize("text", ["--stricter", "other.yml", "--format nope", "--param"])
def test_arguments_that_no_run_accepts_are_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"^--arguments, for run_runbook: ") as caught:
        render("--to=crontab", f"--arguments={text}")
    assert caught.value.returncode == 2
