"""Runbooks and batch commands that are called from code, in a thread, and in a Django TestCase."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import TestCase, override_settings

from django_runbook.models import Run
from tests.batch.commands import MarkItems
from tests.batchapp.models import Item
from tests.settings import RUNBOOK
from tests.testapp.models import Mark

pytestmark = pytest.mark.slow

KINDS = {
    "failed": (
        "steps: [{id: it, command: fail --kind command --code 3}]",
        1,
        'the run failed: step "it": it went wrong',
    ),
    "an exit": (
        "steps: [{id: it, command: fail --kind exit --code 4}]",
        1,
        'step "it": the command ended with exit code 4',
    ),
    "in a group": ("steps: [{id: all, steps: [{id: it, command: fail --kind error}]}]", 1, 'step "it": nobody meant'),
    "invalid": ("steps: [noop --verbosty 2]", 2, "nothing was run"),
    "a parameter": ("params: {day: {type: date}}\nsteps: [noop]", 2, "day"),
    "timed out": (
        "steps: [{id: it, command: work --how plain --log log, timeout: 1s}]",
        1,
        'step "it": the timeout of',
    ),
}


def error_of(call: Callable[[], object]) -> CommandError:
    with pytest.raises(CommandError) as caught:
        call()
    return caught.value


def in_thread(call: Callable[[], object]) -> CommandError:
    found: list[CommandError] = []
    thread = threading.Thread(target=lambda: found.append(error_of(call)))
    thread.start()
    thread.join()
    return found[0]


# System checks may ask the database, by a connection of the thread's own.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [error_of, in_thread])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_did_not_succeed_is_a_command_error_that_names_the_step(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    error: Callable[[Callable[[], object]], CommandError],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(settings.RUNBOOK, "STOP_TIMEOUT", 0.5)
    text, code, message = KINDS[kind]
    (tmp_path / "test.yml").write_text(text)
    streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    found = error(lambda: call_command("run_runbook", "test.yml", **streams))
    assert found.returncode == code
    assert message in str(found)


def test_check_runbooks_raises_too(tmp_path: Path) -> None:
    (tmp_path / "test.yml").write_text("steps: [noop --verbosty 2]")
    found = error_of(lambda: call_command("check_runbooks", str(tmp_path / "test.yml"), stdout=io.StringIO()))
    assert (found.returncode, "test.yml" in str(found)) == (2, True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("options", "message"), [({}, "it went wrong"), ({"batch_size": "0"}, "--batch-size")])
def test_a_batch_command_raises_too(options: dict[str, str], message: str) -> None:
    def fail(item: Item) -> None:
        raise ValueError("it went wrong")

    Item.objects.create(value="a")
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    found = error_of(lambda: call_command(MarkItems(fail), *words, stdout=io.StringIO(), stderr=io.StringIO()))
    assert message in str(found)


@override_settings(RUNBOOK={**RUNBOOK, "JOURNAL": True, "ISOLATE": True})
class InsideTestCase(TestCase):
    """Nothing is committed outside of the test's transaction, whatever the settings say of isolation."""

    def test_a_run_and_its_history_are_part_of_the_transaction(self) -> None:
        shown = io.StringIO()
        with TemporaryDirectory() as name:
            path = Path(name) / "test.yml"
            text = (
                "steps: [{id: a, command: make_mark}, {parallel: [noop, noop]}, {id: it, command: fail, timeout: 1h}]"
            )
            path.write_text(text)
            found = error_of(lambda: call_command("run_runbook", str(path), stdout=shown, format="plain"))
        assert 'step "it": it went wrong' in str(found)
        assert 'all steps run in this process: inside a transaction of the database "default"' in shown.getvalue()
        assert Mark.objects.filter(name="of a host").exists()
        assert [run.status for run in Run.objects.all()] == ["failed"]
        if connection.vendor == "sqlite":
            database: Any = connection.settings_dict["NAME"]
            with contextlib.closing(sqlite3.connect(database)) as other:
                assert other.execute("SELECT count(*) FROM django_runbook_run").fetchone() == (0,)
