"""Renders diagnostics as a Code Quality report, which GitLab shows in a merge request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from django_runbook.document.codes import Severity
from django_runbook.document.formats.fingerprints import CheckedFile, IdentifiedDiagnostic, identify

_SEVERITIES: Final = {Severity.ERROR: "major", Severity.WARNING: "minor"}


def as_code_quality(files: Iterable[CheckedFile]) -> list[dict[str, Any]]:
    """Return one issue for each diagnostic.

    Format: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
    """
    return [_issue(one) for one in identify(files)]


def _issue(found: IdentifiedDiagnostic) -> dict[str, Any]:
    item, path = found.diagnostic, Path(found.path).as_posix()
    # GitLab compares it across all files of a report.
    fingerprint = hashlib.sha256(f"{path}\n{found.fingerprint}".encode(errors="backslashreplace")).hexdigest()
    return {
        "description": f"{item.message} ({item.help})" if item.help else item.message,
        "check_name": item.code,
        "fingerprint": fingerprint,
        "severity": _SEVERITIES[item.severity],
        "location": {"path": path, "lines": {"begin": item.span.line, "end": item.span.end_line}},
    }
