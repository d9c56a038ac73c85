"""Connects a run to its database, and can go away: then it closes all connections and refuses new ones."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from typing import Final, NoReturn

AWAY, BACK = signal.SIGUSR1, signal.SIGUSR2
_SLICE_SECONDS: Final = 0.05


class Proxy:
    """Passes bytes between connections to ``port`` and the server, in a process of its own."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.pid = 0
        self._peers: dict[socket.socket, socket.socket] = {}
        self._is_away = False

    def start(self) -> None:
        """Fork the process."""
        self.pid = os.fork()
        if not self.pid:
            self._serve()
        self._listener.close()

    def send(self, number: int) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    def is_away(self) -> bool:
        """Whether connections are refused, and those that were there are closed."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) != 0

    def _serve(self) -> NoReturn:
        try:
            signal.signal(AWAY, lambda number, frame: self._go(is_away=True))
            signal.signal(BACK, lambda number, frame: self._go(is_away=False))
            while True:
                # A signal may have closed what was waited for.
                with contextlib.suppress(OSError, ValueError, KeyError):
                    self._pass_on()
        finally:
            os._exit(1)

    def _pass_on(self) -> None:
        sources = [*self._peers] if self._is_away else [self._listener, *self._peers]
        for source in select.select(sources, [], [], _SLICE_SECONDS)[0]:
            if source is self._listener:
                client, server = source.accept()[0], socket.create_connection(self._server)
                self._peers |= {client: server, server: client}
            elif source in self._peers:
                self._read(source)

    def _read(self, source: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = source.recv(65536)
        if data:
            self._peers[source].sendall(data)
            return
        peer = self._peers.pop(source)
        del self._peers[peer]
        source.close()
        peer.close()

    def _go(self, *, is_away: bool) -> None:
        if is_away == self._is_away:
            return
        self._is_away = is_away
        if not is_away:
            self._listener.listen()
            return
        for end in self._peers:
            end.close()
        self._peers.clear()
        # Bound, so that the port stays ours, and not listening, so that connections are refused.
        self._listener.close()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
