"""What holds for the house as a whole: its imports, its codes and its documentation."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_runbook.document import source, validate
from django_runbook.document.codes import CODES
from tests.syntax import nodes_of, tree_of

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "django_runbook"
MODULES = sorted(PACKAGE.rglob("*.py"))
# A rule that is ignored in a line, with its reason.
_REASON = re.compile(r"# (noqa: [A-Z0-9, ]+( - |  # )|type: ignore\[[a-z, -]+\]  # )\S")

# Each room with what it may import, besides itself and those that stand below all others.
BELOW_ALL = {
    "row_account",
    "causes",
    "clock",
    "argparse_compat",
    "results",
    "exceptions",
    "events",
    "process_inputs",
    "stopwatch",
    "wording",
    "cleaning",
    "structs",
}
MAY_IMPORT = {
    "document": set[str](),
    "binding": {"document"},
    "process": {"document"},
    "planning": {"binding", "document", "process"},
    "runner": {"planning", "binding", "document", "locks", "process", "executors"},
    "executors": {"process", "binding", "row_counting"},
    "row_counting": set[str](),
    "calls": {"fields"},
    "checkpoints": set[str](),
    "process_inputs": set[str](),
    "backend_loading": {"document"},
    "git_commit": set[str](),
    "configured_reporters": {"backend_loading", "conf", "document", "option_secrets", "process", "reporters"},
    "queues": {
        "backend_loading",
        "calls",
        "git_commit",
        "conf",
        "document",
        "executors",
        "fields",
        "journal",
        "locks",
        "models",
        "process",
    },
    "tasks": {"queues"},
    "reporters": set[str](),
    "batch": {"checkpoints", "conf", "locks", "document", "models", "fields", "process"},
    "locks": {"backend_loading", "conf", "document", "process"},
    "conf": {"document", "option_secrets"},
    "option_secrets": set[str](),
    "lookup": {"conf", "document"},
    "checking": {"conf", "configured_reporters", "lookup", "planning", "binding", "document", "queues"},
    "checks": {"checking", "conf", "configured_reporters", "document", "locks", "process"},
    "apps": {"checks"},
    "monitoring": {
        *("checking", "conf", "configured_reporters", "document", "journal", "locks", "lookup", "models", "schedules"),
        "process",
    },
    "schedules": {"binding", "checking", "conf", "document", "lookup"},
    "fields": set[str](),
    "statements": set[str](),
    "stopwatch": set[str](),
    "models": {"calls", "checkpoints", "fields", "statements"},
    "journal": {"calls", "git_commit", "models", "fields", "conf", "document", "planning", "locks", "process"},
    "resume": {
        "calls",
        "journal",
        "models",
        "fields",
        "conf",
        "document",
        "planning",
        "binding",
        "locks",
        "process",
        "runner",
    },
    "forecasts": {"conf", "document", "fields", "journal", "models", "planning"},
    "editor": {"binding", "document"},
    "importing": {"binding", "checking", "conf", "document", "lookup"},
    "language_server": {"binding", "checking", "conf", "document", "editor", "lookup"},
    "testing": {
        "binding",
        "checking",
        "conf",
        "document",
        "executors",
        "locks",
        "lookup",
        "planning",
        "process",
        "runner",
    },
    "pytest_plugin": {"testing"},
    "reviews": {"binding", "checking", "conf", "document", "lookup", "planning", "process"},
    "request": {"planning"},
    "console": {"command_lines", "document", "process", "reporters"},
    "hosting": {
        "forecasts",
        "binding",
        "checking",
        "conf",
        "configured_reporters",
        "console",
        "document",
        "executors",
        "journal",
        "locks",
        "planning",
        "process",
        "queues",
        "reporters",
        "resume",
        "runner",
        "signals",
    },
    "error_notices": {"conf", "configured_reporters", "process", "run_stages"},
    "run_stages": {
        "forecasts",
        "binding",
        "checking",
        "conf",
        "configured_reporters",
        "console",
        "document",
        "executors",
        "journal",
        "locks",
        "planning",
        "process",
        "request",
        "runner",
    },
    "recording": {"forecasts", "console", "journal", "planning", "request", "resume", "run_stages", "runner"},
    "describing": {"document", "schedules"},
    "api": {
        "error_notices",
        "describing",
        "forecasts",
        "recording",
        "run_stages",
        "binding",
        "checking",
        "conf",
        "configured_reporters",
        "console",
        "document",
        "estimating",
        "executors",
        "hosting",
        "journal",
        "locks",
        "lookup",
        "planning",
        "process",
        "reporters",
        "request",
        "resume",
        "runner",
    },
    "signals": set[str](),
    "estimating": {"batch", "binding", "conf", "document", "models", "planning"},
    "pages": {
        "forecasts",
        "monitoring",
        "calls",
        "checkpoints",
        "models",
        "fields",
        "journal",
        "locks",
        "reporters",
        "command_lines",
    },
    "admin": {"checkpoints", "forecasts", "pages", "journal", "models", "locks", "conf"},
    "migrations": {"fields"},
    "results": set[str](),
    "exceptions": set[str](),
    "events": set[str](),
    "wording": set[str](),
    "causes": set[str](),
    "argparse_compat": set[str](),
    "cleaning": set[str](),
    "structs": set[str](),
    "row_account": set[str](),
    "clock": set[str](),
    "command_lines": set[str](),
}
NOT_DJANGO = ("document", "reporters", "results", "events", "cleaning", "structs")
OUTSIDE = dict.fromkeys(NOT_DJANGO, "django")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_up(path: Path) -> list[str]:
    room = room_of(path)
    if room in {"management", "__init__"}:
        return []
    below = {room, *MAY_IMPORT[room], *BELOW_ALL}
    return [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for name in imports_of(path)
        for parts in [name.split(".")]
        if parts[0] == OUTSIDE.get(room) or (parts[0] == "django_runbook" and len(parts) > 1 and parts[1] not in below)
    ]


def test_imports_point_down_only() -> None:
    assert [line for path in MODULES for line in imports_up(path)] == []


# Each folder of the batch library with what it may import of the library, besides itself.
BATCH_FOLDERS = {
    "parts": {"django_compat"},
    "core": {"django_compat", "parts"},
    "sources": {"django_compat", "parts", "core"},
}


@pytest.mark.parametrize("folder", BATCH_FOLDERS)
def test_the_folders_of_the_batch_library_import_down_only(folder: str) -> None:
    found = {
        name.split(".")[2]
        for path in (PACKAGE / "batch" / folder).glob("*.py")
        for name in imports_of(path)
        if name.startswith("django_runbook.batch.")
    }
    assert found - {folder} <= BATCH_FOLDERS[folder]


def test_the_commands_of_runbooks_call_the_api_and_none_of_what_it_puts_together() -> None:
    for name in ("run_runbook", "check_runbooks"):
        path = PACKAGE / "management" / "commands" / f"{name}.py"
        rooms = {found.split(".")[1] for found in imports_of(path) if found.startswith("django_runbook.")}
        assert rooms & {"binding", "planning", "journal", "locks", "resume", "signals", "hosting"} == set()


@pytest.mark.slow
def test_heavy_packages_are_imported_where_they_are_used_only() -> None:
    users = {
        package: {
            str(path.relative_to(PACKAGE))
            for path in MODULES
            if any(name.split(".")[0] == package for name in imports_of(path))
        }
        for package in ("rich", "jinja2", "pydantic_core", "pygls", "redis", "apprise", "opentelemetry", "sentry_sdk")
    }
    assert users == {
        "rich": {"reporters/rich_.py", "reporters/live_display.py", "batch/parts/progress_bar.py"},
        "jinja2": {
            "document/evaluation/analysis.py",
            "document/evaluation/evaluator.py",
            "document/evaluation/grammar.py",
            "document/evaluation/kinds.py",
        },
        "pydantic_core": {"document/schema.py", "document/reading.py"},
        "pygls": {"language_server/protocol.py", "language_server/server.py"},
        "redis": {"locks/redis.py"},
        "apprise": {"reporters/apprise_.py"},
        "opentelemetry": {"reporters/opentelemetry_.py"},
        "sentry_sdk": {"reporters/sentry.py"},
    }


def test_data_classes_are_structs() -> None:
    # Each class costs every start 20 times as much with a decorator of `dataclasses`.
    users = {
        library: [
            str(path.relative_to(PACKAGE))
            for path in MODULES
            if any(name.split(".")[0] == library for name in imports_of(path))
        ]
        for library in ("dataclasses", "msgspec")
    }
    # Only mypy reads its import of `dataclasses`.
    assert users == {"dataclasses": ["structs.py"], "msgspec": ["reporters/jsonl.py", "structs.py"]}


def test_the_private_api_of_argparse_is_used_in_one_module() -> None:
    private = re.compile(
        r"argparse\._|\._(actions|option_string_actions|defaults|group_actions|mutually_exclusive_groups|get_values?|"
        r"get_option_tuples|check_value|match_argument|read_args_from_files|negative_number_matcher)\b"
    )
    users = [
        str(path.relative_to(PACKAGE)) for path in MODULES if private.search(re.sub("self\\._", "", path.read_text()))
    ]
    assert users == ["argparse_compat.py"]


def test_every_ignored_rule_has_its_reason() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(r"# (noqa|type: ignore)", line) and not _REASON.search(line)
    ]
    assert found == []


def test_every_module_opens_with_a_docstring() -> None:
    without = [
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if tree_of(path).body and not ast.get_docstring(tree_of(path))
    ]
    assert without == []


def test_every_code_is_in_the_table_and_every_row_of_it_is_used() -> None:
    used = {
        code for path in MODULES if path.name != "codes.py" for code in re.findall(r'"(RB\d{3})"', path.read_text())
    }
    assert used == set(CODES)


def test_diagnostics_are_made_by_the_factory_only() -> None:
    makers = [
        str(path.relative_to(PACKAGE)) for path in MODULES if re.search(r"(?<!class )\bDiagnostic\(", path.read_text())
    ]
    assert makers == ["document/diagnostics.py"]


def yaml_blocks(path: Path) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", path.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("block", yaml_blocks(ROOT / "README.md"))
def test_the_examples_of_the_readme_are_valid(block: str) -> None:
    _, diagnostics = validate.load(source.Source(path="README.md", text=block))
    assert diagnostics == []


def test_the_readme_names_every_option_of_run_runbook() -> None:
    text = (PACKAGE / "management" / "commands" / "run_runbook.py").read_text()
    options = set(re.findall(r'"(--[a-z-]+)"', text))
    readme = (ROOT / "README.md").read_text()
    assert {option for option in options if option not in readme} == set()


def test_the_links_of_the_readme_work_in_the_repository_and_on_a_package_index() -> None:
    readme = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", readme)
    local = [link for link in links if not link.startswith(("https:", "#"))]
    assert local
    assert [link for link in local if not (ROOT / link.partition("#")[0]).is_file()] == []
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]
    for rule in metadata["fancy-pypi-readme"]["substitutions"]:
        readme = re.sub(rule["pattern"], rule["replacement"], readme)
    shown = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(shown) == len(links)
    assert [link for link in shown if not link.startswith(("https:", "#"))] == []
