"""Tests the public names of the library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from django_runbook import batch
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


def test_the_library_is_imported_lazily() -> None:
    code = "import sys; import django_runbook.batch as b; b.track; assert 'django_runbook.models' not in sys.modules; assert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_SECONDS)
    assert all(getattr(batch, name) for name in batch.__all__)
    with pytest.raises(AttributeError, match="BatchComand"):
        batch.BatchComand  # noqa: B018 - it is looked up
