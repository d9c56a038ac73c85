"""Checks that each step starts like a fresh `manage.py` process, whatever earlier steps did to theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.runner.support import environ
from tests.services import require_mariadb, require_postgres

pytestmark = pytest.mark.slow

ENGINES: dict[str, tuple[str, Callable[[], None]]] = {
    "sqlite": ("tests.state_settings", lambda: None),
    "postgresql": ("tests.postgres_settings", require_postgres),
    "pool": ("tests.pool_settings", require_postgres),
    "mariadb": ("tests.mariadb_settings", require_mariadb),
}


def manage(directory: Path, settings: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "django", *words],
        env=environ() | {"DJANGO_SETTINGS_MODULE": settings, "STATE_DATABASE": str(directory / "state.sqlite3")},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def state(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize("engine", list(ENGINES))
def test_the_next_step_finds_a_fresh_process_and_a_fresh_session(tmp_path: Path, engine: str) -> None:
    settings, require = ENGINES[engine]
    require()
    plain = tmp_path / "plain.json"
    manage(tmp_path, settings, "show_state", str(plain))
    fresh, paths = state(plain), []
    for name, options in (("isolated", []), ("inline", ["--inline"])):
        # Each command twice in one run, to check both what a step finds and what it leaves.
        after, again = tmp_path / f"{name}.json", tmp_path / f"{name}-again.json"
        (tmp_path / "test.yml").write_text(f"steps: [noop, spoil, show_state {after}, spoil, show_state {again}]")
        manage(tmp_path, settings, "run_runbook", "test.yml", *options)
        paths += [after, again]
    for path in paths:
        found = state(path)
        for part in ("process", "session", "object"):
            differences = {
                name: (fresh[part].get(name), found[part].get(name))
                for name in {*fresh[part], *found[part]}
                if fresh[part].get(name) != found[part].get(name)
            }
            assert differences == {}, f"{path.stem}: {part}"


def test_a_changed_process_is_detected(tmp_path: Path) -> None:
    """Checks that the test above would fail if nothing were restored."""
    code = (
        "import django, sys; django.setup(); from django.core.management import call_command as call; "
        "call('show_state', sys.argv[1]); call('spoil'); call('show_state', sys.argv[2])"
    )
    paths = [tmp_path / "before.json", tmp_path / "after.json"]
    variables = {"DJANGO_SETTINGS_MODULE": "tests.state_settings", "STATE_DATABASE": str(tmp_path / "state.sqlite3")}
    subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)],
        env=environ() | variables,
        cwd=tmp_path,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    before, after = map(state, paths)
    for part in ("process", "session"):
        unchanged = {name for name, value in before[part].items() if after[part][name] == value}
        assert unchanged <= {"synchronous"}, part
    assert before["object"] != after["object"]
