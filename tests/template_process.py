"""Sets Django up once, and forks a process for each program that it receives.

``python -m tests.template_process SOCKET`` serves one process of the tests until that one ends. It answers with the
pid of each process that it forks, and later with its exit status.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import django
from asgiref.local import Local
from django.apps import apps
from django.conf import Settings, settings
from django.core.cache import caches
from django.core.management import call_command, execute_from_command_line
from django.db import connections

# The environment of a process, as the system shows it, is that of the template: the mark is written into its place.
MARK: Final = "MARK_OF_TEST"
MARK_LENGTH: Final = 64
_STREAM_COUNT: Final = 3


def main(channel: socket.socket, scratch: Path) -> None:
    """Serve until the tests end; each forked process returns when its work is done, and ends like an interpreter."""
    django.setup()
    _import_all(scratch)
    wake_up, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(woken)
    _send(channel, {"is_ready": True})
    sources: list[Any] = [channel, wake_up]
    data = b""
    while True:
        ready, _, _ = select.select(sources, [], [])
        if wake_up in ready:
            os.read(wake_up, 4096)
            _report_ends(channel)
        if channel not in ready:
            continue
        received, descriptors, _, _ = socket.recv_fds(channel, 1 << 20, _STREAM_COUNT)
        if not received:
            return
        data += received
        if len(descriptors) == _STREAM_COUNT:
            streams = descriptors
        if not data.endswith(b"\n"):
            continue
        request, data = json.loads(data), b""
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            for number in (wake_up, woken):
                os.close(number)
            channel.close()
            _take_group(request, 0)
            _become(request, streams)
            if request["code"]:
                exec(request["code"], {"__name__": "__main__"})
            else:
                execute_from_command_line(request["argv"])
            return
        # Here too: the tests may signal the group before the process has made it.
        _take_group(request, pid)
        for number in streams:
            os.close(number)
        _send(channel, {"pid": pid})


def _import_all(scratch: Path) -> None:
    """Import what a run needs, on any of the databases."""
    for name in ("tests.mariadb_settings", "django.db.backends.mysql.base", "django.db.backends.postgresql.base"):
        import_module(name)
    import_module("redis")
    path = scratch / "warm.yml"
    path.write_text("steps: [{command: noop, isolate: true}]\n")
    with (scratch / "warm").open("w") as stream:
        call_command("run_runbook", str(path), plan=True, stdout=stream)
        call_command("run_runbook", str(path), format="jsonl", no_journal=True, stdout=stream)
    for name in getattr(settings, "TEMPLATE_IMPORTS", ()):
        import_module(name)
    # Their sockets cannot be shared.
    connections.close_all()
    # A collection in a child would copy what it shares with this process.
    gc.collect()
    # Nor does it free them when it ends, which would take most of its time.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(gc.get_objects()))
    gc.freeze()


def _report_ends(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _send(channel, {"ended": pid, "status": status})


def _send(channel: socket.socket, answer: dict[str, Any]) -> None:
    channel.sendall(json.dumps(answer).encode() + b"\n")


def _take_group(request: dict[str, Any], pid: int) -> None:
    """Give a forked process, or this one, a process group of its own, if it is requested."""
    with contextlib.suppress(PermissionError, ProcessLookupError):
        if request["has_group"]:
            os.setpgid(pid, 0)


def _become(request: dict[str, Any], streams: Sequence[int]) -> None:
    """Make this process what a fresh interpreter with the request's command line would be."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    # `python -m` finds modules there.
    sys.path[0] = request["cwd"]
    os.environ.clear()
    os.environ.update(request["environ"])
    _show_mark(os.environ.get(MARK, ""))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The process that runs the tests may ignore some, as nohup does, and a run respects that.
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    sys.argv[:] = request["argv"]
    sys.orig_argv[:] = [sys.executable, "-m", "django", *request["argv"][1:]]
    _show_script(None if request["code"] else find_spec("django.__main__"))
    _read_settings()


def _show_script(spec: ModuleSpec | None) -> None:
    """Let the main module be this one, or none that has a file."""
    main = vars(sys.modules["__main__"])
    main.update(__spec__=spec, __file__=None if spec is None else spec.origin)


def _show_mark(mark: str) -> None:
    if _MARK_ADDRESS:
        ctypes.memmove(_MARK_ADDRESS, mark.ljust(MARK_LENGTH).encode()[:MARK_LENGTH], MARK_LENGTH)


def _mark_address() -> int | None:
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_void_p
    address: int | None = library.getenv(MARK.encode())
    return address


def _read_settings() -> None:
    """Read the settings again, which may depend on the environment."""
    for name in [
        name for name in sys.modules if name.startswith(("tests.", "benchmarks.")) and name.endswith("settings")
    ]:
        del sys.modules[name]
    settings._wrapped = Settings(os.environ["DJANGO_SETTINGS_MODULE"])
    modules = [sys.modules[name] for name in ("django.tasks", "django_tasks") if name in sys.modules]
    for handler in (connections, caches, *(module.task_backends for module in modules)):
        # It keeps its settings in both.
        vars(handler).pop("settings", None)
        vars(handler).update(_settings=None, _connections=Local(handler.thread_critical))
    for app in apps.get_app_configs():
        if app.name.startswith("tests."):
            # It makes what depends on them again.
            app.ready()


# Before anything changes the environment.
_MARK_ADDRESS: Final = _mark_address()

if __name__ == "__main__":
    if os.fork():
        # Nobody's child: the tests look at the children of their process.
        os._exit(0)
    main(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
