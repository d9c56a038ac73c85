"""Renders diagnostics as SARIF 2.1.0, which GitHub's code scanning and many editors read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from django_runbook.document.codes import CODES, CodeDefinition
from django_runbook.document.diagnostics import Span
from django_runbook.document.formats.fingerprints import CheckedFile, IdentifiedDiagnostic, identify

_PROJECT: Final = "https://github.com/django-runbook/django-runbook"
_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_sarif(files: Iterable[CheckedFile], *, version: str) -> dict[str, Any]:
    """Return a SARIF log of all diagnostics; ``version`` is that of this package."""
    found = list(identify(files))
    codes = sorted({one.diagnostic.code for one in found})
    driver = {
        "name": "django-runbook",
        "version": version,
        "informationUri": _PROJECT,
        "rules": [_rule(CODES[code]) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, index=codes.index(one.diagnostic.code)) for one in found],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(definition: CodeDefinition) -> dict[str, Any]:
    return {
        "id": definition.code,
        "shortDescription": {"text": definition.title},
        "helpUri": f"{_PROJECT}/blob/main/docs/{definition.documentation}",
        "defaultConfiguration": {"level": definition.severity.value},
    }


def _result(found: IdentifiedDiagnostic, *, index: int) -> dict[str, Any]:
    item = found.diagnostic
    text = f"{item.message}\nhelp: {item.help}" if item.help else item.message
    result: dict[str, Any] = {
        "ruleId": item.code,
        "ruleIndex": index,
        "level": item.severity.value,
        "message": {"text": text},
        "locations": [_location(found.path, item.span)],
        # The name that code scanning looks for.
        "partialFingerprints": {"primaryLocationLineHash": found.fingerprint},
    }
    if item.related is not None:
        message = {"text": item.related_message}
        result["relatedLocations"] = [{"id": 1, **_location(found.path, item.related), "message": message}]
    return result


def _location(path: str, span: Span) -> dict[str, Any]:
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    return {"physicalLocation": {"artifactLocation": _artifact(path), "region": region}}


def _artifact(path: str) -> dict[str, str]:
    if Path(path).is_absolute():
        return {"uri": Path(path).as_uri()}
    return {"uri": quote(Path(path).as_posix()), "uriBaseId": "%SRCROOT%"}
