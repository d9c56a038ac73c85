"""What holds for the house as a whole: its imports, its codes and its documentation."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from django_runbook.document.codes import CODES
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from tests.syntax import nodes_of, tree_of

# They parse the whole package, and `make house` runs them in any case.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "django_runbook"
MODULES = sorted(PACKAGE.rglob("*.py"))
# A rule that is ignored in a line, with its reason.
_REASON = re.compile(
    r"# (noqa: [A-Z0-9, ]+( - |  # )|type: ignore\[[a-z, -]+\]  # |pragma: no (cover|branch)( - |  # ))\S"
)

# Each room with what it may import, besides itself and those that stand below all others.
BELOW_ALL = {
    "file_writing",
    "row_account",
    "causes",
    "clock",
    "argparse_compat",
    "results",
    "exceptions",
    "events",
    "process_inputs",
    "stopwatch",
    "handover",
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
    "process_inputs": set[str](),
    "backend_loading": {"document"},
    "git_commit": set[str](),
    "configured_reporters": {"backend_loading", "conf", "document", "option_secrets", "process", "reporters"},
    "queues": {
        "backend_loading",
        "git_commit",
        "conf",
        "document",
        "executors",
        "journal",
        "locks",
        "models",
        "process",
    },
    "tasks": {"queues"},
    "reporters": set[str](),
    "batch": {"conf", "locks", "document", "models", "process"},
    "locks": {"backend_loading", "conf", "document", "process"},
    "conf": {"document", "option_secrets"},
    "option_secrets": set[str](),
    "lookup": {"conf", "document"},
    "checking": {"conf", "configured_reporters", "lookup", "planning", "binding", "document", "queues"},
    "system_checks": {"checking", "conf", "configured_reporters", "document", "locks", "process"},
    "apps": {"system_checks"},
    "monitoring": {
        *("checking", "conf", "configured_reporters", "document", "journal", "locks", "lookup", "models", "schedules"),
        "process",
    },
    "schedules": {"binding", "checking", "conf", "document", "lookup"},
    "stopwatch": set[str](),
    "handover": set[str](),
    "models": set[str](),
    "journal": {"git_commit", "models", "conf", "document", "planning", "locks", "process"},
    "resume": {
        "journal",
        "models",
        "conf",
        "document",
        "planning",
        "binding",
        "locks",
        "process",
        "runner",
    },
    "forecasts": {"conf", "document", "journal", "models", "planning"},
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
    "describing": {"document", "schedules"},
    "stages": {
        "batch",
        "binding",
        "checking",
        "command_lines",
        "conf",
        "configured_reporters",
        "document",
        "executors",
        "forecasts",
        "journal",
        "locks",
        "models",
        "planning",
        "process",
        "queues",
        "reporters",
        "resume",
        "runner",
        "signals",
    },
    "api": {
        "binding",
        "checking",
        "conf",
        "configured_reporters",
        "describing",
        "document",
        "executors",
        "forecasts",
        "journal",
        "locks",
        "lookup",
        "planning",
        "process",
        "reporters",
        "resume",
        "runner",
        "stages",
    },
    "signals": set[str](),
    "pages": {
        "forecasts",
        "monitoring",
        "models",
        "journal",
        "locks",
        "reporters",
        "command_lines",
    },
    "admin": {"forecasts", "pages", "journal", "models", "locks", "conf"},
    "migrations": {"models"},
    "results": set[str](),
    "exceptions": set[str](),
    "events": set[str](),
    "wording": set[str](),
    "causes": set[str](),
    "argparse_compat": set[str](),
    "cleaning": set[str](),
    "file_writing": set[str](),
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


# Each divided package: its folders, with the folders of the package that they may import, "." being its own modules.
FOLDERS: Final = {
    "batch": {
        "parts": {"django_compat"},
        "core": {"django_compat", "parts"},
        "sources": {"django_compat", "parts", "core"},
    },
    "document": {
        ".": {"evaluation"},
        "evaluation": {"."},
        "syntax": {"."},
        "validation": {".", "evaluation", "syntax"},
        "formats": {"."},
    },
    "journal": {".": set[str](), "reading": {"."}},
    "language_server": {
        "cursor": set[str](),
        "workspace": {"cursor"},
        "features": {"cursor", "workspace"},
    },
    "reporters": {".": set[str](), "notifiers": {"."}},
}


def folders_imported(package: str, folder: str) -> set[str]:
    """The folders and modules of a package that one of its folders imports, "." for its own modules if they have a row."""
    home = PACKAGE / package
    found = {
        name.split(".")[2]
        for path in (home / folder).glob("*.py")
        for name in imports_of(path)
        if name.startswith(f"django_runbook.{package}.")
    }
    own = {path.stem for path in home.glob("*.py")} if "." in FOLDERS[package] else set[str]()
    return {
        "." if name in own else name
        for name in found
        if name in own or (home / name).is_dir() or (home / f"{name}.py").is_file()
    }


@pytest.mark.parametrize(
    ("package", "folder"), [(package, folder) for package in FOLDERS for folder in FOLDERS[package]]
)
def test_the_folders_of_a_package_import_down_only(package: str, folder: str) -> None:
    assert folders_imported(package, folder) - {folder} <= FOLDERS[package][folder]


def test_the_commands_of_runbooks_call_the_api_and_none_of_what_it_puts_together() -> None:
    for name in ("run_runbook", "check_runbooks"):
        path = PACKAGE / "management" / "commands" / f"{name}.py"
        rooms = {found.split(".")[1] for found in imports_of(path) if found.startswith("django_runbook.")}
        assert rooms & {"binding", "planning", "journal", "locks", "resume", "signals", "stages"} == set()


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
        "pydantic_core": {"document/validation/schema.py", "document/validation/reading.py"},
        "pygls": {"language_server/protocol.py", "language_server/server.py", "language_server/session_order.py"},
        "redis": {"locks/redis.py"},
        "apprise": {"reporters/notifiers/apprise_.py"},
        "opentelemetry": {"reporters/opentelemetry_.py"},
        "sentry_sdk": {"reporters/notifiers/sentry.py"},
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


def ignored_without_reason(text: str) -> list[int]:
    """The lines that ignore a rule of a tool, or leave a line out of the coverage, without saying why."""
    return [
        number
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(r"# (noqa|type: ignore|pragma: no|mypy:|ruff:)", line) and not _REASON.search(line)
    ]


def test_every_ignored_rule_has_its_reason() -> None:
    folders = ("src", "tests", "example_project", "benchmarks", "docs")
    paths = [ROOT / "noxfile.py", *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))]
    # The rest of this file is about the marks themselves.
    found = {
        str(path.relative_to(ROOT)): ignored_without_reason(path.read_text())
        for path in paths
        if path != Path(__file__)
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_rule_that_is_ignored_without_a_reason_is_found() -> None:
    lines = (
        "a = 1  # noqa: E501",
        "a = 1  # noqa: E501 - a table",
        "b = c  # type: ignore[misc]",
        "b = c  # type: ignore[misc]  # the stubs are wrong",
        "d()  # pragma: no cover",
        "d()  # pragma: no cover - only on Windows",
    )
    assert ignored_without_reason("\n".join(lines)) == [1, 3, 5]


def skips_without_reason(path: Path) -> list[int]:
    """The lines that skip tests, or expect them to fail, without saying why."""
    if not re.search("skip|xfail", path.read_text()):
        return []
    return [
        node.lineno
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute)
        and node.attr in {"skip", "skipif", "xfail"}
        and ast.unparse(node.value) in {"pytest", "pytest.mark"}
        and node.lineno not in _lines_of_reasons(path)
    ]


def _lines_of_reasons(path: Path) -> set[int]:
    return {
        node.func.lineno
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and (
            (node.args and ast.unparse(node.func) == "pytest.skip")
            or any(word.arg == "reason" for word in node.keywords)
        )
    }


def test_every_skipped_test_has_its_reason(tmp_path: Path) -> None:
    found = {str(path): skips_without_reason(path) for path in sorted((ROOT / "tests").rglob("*.py"))}
    assert {path: lines for path, lines in found.items() if lines} == {}
    example = tmp_path / "test_some.py"
    example.write_text(
        "pytest.skip()\npytest.skip('no Redis')\npytest.mark.skipif(x)\npytest.mark.xfail(reason='a bug')\n"
    )
    assert skips_without_reason(example) == [1, 3]


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
