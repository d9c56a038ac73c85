"""The compose file of the example: its structure, and its commands against the services of this host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import redis
import yaml
from django.core.management import get_commands
from pytest_django import DjangoDbBlocker

from tests.example.compose_file import EXAMPLE, Containers, own_services, services
from tests.example.project_copy import copy_of_example
from tests.journal.databases import database_on
from tests.patience import wait_until
from tests.runner.support import ROOT
from tests.services import REDIS_URL, require_postgres, require_redis

# Apart from the databases that other tests use.
REDIS_DATABASE = 9
# So many that each worker takes some of their batches.
FLIGHT_COUNT = 4000


def test_each_dependency_exists_and_can_be_waited_for() -> None:
    found = services()
    for name, service in found.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in found, name
            if how["condition"] == "service_healthy":
                assert found[needed]["healthcheck"]["test"][0] == "CMD"
            # A service that never ends cannot complete.
            assert (how["condition"] == "service_completed_successfully") == (needed == "daily")


def test_each_command_and_each_runbook_exists() -> None:
    runbooks = set()
    for name, service in own_services().items():
        program, *words = service["command"]
        if program == "celery":
            assert words[:3] == ["--app", "flightdesk", "worker"]
            continue
        assert (program, words[0]) == ("python", "manage.py"), name
        assert words[1] in get_commands()
        runbooks.add(words[2])
    assert {path for path in runbooks if (ROOT / "runbooks" / path).is_file()} == {"daily.yml", "backfill.yml"}


def test_the_workers_serve_the_queue_of_the_backfill() -> None:
    worker = services()["worker"]
    steps = yaml.safe_load((ROOT / "runbooks" / "backfill.yml").read_text())["steps"]
    queue = worker["command"][worker["command"].index("--queues") + 1]
    assert {step["queue"] for step in steps if isinstance(step, dict)} == {queue}
    assert worker["deploy"]["replicas"] == 2


def test_the_settings_read_each_variable() -> None:
    read = set(re.findall(r"FLIGHTDESK_\w+", (EXAMPLE / "flightdesk" / "settings.py").read_text()))
    for service in own_services().values():
        assert set(service["environment"]) <= read


def test_the_accounts_of_the_database_are_those_of_its_clients() -> None:
    server = services()["postgres"]["environment"]
    for service in own_services().values():
        assert service["environment"]["FLIGHTDESK_POSTGRES_PASSWORD"] == server["POSTGRES_PASSWORD"]
    # The defaults of the settings.
    assert server["POSTGRES_USER"] == server["POSTGRES_DB"] == "flightdesk"


def test_the_image_copies_what_the_context_has() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (EXAMPLE / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert all((ROOT / source).exists() for source in sources)
    ignored = (EXAMPLE / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == sources
    for service in own_services().values():
        context = EXAMPLE / service["build"]["context"]
        assert (context.resolve(), context / service["build"]["dockerfile"]) == (
            ROOT,
            context / "example_project/Dockerfile",
        )


def waiting_workers(broker: str) -> int:
    """Return the number of workers that wait for a message."""
    with redis.Redis.from_url(broker) as client:
        clients = client.client_list()
    return sum(client["db"] == str(REDIS_DATABASE) and client["cmd"] == "brpop" for client in clients)


@pytest.mark.slow
def test_the_commands_share_the_backfill_between_two_workers(
    tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    require_postgres()
    require_redis()
    broker = re.sub(r"/\d+$", f"/{REDIS_DATABASE}", REDIS_URL)
    with django_db_blocker.unblock(), database_on("postgresql", tmp_path) as database:
        containers = Containers(
            copy_of_example(tmp_path, flight_count=FLIGHT_COUNT),
            {
                "FLIGHTDESK_POSTGRES": f"{database['HOST']}:{database['PORT']}",
                "FLIGHTDESK_POSTGRES_NAME": database["NAME"],
                "FLIGHTDESK_POSTGRES_USER": database["USER"],
                "FLIGHTDESK_POSTGRES_PASSWORD": database["PASSWORD"],
                "FLIGHTDESK_BROKER": broker,
            },
            directory=tmp_path,
        )
        try:
            containers.run("daily")
            with containers.started("worker", number=1), containers.started("worker", number=2):
                # Else one of them may do all of it before the other has started.
                wait_until(lambda: waiting_workers(broker) == 2, what="both workers wait for calls")
                containers.run("backfill")
            shown = containers.run("backfill", "python", "manage.py", "show_calls", "--all", "--format", "json")
        finally:
            with redis.Redis.from_url(broker) as client:
                client.flushdb()
    calls = json.loads(shown)
    assert calls["queues"] == {"heavy": {"queued": 0, "running": 0, "dead": 0, "done": 8, "cancelled": 0}}
    assert len({call["pid"] for call in calls["calls"]}) == 2
