"""Makes the projects with workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.queues.project import Project, new_project, new_template
from tests.services import require_postgres, require_rabbitmq, require_redis

REQUIRED = {"redis": require_redis, "rabbitmq": require_rabbitmq}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_postgres()
    with new_template(tmp_path_factory.mktemp("template")) as name:
        yield name


@pytest.fixture
def project(engine: str, template: str, tmp_path: Path) -> Iterator[Project]:
    REQUIRED.get(engine, require_postgres)()
    with new_project(tmp_path, engine, template=template) as made:
        made.add_items(60)
        yield made
