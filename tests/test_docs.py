"""The documentation holds what it says: its files are checked and run, and its lists are those of the code.

UPDATE_DOCS=1 rewrites the reports and console outputs that changed: read the change before you commit it.
"""

from __future__ import annotations

import ast
import datetime
import inspect
import itertools
import json
import os
import random
import re
import subprocess
import sys
import types
import uuid
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.apps import apps
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.dispatch import Signal
from django.test import RequestFactory
from django.utils.module_loading import import_string

from django_runbook import api, batch, conf, configured_reporters, events, lookup, results, signals
from django_runbook.batch import BatchCommand
from django_runbook.batch.parts.mixin import CommandMixin
from django_runbook.batch.parts.progress_tracking import ProgressTracker
from django_runbook.batch.source_command import SourceCommand
from django_runbook.binding.exception_names import HOMES
from django_runbook.document import codes, expressions, keys, runbook
from django_runbook.document.evaluation import budget, filters, grammar, members, tests
from django_runbook.document.evaluation.functions import FUNCTIONS
from django_runbook.document.keys import Kind
from django_runbook.document.syntax.scalars import parse_duration
from django_runbook.document.validation import foreign, reference_checks, schema
from django_runbook.journal import new_run
from django_runbook.locks.factory import BACKENDS
from django_runbook.models.calls import OPEN, Call
from django_runbook.queues.engines.base import Engine
from django_runbook.queues.engines.choice import ENGINES
from django_runbook.reporters import REPORTERS
from django_runbook.reporters.jsonl import name_of
from django_runbook.reporters.notifiers import prometheus
from django_runbook.resume.in_doubt import in_doubt_message
from django_runbook.structs import Struct
from flights.models import Flight
from tests.documentation import (
    DOCS,
    PAGES,
    Block,
    answered,
    blocks_of,
    call,
    check,
    headings_of,
    names_in_table,
    rewriting,
    section_of,
    without_times,
    write_files,
)
from tests.management.commands.stored_runs import made
from tests.queues.calls_data import add_call
from tests.reporters.loopback import serve
from tests.slow_cases import slow_if
from tests.test_doc_examples import WITH_TESTS

REFERENCE = DOCS / "reference"
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUNBOOKS = [block for block in BLOCKS if block.is_runbook]
CONSOLES = [block for block in BLOCKS if block.language == "console"]
ERRORS = [(block, after) for block, after in itertools.pairwise(BLOCKS) if block.code]
HOURS, MINUTES, SECONDS = (", ".join(map(str, range(count))) for count in (24, 40, 60))
MANY_STEPS = f"""steps:
  - for_each: {{hour: [{HOURS}], minute: [{MINUTES}]}}
    steps:
      - command: check
        for_each: [{SECONDS}]
"""
FIXTURE = '[{"model": "sites.site", "pk": 1, "fields": {"domain": "example.com", "name": "Flight desk"}}]'
FILES = {
    "data/flights.csv": (
        "year,month,day,sched_dep_time,dep_delay,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance\n"
        "2013,1,31,515,2,11,UA,1545,N14228,EWR,IAH,227,1400\n"
    ),
    "data/airlines.csv": "carrier,name\nUA,United Air Lines Inc.\n",
    "data/airports.csv": "faa,name,lat,lon,alt,tz,dst,tzone\nEWR,Newark Liberty Intl,40.6925,-74.168667,18,-5,A,America/New_York\n",
    "data/planes.csv": "tailnum,year,type,manufacturer,model,engines,seats,speed,engine\nN14228,1999,,BOEING,737-824,2,149,,Turbo-fan\n",
    **dict.fromkeys(("initial data.json", "airports.json"), FIXTURE),
}
# What a run reports by its process, and no file alone: `planning/test_own_environments.py` has it.
OF_RUNS = {"RB424"}
# Files that cannot stand in a page as they are, by the code that they give.
MADE: dict[str, Callable[[Path], object]] = {
    "RB101": lambda path: path.mkdir(),
    "RB102": lambda path: path.write_text("# " + "x" * 1024 * 1024),
    "RB103": lambda path: path.write_bytes("name: Geb\xfchren\nsteps: [check]\n".encode("latin-1")),
    "RB104": lambda path: path.write_bytes(b"name: Nightly\x00\nsteps: [check]\n"),
    "RB107": lambda path: path.write_text("steps:\n  - command: check\n\ttags: [data]\n"),
    "RB110": lambda path: path.write_text("steps: " + "[" * 40 + "]" * 40),
    "RB418": lambda path: path.write_text(MANY_STEPS),
}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMTP_PASSWORD", "hunter22")
    return tmp_path


@pytest.fixture
def desk(directory: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Flight desk with three flights of the day that the pages report on, files to import, and a journal."""
    settings.BASE_DIR = settings.VAR_DIR = directory
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    # Runs have the same ids each time, and the same process.
    ids = random.Random(2013)
    new_id = types.SimpleNamespace(uuid4=lambda: uuid.UUID(int=ids.getrandbits(128)))
    monkeypatch.setattr(api, "uuid", new_id)
    monkeypatch.setattr(lookup, "key_of", lambda path, configuration: path.name)
    monkeypatch.setattr(new_run, "process_columns", lambda: {"host": "desk-1", "pid": 4242, "user": "ops"})
    (directory / "data").mkdir()
    for name, text in FILES.items():
        (directory / name).write_text(text)
    at = datetime.datetime(2013, 1, 31, 12, tzinfo=datetime.UTC)
    for number, delay_class in enumerate(("on_time", "on_time", "late")):
        Flight.objects.create(
            scheduled_at=at, day=at.date(), number=number, delay_class=delay_class, distance_miles=1400
        )


def hold(block: Block, text: str) -> None:
    new, old = without_times(text), without_times(block.text)
    if new == old:
        return
    assert os.environ.get("UPDATE_DOCS"), f"{block.id} shows\n{old}\ninstead of\n{new}\n(UPDATE_DOCS=1 writes it)"
    with rewriting(block.page) as write:
        # Blocks above may have grown since the page was read.
        page, here = block.page.read_text(), blocks_of(block.page)[block.index]
        write(page[: here.start] + new + page[here.end :])


def test_an_empty_report_is_written_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("% gives RB200\n```yaml\n[]\n```\n\n```text\n```\n\n```text\nbelow\n```\n")
    _, report, below = blocks_of(page)
    monkeypatch.setenv("UPDATE_DOCS", "1")
    hold(report, "not a\nrunbook\n")
    hold(below, "more\n")
    assert [block.text for block in blocks_of(page)] == ["[]\n", "not a\nrunbook\n", "more\n"]
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("block", [block for block in RUNBOOKS if not block.code], ids=lambda block: block.id)
@pytest.mark.django_db
def test_each_runbook_is_valid(block: Block, directory: Path) -> None:
    write_files(block.page, directory)
    assert check(block, directory) == f"{block.file}: no problems\n"


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in RUNBOOKS if block.is_run], ids=lambda block: block.id)
@pytest.mark.usefixtures("desk")
@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_each_runbook_runs(block: Block, directory: Path, settings: Any) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, **block.configuration}
    write_files(block.page, directory)
    (directory / block.file).write_text(block.whole())
    text, exit_code = call("run_runbook", block.file, "--yes", "--format", "plain", *block.options)
    assert exit_code == block.exit_code, text


@pytest.mark.parametrize(("block", "after"), ERRORS, ids=[block.id for block, _ in ERRORS])
@pytest.mark.django_db
def test_each_error_is_reported_as_its_page_says(block: Block, after: Block, directory: Path) -> None:
    write_files(block.page, directory)
    reported = check(block, directory)
    assert set(re.findall(r"(?:error|warning)\[(RB\d+)\]", reported)) == {block.code}
    if after.language == "text":
        hold(after, reported)


# The file of RB418 has thousands of steps.
@pytest.mark.parametrize("code", slow_if(lambda code: code == "RB418", MADE))
def test_each_error_that_cannot_be_printed_is_reported_as_its_page_says(code: str, directory: Path) -> None:
    MADE[code](directory / "runbook.yml")
    head = call("check_runbooks", "runbook.yml")[0].splitlines()[0]
    assert head in section_of(REFERENCE / "diagnostics.md", f"{code}: {codes.CODES[code].title}")


@pytest.mark.slow
@pytest.mark.parametrize("block", CONSOLES, ids=lambda block: block.id)
@pytest.mark.usefixtures("desk")
# Committed, so that the replica shows the flights too.
@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_each_command_answers_as_its_page_says(block: Block, directory: Path) -> None:
    write_files(block.page, directory)
    hold(block, answered(block))


# -- the lists of the reference ------------------------------------------------------------------------------------


def known_keys() -> dict[str, set[str]]:
    """Each key with the kinds of mappings that have it."""
    found: dict[str, set[str]] = {}
    for kind in Kind:
        for key in (*keys.NODE_KEYS[kind], *schema.FIELDS[kind]):
            found.setdefault(key, set()).add(kind.value)
    return found


def test_each_key_has_its_section_and_names_its_mappings() -> None:
    page = REFERENCE / "file.md"
    headings = [heading.strip("`") for heading in headings_of(page, level=3) if heading.startswith("`")]
    assert sorted(headings) == sorted(known_keys())
    for key, kinds in known_keys().items():
        places = re.search(r"^In (.+?)\. ", section_of(page, f"`{key}`").lstrip(), re.MULTILINE)
        assert places is not None, key
        assert set(places[1].split(", ")) == kinds, key


@pytest.mark.parametrize("key", sorted(known_keys()))
def test_each_key_has_an_example(key: str) -> None:
    section = section_of(REFERENCE / "file.md", f"`{key}`")
    examples = re.findall(r"^```yaml\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert any(re.search(rf"(?<![\w-]){re.escape(key)}:", example) for example in examples)


# The structs that keys are read into, and the fields that are named unlike their key.
READ_INTO = (
    *(runbook.Runbook, runbook.Block, runbook.CommandStep, runbook.GroupStep, runbook.CallStep),
    *(runbook.Retry, runbook.LockSettings, runbook.Schedule),
)
FIELDS = {"journal": "is_recorded", "delay": "delay_seconds", "max_delay": "max_delay_seconds"}


def defaults_of(struct: type[Struct]) -> dict[str, object]:
    defaults = struct.__struct_defaults__
    return dict(zip(struct.__struct_fields__[-len(defaults) :], defaults, strict=True)) if defaults else {}


def test_the_defaults_of_keys_are_those_of_the_code() -> None:
    compared = set()
    for key in known_keys():
        said = re.search(r"^In .+?\. Default: `([^`]+)`", section_of(REFERENCE / "file.md", f"`{key}`"), re.MULTILINE)
        if said is None:
            continue
        defaults = {defaults_of(struct).get(FIELDS.get(key, key)) for struct in READ_INTO} - {None}
        assert defaults <= {yaml.safe_load(said[1]), parse_duration(said[1])}, key
        compared |= {key} if defaults else set()
    assert {"fail_fast", "journal", "max_parallel", "delay", "on_conflict", "no_log"} <= compared


def test_the_example_of_all_keys_has_all_keys() -> None:
    text = (DOCS.parent / "tests" / "golden" / "ok" / "every_key.yml").read_text()
    missing = {key for key in known_keys() if not re.search(rf"(?<![\w-]){re.escape(key)}:", text)}
    assert missing == set()


def test_each_name_of_expressions_is_listed() -> None:
    page = REFERENCE / "expressions.md"
    listed = names_in_table(section_of(page, "Names").split("\n### ")[0])
    assert [name.split(".")[0] for name in listed] == list(reference_checks.ROOTS)
    steps = names_in_table(section_of(page, "Step attributes"))
    assert steps == [f"steps.ID.{name}" for name in reference_checks.STEP_NAMES]
    assert names_in_table(section_of(page, "Run attributes")) == [
        f"run.{name}" for name in reference_checks.HANDLER_RUN_NAMES
    ]


def test_each_filter_test_function_and_method_is_listed() -> None:
    page = REFERENCE / "expressions.md"
    assert set(names_in_table(section_of(page, "Filters"))) == set(filters.FILTERS)
    assert set(names_in_table(section_of(page, "Tests"))) == {name for name in tests.TESTS if name.isalpha()}
    functions = {name.partition("(")[0] for name in names_in_table(section_of(page, "Dates"))}
    assert functions == set(FUNCTIONS)
    for kind in {*members.METHODS, *members.ATTRIBUTES}:
        row = re.search(rf"^\| {kind.__name__} \| (.+) \|$", section_of(page, "Methods"), re.MULTILINE)
        assert row is not None, kind
        names = {*members.METHODS.get(kind, ()), *members.ATTRIBUTES.get(kind, ())}
        assert set(re.findall(r"`(\w+)`", row[1])) == names


def test_the_limits_of_expressions_are_those_of_the_code() -> None:
    said = section_of(REFERENCE / "expressions.md", "Limits")
    for limit in (
        f"{expressions.MAX_LENGTH} characters, {grammar.MAX_TOKENS} words and signs, {grammar.MAX_DEPTH} nested operations",
        f"{budget.MAX_ITEMS // 1_000_000} million operations",
        f"{budget.MAX_CHARACTERS // 1024**2} Mi characters",
        f"{budget.MAX_BITS} bits",
        f"{budget.MAX_DEPTH} levels",
        f"| {keys.MAX_ITEMS} |",
    ):
        assert limit in said, limit


# What every command of Django has, where there is more to say of it.
SHARED = {"--verbosity", "--no-color", "--force-color"}


def options_of(command: BaseCommand) -> set[str]:
    """What the command takes beside what every command does."""
    parser: ArgumentParser = command.create_parser("", "command")
    common: ArgumentParser = BaseCommand().create_parser("", "command")
    shared = {flag for action in common._actions for flag in action.option_strings}
    return {action.option_strings[-1] for action in parser._actions if action.option_strings} - shared


@pytest.mark.parametrize(
    ("command", "page"),
    [
        ("run_runbook", "command-line.md"),
        ("check_runbooks", "command-line.md"),
        ("list_runbooks", "command-line.md"),
        ("new_runbook", "command-line.md"),
        ("runbook_completion", "command-line.md"),
        ("diff_runbook", "command-line.md"),
        ("render_schedule", "command-line.md"),
        ("runbook_schema", "command-line.md"),
        ("runbook_lsp", "command-line.md"),
        ("import_crontab", "command-line.md"),
        ("import_script", "command-line.md"),
        ("show_runs", "command-line.md"),
        ("show_calls", "command-line.md"),
        ("prune_runs", "command-line.md"),
        ("wait_for", "ready-made.md"),
        ("purge_rows", "ready-made.md"),
        ("mail_run_report", "ready-made.md"),
        ("fail_run", "ready-made.md"),
    ],
)
def test_each_option_is_listed(command: str, page: str) -> None:
    listed = {name.split()[0] for name in names_in_table(section_of(REFERENCE / page, f"`{command}`"))}
    known = options_of(load_command_class("django_runbook", command))
    if command == "prune_runs":
        # It refers to what every batch command has.
        known -= options_of(BatchCommand())
    assert {name for name in listed if name.startswith("--")} - SHARED == known


def test_each_format_is_listed() -> None:
    listed = set(names_in_table(section_of(REFERENCE / "output.md", "Formats")))
    assert listed == set(REPORTERS), 'the table under "Formats" in docs/reference/output.md lists each of REPORTERS'
    row = re.search(r"^\| `--format NAME` \| (.+) \|$", (REFERENCE / "command-line.md").read_text(), re.MULTILINE)
    assert row is not None
    assert set(re.findall(r"`(\w+)`", row[1])) == set(REPORTERS), (
        "the row of --format in command-line.md lists each format"
    )
    row = re.search(r"^\| `--format (\S+)` \|", README.read_text(), re.MULTILINE)
    assert row is not None
    assert set(row[1].split(r"\|")) == set(REPORTERS), "the row of --format in README.md lists each format"


def test_each_exit_code_is_listed() -> None:
    listed = names_in_table(section_of(REFERENCE / "exit-codes.md", "Exit codes"))
    assert [int(code) for code in listed] == [code.value for code in results.ExitCode]


def test_each_status_is_listed() -> None:
    page = REFERENCE / "how-it-runs.md"
    assert names_in_table(section_of(page, "How a step ends")) == [status.value for status in results.StepStatus]
    assert names_in_table(section_of(page, "How a run ends")) == [status.value for status in results.RunStatus]


def test_each_diagnostic_has_its_section_with_a_message() -> None:
    page = REFERENCE / "diagnostics.md"
    headings = [heading for heading in headings_of(page, level=3) if heading.startswith("RB")]
    assert headings == [f"{code}: {row.title}" for code, row in codes.CODES.items()], (
        "docs/reference/diagnostics.md has a section for each code of document/codes.py, with its title and in its order"
    )
    shown = {block.code for block, after in ERRORS if block.page == page and after.language == "text"} | set(MADE)
    assert shown | OF_RUNS == set(codes.CODES)


def test_each_system_check_is_listed() -> None:
    modules = (DOCS.parent / "src").rglob("*.py")
    found = {id_ for module in modules for id_ in re.findall(r'id="(django_runbook\.\w+)"', module.read_text())}
    assert names_in_table(section_of(REFERENCE / "diagnostics.md", "System checks")) == sorted(found), (
        'the table under "System checks" in docs/reference/diagnostics.md lists each id in src, sorted'
    )
    # Larger numbers are those of diagnostics.
    assert all(re.fullmatch(r"django_runbook\.[EWI]0\d\d", id_) for id_ in found)


def test_the_overview_of_diagnostics_equals_the_table_of_codes() -> None:
    page = REFERENCE / "diagnostics.md"
    rows = [
        f"| [{code}]({row.documentation.removeprefix('reference/diagnostics.md')}) | {row.severity} | {row.title} |\n"
        for code, row in codes.CODES.items()
    ]
    table = "".join(["| code | severity | title |\n", "|---|---|---|\n", *rows])
    if os.environ.get("UPDATE_DOCS"):
        with rewriting(page) as write:
            write(page.read_text().replace(section_of(page, "Overview"), f"\n\n{table}\n"))
    assert section_of(page, "Overview").strip() == table.strip()


def test_each_event_is_listed_with_its_names() -> None:
    page = REFERENCE / "output.md"
    classes = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
    kinds = [kind for kind in classes if kind is not events.Event]
    assert [heading.strip("`") for heading in headings_of(page, level=4)] == [name_of(kind) for kind in kinds]
    for kind in kinds:
        own = [name for name in kind.__struct_fields__ if name not in {"at", "clock_seconds"}]
        assert names_in_table(section_of(page, f"`{name_of(kind)}`")) == own, kind
    for heading, record in (
        ("Step result", results.StepResult),
        ("Run result", results.RunResult),
        ("Failure", results.Failure),
        ("Timings", results.Timings),
    ):
        assert names_in_table(section_of(page, heading)) == list(record.__struct_fields__)


def test_each_setting_is_listed() -> None:
    headings = [heading.strip("`") for heading in headings_of(REFERENCE / "settings.md", level=2)]
    assert sorted(headings) == sorted(conf._KEYS)


ROOT = DOCS.parent
README = ROOT / "README.md"
# Pages with tests are run as a whole: see test_doc_examples; those that call the package are in test_api. Workers are set
# up in processes of their own: see below.
RUN_ELSEWHERE = (*WITH_TESTS, DOCS / "guide" / "python.md", DOCS / "guide" / "workers.md")
PYTHON = [
    block for block in (*BLOCKS, *blocks_of(README)) if block.language == "python" and block.page not in RUN_ELSEWHERE
]


@pytest.mark.parametrize(
    "block", [block for block in PYTHON if block.text.startswith("RUNBOOK")], ids=lambda block: block.id
)
def test_the_examples_of_settings_are_accepted(block: Block, settings: Any) -> None:
    names: dict[str, Any] = {"BASE_DIR": DOCS.parent}
    exec(block.text, names)
    settings.RUNBOOK = names["RUNBOOK"]
    assert conf.read() != conf.Configuration()


@pytest.mark.parametrize(
    "block", [block for block in PYTHON if not block.text.startswith("RUNBOOK")], ids=lambda block: block.id
)
def test_the_examples_of_commands_fit_the_library(block: Block) -> None:
    names: dict[str, Any] = {"__name__": "flights.management.commands.example"}
    exec(compile(block.text, block.id, "exec"), names)
    made = [kind for kind in names.values() if isinstance(kind, type) and kind.__module__ == names["__name__"]]
    for kind in made:
        if not issubclass(kind, BaseCommand):
            continue
        own = {name for name in vars(kind) if not name.startswith("__")}
        assert {name for name in own if not any(hasattr(base, name) for base in kind.__bases__)} == set()
        kind().create_parser("", "example")


def test_each_backend_of_locks_is_listed_with_its_options() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", section_of(REFERENCE / "settings.md", "`LOCK`"), re.MULTILINE)
    assert [name for name, _ in rows] == ["auto", *BACKENDS], (
        "the table under LOCK in docs/reference/settings.md has a row for each of BACKENDS in locks/factory.py, in its order"
    )
    for name, options in rows[1:]:
        parameters = inspect.signature(import_string(BACKENDS[name])).parameters
        assert re.findall(r"`(\w+)`", options) == [option for option in parameters if option != "what"]


def test_each_backend_of_reporters_is_listed_with_its_options() -> None:
    section = section_of(REFERENCE / "settings.md", "`REPORTERS`")
    rows = re.findall(
        r"^\| `(\w+)` \| (.+?) \|", section.partition("| backend |")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert [name for name, _ in rows] == list(configured_reporters.BACKENDS), (
        "the table under REPORTERS in docs/reference/settings.md has a row for each of BACKENDS in configured_reporters.py, "
        "in its order"
    )
    for name, options in rows:
        parameters = inspect.signature(import_string(configured_reporters.BACKENDS[name])).parameters
        assert re.findall(r"`(\w+)`", options) == [option for option in parameters if option != "clock"]
    assert names_in_table(section.partition("| backend |")[0]) == list(conf._REPORTER_KEYS)
    assert names_in_table(section.partition("| occasion |")[2]) == [one.value for one in results.Occasion]


@pytest.mark.slow
@pytest.mark.usefixtures("desk")
@pytest.mark.django_db(transaction=True)
def test_a_monitor_gets_the_message_that_the_page_shows(directory: Path, settings: Any) -> None:
    page = DOCS / "guide" / "notifications.md"
    write_files(page, directory)
    block = next(block for block in blocks_of(page) if block.language == "text" and "resume with" in block.text)
    with serve() as service:
        ping = {"BACKEND": "ping", "OPTIONS": {"url": service.url("/ping-key/{slug}")}, "IN_TESTS": True}
        settings.RUNBOOK = {**settings.RUNBOOK, "REPORTERS": {"heartbeat": ping}}
        call("run_runbook", "nightly.yml", "--format", "plain")
    assert service.paths == ["/ping-key/nightly-maintenance/start", "/ping-key/nightly-maintenance/1"]
    found = service.requests[1].body.decode()
    for pattern, shown in (
        (r"\d+\.\ds", "0.1s"),
        (r"(run|--resume) \w{8}\b", r"\1 28272a84"),
        (r" on \S+\n", " on ops-1\n"),
    ):
        found = re.sub(pattern, shown, found)
    assert re.sub("with: .*manage.py", "with: python manage.py", found) == block.text


def test_each_metric_of_prometheus_is_listed() -> None:
    page = DOCS / "guide" / "notifications.md"
    names = [f"{prometheus._PREFIX}{metric.name}" for metric in prometheus.METRICS]
    assert names_in_table(section_of(page, "Prometheus")) == names


@pytest.mark.slow
@pytest.mark.parametrize(("name", "engine"), [("celery.py", "celery"), ("settings.py", "tasks:default")])
def test_the_set_up_of_workers_is_complete(name: str, engine: str, tmp_path: Path) -> None:
    text = python_in_workers(f"# desk/{name}")
    script = WORKERS.format(text=text, is_celery=name == "celery.py")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "desk_settings", "PYTHONPATH": str(tmp_path)}
    (tmp_path / "desk_settings.py").write_text(
        "SECRET_KEY = 'x'\nDATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
        + ("INSTALLED_APPS = ['django_runbook']\n" if name == "celery.py" else text)
    )
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout == f"{engine} ['heavy']\n", found.stderr


# A project with this set-up, asked for its engine, and whether its workers have the task.
WORKERS = """
import django
if {is_celery}:
    exec({text!r})
django.setup()
from django_runbook import conf
from django_runbook.queues.engines.choice import choose_engine
engine = choose_engine(conf.read())
assert not engine.problem and not engine.local_reason
if {is_celery}:
    app.loader.import_default_modules()
    assert "django_runbook.run_call" in app.tasks
else:
    from django_runbook.queues.engines.django_task import run_call
print(engine.name, [name for name in ("heavy",) if engine.queues is None or name in engine.queues])
"""


def python_in_workers(start: str) -> str:
    """Return the Python block of the page on workers that begins with a line."""
    texts = [block.text for block in blocks_of(DOCS / "guide" / "workers.md") if block.language == "python"]
    (text,) = (text for text in texts if text.startswith(f"{start}\n"))
    return text


@pytest.mark.django_db
def test_the_view_for_autoscalers_counts_open_calls(settings: Any, tmp_path: Path) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": {"BACKEND": "file", "OPTIONS": {"directory": tmp_path}}}
    run = made("nightly.yml", days=0, status="running")
    for step_id, queue in (("one", "heavy"), ("two", "heavy"), ("three", "light")):
        add_call(run, step_id, queue=queue)
    add_call(run, "four", status="done")
    names: dict[str, Any] = {}
    exec(python_in_workers("# desk/views.py"), names)
    assert json.loads(names["queues"](RequestFactory().get("/queues")).content) == {"heavy": {"open": 2}}


def test_the_entry_of_beat_names_the_task_that_calls_the_runbook() -> None:
    names: dict[str, Any] = {}
    exec(python_in_workers("# In the settings"), names)
    (entry,) = names["CELERY_BEAT_SCHEDULE"].values()
    tasks = [
        node.name for node in ast.parse(python_in_workers("# desk/tasks.py")).body if isinstance(node, ast.FunctionDef)
    ]
    assert entry["task"] == f"desk.tasks.{tasks[0]}"
    assert entry["schedule"].hour == {2}


def test_autoscalers_count_the_table_of_calls() -> None:
    blocks = [block.text for block in blocks_of(DOCS / "guide" / "workers.md") if "ScaledObject" in block.text]
    (trigger,) = yaml.safe_load(blocks[0])["spec"]["triggers"]
    assert f" FROM {Call._meta.db_table} WHERE " in trigger["metadata"]["query"]
    assert re.findall(r"'(\w+)'", trigger["metadata"]["query"]) == ["heavy", *OPEN]


def test_each_task_engine_is_listed_with_its_options() -> None:
    section = section_of(REFERENCE / "settings.md", "`QUEUE`")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", section.partition("| key |")[0], re.MULTILINE)
    assert [name for name, _ in rows] == ["auto", *ENGINES]
    for name, options in rows[1:]:
        assert re.findall(r"`(\w+)`", options) == list(inspect.signature(import_string(ENGINES[name])).parameters)
    keys_of_queue = section.partition("| key |")[2].partition("###")[0]
    assert names_in_table(keys_of_queue) == list(conf._QUEUE_KEYS)
    members = names_in_table(section.partition("###")[2])
    assert [name.partition("(")[0] for name in members] == [name for name in vars(Engine) if not name.startswith("_")]


# What a command has besides, for the library itself.
INTERNAL = {"make_source", "describe_source", "remaining_text"}
CLASSES = [getattr(batch, name) for name in batch.__all__ if isinstance(getattr(batch, name), type)]


def names_of(kind: type) -> set[str]:
    """What the library adds to Django's command, under names that are public."""
    own = [base for base in kind.__mro__ if base.__module__.startswith("django_runbook.")]
    return {name for base in own for name in vars(base) if not name.startswith("_") and not hasattr(BaseCommand, name)}


def listed_names(kind: type) -> set[str]:
    names = names_in_table(section_of(REFERENCE / "library.md", f"`{kind.__name__}`"))
    return {name.partition("(")[0] for name in names if not name.startswith("--")}


@pytest.mark.parametrize("kind", [*CLASSES, ProgressTracker])
def test_each_setting_and_hook_of_the_library_is_listed(kind: type) -> None:
    assert {name for name in listed_names(kind) if not hasattr(kind, name)} == set()
    sections = [other for other in (*CLASSES, ProgressTracker) if issubclass(kind, other)]
    if issubclass(kind, batch.FileBatchCommand):
        # Its section refers to that one.
        sections.append(BatchCommand)
    known = {name for other in sections for name in listed_names(other)}
    if not issubclass(kind, SourceCommand):
        # What all parts have has a meaning in batch commands only.
        known |= names_of(CommandMixin)
    assert names_of(kind) - INTERNAL - {"due_at"} - known == set()


def test_the_defaults_of_the_library_are_those_of_the_code() -> None:
    for kind in CLASSES:
        section = section_of(REFERENCE / "library.md", f"`{kind.__name__}`")
        settings = section.partition("| class setting |")[2].partition("| hook |")[0]
        for name, default in re.findall(r"^\| `(\w+)` \| `?(.+?)`? \|", settings, re.MULTILINE):
            assert getattr(kind, name) == ast.literal_eval(default), name


def test_each_parameter_of_track_is_listed() -> None:
    listed = names_in_table(section_of(REFERENCE / "library.md", "`track`"))
    assert listed == list(inspect.signature(batch.track).parameters)


def listed_options(title: str) -> set[str]:
    names = names_in_table(section_of(REFERENCE / "library.md", title))
    return {name.split()[0] for name in names if name.startswith("--")}


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if issubclass(kind, BaseCommand)])
def test_each_option_of_the_library_is_listed(kind: type[BaseCommand]) -> None:
    sections = [f"`{other.__name__}`" for other in CLASSES if issubclass(kind, other)]
    if issubclass(kind, SourceCommand):
        sections.append("Options of batch commands")
    # A file has no shards.
    absent = {"--shard"} if issubclass(kind, batch.FileBatchCommand) else set()
    assert set().union(*map(listed_options, sections)) - absent == options_of(kind())


def test_each_permission_of_the_admin_is_listed() -> None:
    listed = names_in_table(section_of(DOCS / "guide" / "admin.md", "Permissions"))
    models = apps.get_app_config("django_runbook").get_models()
    assert set(listed) == {f"view_{model._meta.model_name}" for model in models}


def test_each_signal_is_listed() -> None:
    listed = names_in_table(section_of(REFERENCE / "how-it-runs.md", "Signals of Django"))
    assert listed == [name for name, value in vars(signals).items() if isinstance(value, Signal)]


def test_the_guide_quotes_the_message_about_a_step_in_doubt() -> None:
    assert in_doubt_message("send_invoices") in (DOCS / "guide" / "resuming.md").read_text()


def test_the_pictures_are_there() -> None:
    for page in (*PAGES, README):
        for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / picture).is_file(), page


def test_the_modules_of_bare_exception_names_are_listed() -> None:
    section = section_of(REFERENCE / "file.md", "`errors`")
    assert set(re.findall(r"`([\w.]+)`", section)) >= set(HOMES)


def test_the_words_of_other_tools_are_those_of_the_code() -> None:
    listed = names_in_table(section_of(DOCS / "guide" / "migrating.md", "Words"))
    assert set(listed) <= set(foreign.FOREIGN)
    assert len(listed) > 20


def test_each_key_is_in_the_overview() -> None:
    page = REFERENCE / "file.md"
    linked = re.findall(r"\[`\$?(\w+)`\]\(#\1\)", section_of(page, "Overview"))
    assert sorted(linked) == sorted(key.strip("$") for key in known_keys())


def test_the_problem_matcher_reads_every_report() -> None:
    [block] = [block for block in blocks_of(DOCS / "guide" / "reviews.md") if block.language == "json"]
    [pattern] = json.loads(block.text)["problemMatcher"][0]["pattern"]
    for path in sorted((ROOT / "tests" / "golden").glob("*/*.out")):
        heads = [line for line in path.read_text().splitlines() if re.search(r": (error|warning)\[RB", line)]
        matches = [re.fullmatch(pattern["regexp"], line) for line in heads]
        assert all(matches), path
        assert all(match is None or match[pattern["code"]] in codes.CODES for match in matches)


def test_the_hook_of_the_documentation_is_that_of_the_repository() -> None:
    [published] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    blocks = [block.text for block in blocks_of(DOCS / "guide" / "reviews.md") if "repo: local" in block.text]
    [shown] = yaml.safe_load(blocks[0])["repos"][0]["hooks"]
    assert shown == {key: value for key, value in published.items() if key != "description"}
    files = ["runbooks/daily.yml", "desk/runbooks/a/b.yaml", "desk/management/commands/noop.py"]
    assert all(re.search(published["files"], file) for file in files)
    assert not re.search(published["files"], "desk/models.py")
