"""Starts Python programs as forks of a process that has set Django up, which takes a tenth of the time.

The fork is a process like any other: with its own pid, its own streams and the ends of a real interpreter. What an
interpreter reads when it starts, such as PYTHONWARNINGS, is that of the tests; a test of that starts one itself.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import inspect
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import django

from tests.patience import PATIENCE_SECONDS
from tests.template_process import MARK, MARK_LENGTH

# Higher than what tests open.
_CHANNEL_NUMBER: Final = 512
_PIPES: Final = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
_DJANGO: Final = str(Path(django.__file__).parent / "__main__.py")


class _Template:
    """Has one template process: for one set of installed apps."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        # A test may close the descriptor of a driver, which later closes the same number again, whatever has it then.
        self._channel = socket.socket(fileno=fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, _CHANNEL_NUMBER))
        ours.close()
        self._channel.settimeout(PATIENCE_SECONDS)
        self._scratch = tempfile.mkdtemp(prefix="runbook-template-")
        atexit.register(shutil.rmtree, self._scratch, ignore_errors=True)
        with theirs:
            subprocess.run(
                [sys.executable, "-m", "tests.template_process", str(theirs.fileno()), self._scratch],
                env={**environ, MARK: "-" * MARK_LENGTH},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                check=True,
            )
        self._lock = threading.Lock()
        self._data = b""
        self._statuses: dict[int, int] = {}
        assert self._receive() == {"is_ready": True}

    def fork(self, request: Mapping[str, Any], *, streams: Sequence[int]) -> int:
        """Return the pid of a process that does what is requested."""
        with self._lock:
            socket.send_fds(self._channel, [json.dumps(request).encode() + b"\n"], streams)
            while "pid" not in (answer := self._receive()):
                self._statuses[answer["ended"]] = answer["status"]
        return int(answer["pid"])

    def status_of(self, pid: int, *, is_waited_for: bool) -> int | None:
        """Return the exit status of a process, as ``os.waitpid`` does; None while it is alive."""
        with self._lock, contextlib.suppress(BlockingIOError):
            self._channel.settimeout(None if is_waited_for else 0)
            try:
                while pid not in self._statuses:
                    answer = self._receive()
                    self._statuses[answer["ended"]] = answer["status"]
            finally:
                self._channel.settimeout(PATIENCE_SECONDS)
        return self._statuses.get(pid)

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._data:
            received = self._channel.recv(1 << 16)
            assert received, "the template process has ended"
            self._data += received
        line, _, self._data = self._data.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


_templates: dict[str, _Template] = {}


def _template_of(environ: Mapping[str, str]) -> _Template:
    module = environ["DJANGO_SETTINGS_MODULE"]
    if module.startswith("tests.") and module.count(".") == 1:
        # They differ in what each fork reads again, as their databases.
        module = "tests.settings"
    if module not in _templates:
        _templates[module] = _Template({**environ, "DJANGO_SETTINGS_MODULE": module})
    return _templates[module]


class PreparedProcess(subprocess.Popen[str]):
    """Runs ``python -m django WORD…``, or ``python -c CODE``.

    The start and the wait are replaced; all else is what `subprocess.Popen` does. Of its options, the three streams,
    ``cwd``, ``env`` and ``process_group=0`` are there.
    """

    def __init__(self, *words: str, code: str = "", **options: Any) -> None:
        self._template = _template_of(options["env"])
        self._code = code
        super().__init__(["-c"] if code else [_DJANGO, *words], text=True, **options)

    def _execute_child(self, *arguments: Any) -> None:
        signature = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]  # private: the stubs leave it out
        given = signature.bind(self, *arguments).arguments
        streams = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        assert -1 not in streams, "each stream must be given"
        request = {
            "argv": given["args"],
            "code": self._code,
            "cwd": str(given["cwd"] or Path.cwd()),
            "environ": dict(given["env"]),
            "has_group": given["process_group"] == 0,
        }
        # As the replaced method does: what watches for processes sees this one too.
        sys.audit("subprocess.Popen", given["executable"], given["args"], given["cwd"], given["env"])
        self.pid = self._template.fork(request, streams=streams)
        self._child_created = True
        self._close_pipe_fds(*(given[name] for name in _PIPES))  # type: ignore[attr-defined]  # private: the stubs leave it out

    def _internal_poll(self, _deadstate: int | None = None, **more: Any) -> int | None:
        if self.returncode is None:
            self._note(self._template.status_of(self.pid, is_waited_for=False))
        return self.returncode

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        status = self._template.status_of(self.pid, is_waited_for=not wait_flags & os.WNOHANG)
        return (0, 0) if status is None else (self.pid, status)

    def _note(self, status: int | None) -> None:
        if status is not None:
            self.returncode = os.waitstatus_to_exitcode(status)
