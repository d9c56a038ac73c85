"""Requests outside of a session are answered as the specification of the protocol says."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.editor.language_client import LanguageClient

ROOT: Final = Path(__file__).parent.parent.parent
NOT_INITIALIZED, INVALID_REQUEST = -32002, -32600


@pytest.mark.slow
def test_requests_before_and_after_a_session_are_refused(tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "example_project")]),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    command = [sys.executable, "-m", "django", "runbook_lsp"]
    client = LanguageClient(command, root=tmp_path, settings={}, begins=False, env=environment, cwd=tmp_path)
    document = {"textDocument": {"uri": (tmp_path / "nightly.yml").as_uri()}, "position": {"line": 0, "character": 0}}
    hover: tuple[str, dict[str, Any]] = ("textDocument/hover", document)

    # A notification has no answer, and is dropped.
    client.open(tmp_path / "nightly.yml", "steps: [check]\n")
    assert client.error(*hover)["code"] == NOT_INITIALIZED
    assert client.error("shutdown", None)["code"] == NOT_INITIALIZED
    client.begin()
    assert client.ask(*hover) is None
    assert client.error("initialize", {"processId": None, "capabilities": {}})["code"] == INVALID_REQUEST

    assert client.ask("shutdown", None) is None
    client.open(tmp_path / "nightly.yml", "steps: [check]\n")
    for method, params in (hover, ("shutdown", None), ("unknown/method", {})):
        assert client.error(method, params)["code"] == INVALID_REQUEST
    client.exit()
    assert client.exit_code == 0
