"""Checks the private APIs of Django and of drivers that running commands needs."""

from __future__ import annotations

import io
import socket
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, OutputWrapper
from django.db import connections
from django.db.utils import load_backend
from django.test import override_settings

from django_runbook.process import django_internals
from tests.postgres_settings import POSTGRES
from tests.services import require_postgres


class Plain(BaseCommand):
    is_owner = True

    def handle(self, *args: Any, **options: Any) -> None:
        self.is_owner = django_internals.is_called_from_command_line(self)


def test_the_caller_of_a_command_is_known() -> None:
    command = Plain()
    call_command(command)
    assert not command.is_owner
    command.run_from_argv(["manage.py", "plain", "--skip-checks"])
    assert command.is_owner


def test_the_stream_of_an_output_wrapper_is_found_and_replaced() -> None:
    stream, other = io.StringIO(), io.StringIO()
    wrapper = OutputWrapper(stream)
    assert django_internals.raw_stream(wrapper) is stream
    assert django_internals.raw_stream(stream) is stream
    assert django_internals.raw_stream(None) is None
    django_internals.replace_raw_stream(wrapper, other)
    wrapper.write("text")
    assert (stream.getvalue(), other.getvalue()) == ("", "text\n")


def test_a_test_run_is_detected() -> None:
    assert django_internals.is_django_test_run()


def test_the_module_of_settings_is_found_unless_they_were_changed() -> None:
    module = django_internals.settings_module(settings)
    assert module is not None
    assert module.startswith("tests.")
    with override_settings(DEBUG=True):
        assert django_internals.settings_module(settings) is None


@pytest.mark.slow
def test_autocommit_is_switched_on_for_a_connection_outside_of_django() -> None:
    require_postgres()
    wrapper = load_backend(POSTGRES["ENGINE"]).DatabaseWrapper(
        # The options of the default database are those of SQLite.
        {**connections["default"].settings_dict, "OPTIONS": {}, **POSTGRES},
        "x",
    )
    wrapper.connection = wrapper.get_new_connection(wrapper.get_connection_params())
    try:
        wrapper.connection.autocommit = False
        django_internals.switch_autocommit_on(wrapper)
        assert wrapper.connection.autocommit
        assert django_internals.descriptor_of(wrapper.connection) == wrapper.connection.fileno()
    finally:
        wrapper.connection.close()


def test_the_descriptor_of_pymysql_is_that_of_its_socket() -> None:
    class Connection:
        """Has no fileno(), like a connection of PyMySQL."""

        def __init__(self, end: socket.socket | None) -> None:
            self._sock = end

    with socket.socket() as end:
        assert django_internals.descriptor_of(Connection(end)) == end.fileno()
    assert django_internals.descriptor_of(Connection(None)) is None


def test_pymysql_still_has_its_socket() -> None:
    connection = pytest.importorskip("pymysql").connections.Connection(defer_connect=True)
    assert connection._sock is None
    assert not hasattr(connection, "fileno")
