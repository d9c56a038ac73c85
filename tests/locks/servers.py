"""Starts servers for one test, each on a free port."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.patience import eventually, scaled


class Server:
    """Runs a program that listens on a port, and can be restarted there."""

    def __init__(self, command: Sequence[str], *, port: int, directory: Path) -> None:
        self.port = port
        self._command = command
        self._log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        assert eventually(self._listens), self._log.read_text()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=scaled(1)):
            return True
        return False


@contextmanager
def running(command: Sequence[str], *, port: int, directory: Path) -> Iterator[Server]:
    """Run the server inside the block."""
    server = Server(command, port=port, directory=directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
