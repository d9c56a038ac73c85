"""Lists the formats of ``check_runbooks --format`` that other programs read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django_runbook import command_lines
from django_runbook.checking import Checked
from django_runbook.document.formats import render
from django_runbook.document.formats.code_quality import as_code_quality
from django_runbook.document.formats.fingerprints import CheckedFile
from django_runbook.document.formats.sarif import as_sarif

CheckFormat = Callable[[Sequence[Checked]], str]


def _as_json(results: Sequence[Checked]) -> str:
    return _text([item for result in results for item in render.as_dicts(result.diagnostics, path=result.path)])


def _as_github(results: Sequence[Checked]) -> str:
    return "".join(render.as_github(result.diagnostics, path=result.path) for result in results)


def _as_sarif(results: Sequence[Checked]) -> str:
    return _text(as_sarif(_files(results), version=command_lines.version()))


def _as_gitlab(results: Sequence[Checked]) -> str:
    return _text(as_code_quality(_files(results)))


def _files(results: Sequence[Checked]) -> list[CheckedFile]:
    return [CheckedFile(path=one.path, diagnostics=one.diagnostics, lines=one.lines) for one in results]


def _text(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


CHECK_FORMATS: Final[Mapping[str, CheckFormat]] = {
    "json": _as_json,
    "github": _as_github,
    "sarif": _as_sarif,
    "gitlab": _as_gitlab,
}
