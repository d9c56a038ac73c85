"""Changes all the state of its process and of its database session that can be listed."""

from __future__ import annotations

import gc
import locale
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection
from django.utils import timezone, translation

SESSIONS = {
    "sqlite": (
        "PRAGMA foreign_keys = OFF",
        "PRAGMA cache_size = 17",
        "PRAGMA case_sensitive_like = ON",
        "CREATE TEMPORARY TABLE left_behind (number integer)",
        "ATTACH DATABASE ':memory:' AS attached",
    ),
    "postgresql": (
        "SET search_path TO pg_catalog",
        "SET statement_timeout = '17s'",
        "SET lock_timeout = '17s'",
        "SET TIME ZONE 'Asia/Tokyo'",
        "SET application_name = 'left behind'",
        "SET session_replication_role = replica",
        "CREATE TEMPORARY TABLE left_behind (number integer)",
        "SELECT pg_advisory_lock(4711)",
        "PREPARE left_behind AS SELECT 1",
        "LISTEN left_behind",
        # Last: nothing can be made in a session that is read-only.
        "SET default_transaction_read_only = on",
    ),
    "mysql": (
        "SET foreign_key_checks = 0",
        "SET unique_checks = 0",
        "SET sql_mode = ''",
        "SET time_zone = '+09:00'",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET @left_behind = 17",
        "SET SESSION lock_wait_timeout = 17",
        "CREATE TEMPORARY TABLE left_behind (number integer)",
        "SELECT GET_LOCK('left behind', 0)",
    ),
}


class Command(BaseCommand):
    help = "Change the state of the process and of the session."

    def handle(self, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            for statement in SESSIONS[connection.vendor]:
                cursor.execute(statement)
        connection.tenant = "acme"  # type: ignore[attr-defined]  # as django-tenants does
        connection.execute_wrappers.append(_passing)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 3600)
        os.environ["LEFT_BEHIND"] = "x"
        os.environ["TZ"] = "Asia/Tokyo"
        time.tzset()
        os.umask(0o077)
        os.chdir("/")
        locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) != "C.UTF-8" else "C")
        logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
        logging.getLogger().setLevel(logging.DEBUG)
        logging.getLogger("left.behind").addHandler(logging.StreamHandler())
        logging.disable(logging.ERROR)
        warnings.simplefilter("error")
        socket.setdefaulttimeout(17)
        sys.setrecursionlimit(5017)
        sys.path.insert(0, "/left/behind")
        gc.disable()
        translation.activate("de")
        timezone.activate("Asia/Tokyo")
        threading.excepthook = print


def _passing(execute: Any, *args: Any) -> Any:
    return execute(*args)
