"""Tests the public names of the library."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

from django_runbook import batch
from tests.patience import PATIENCE_SECONDS


def test_type_checkers_see_each_public_name() -> None:
    conditions = [node for node in ast.parse(inspect.getsource(batch)).body if isinstance(node, ast.If)]
    imports = {
        alias.name: node.module
        for condition in conditions
        for node in condition.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imports == {name: f"{batch.__name__}.{module}" for name, module in batch._MODULES.items()}
    assert set(imports) == set(batch.__all__)


@pytest.mark.slow
def test_the_library_is_imported_lazily() -> None:
    code = "import sys; import django_runbook.batch as b; b.track; assert 'django_runbook.models' not in sys.modules; assert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_SECONDS)
    assert all(getattr(batch, name) for name in batch.__all__)
    with pytest.raises(AttributeError, match="BatchComand"):
        batch.BatchComand  # noqa: B018 - it is looked up
