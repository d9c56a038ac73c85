from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook import conf
from django_runbook.binding.catalog import Catalog
from django_runbook.language_server.features.completion import complete
from django_runbook.language_server.workspace.editor_files import EditorFiles
from django_runbook.language_server.workspace.project import Project
from django_runbook.language_server.workspace.project_files import new_project
from tests.language_server.support import ask


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "runbooks", tmp_path / "shared"]
    for folder in folders:
        (folder / "parts").mkdir(parents=True)
    (folders[0] / "weekly.yml").write_text("params: {day: {type: date, help: The day.}}\nsteps: [noop]\n")
    (folders[1] / "parts" / "index.yaml").write_text("steps: [noop]\n")
    return folders


def project_of(*folders: Path, files: EditorFiles | None = None) -> Project:
    configuration = conf.Configuration(dirs=folders)
    return new_project(configuration, lambda: files or EditorFiles(), catalog=Catalog())


def labels(text: str, project: Project, path: Path) -> list[str]:
    return [suggestion.label for suggestion in complete(ask(text, about=project, path=path))]


def test_runbooks_are_suggested_by_the_names_that_find_them(folders: list[Path]) -> None:
    project, caller = project_of(*folders), folders[0] / "nightly.yml"
    found = labels("steps:\n  - runbook: ¦\n", project, caller)
    assert {"weekly.yml", "parts/index.yaml"} <= set(found)
    assert all(project.find_runbook(name, caller) is not None for name in found)


def test_a_runbook_is_not_suggested_to_itself(folders: list[Path]) -> None:
    assert "weekly.yml" not in labels("steps:\n  - runbook: ¦\n", project_of(*folders), folders[0] / "weekly.yml")


def test_the_parameters_of_a_called_runbook_are_suggested(folders: list[Path]) -> None:
    text = "steps:\n  - runbook: weekly.yml\n    params:\n      ¦\n"
    assert labels(text, project_of(*folders), folders[0] / "nightly.yml") == ["day"]


def test_the_called_runbook_is_the_one_that_is_open(folders: list[Path]) -> None:
    files = EditorFiles().opened(folders[0] / "weekly.yml", "params: {mode: full}\nsteps: [noop]\n")
    text = "steps:\n  - runbook: weekly.yml\n    params: {¦}\n"
    assert labels(text, project_of(*folders, files=files), folders[0] / "nightly.yml") == ["mode"]


def test_time_zones_are_suggested(folders: list[Path]) -> None:
    text = "schedule: {cron: 5 4 * * *, timezone: Europe/B¦}\nsteps: [noop]\n"
    assert "Europe/Berlin" in labels(text, project_of(), folders[0] / "nightly.yml")
