"""Connects a process to its database, so that a test can make the database unavailable."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

_CHUNK = 65536


class Proxy:
    """Forwards connections to a server until it is cut."""

    def __init__(self, server: tuple[str, int], *, port: int = 0) -> None:
        self._server = server
        self._guard = threading.Lock()
        self._is_cut = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break all connections and refuse new ones, as a restarting server does."""
        with self._guard:
            self._is_cut = True
            self._break_all()

    def restore(self) -> None:
        with self._guard:
            self._is_cut = False

    def close(self) -> None:
        self.cut()
        # Wakes the accepting thread.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _break_all(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs = []

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._guard:
                if self._is_cut:
                    client.close()
                    continue
                server = socket.create_connection(self._server)
                self._pairs.append((client, server))
            threading.Thread(target=_forward, args=(client, server), daemon=True).start()


def _forward(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    with client, server, selectors.DefaultSelector() as selector:
        for one in other:
            selector.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                end = key.fileobj
                assert isinstance(end, socket.socket)
                try:
                    data = end.recv(_CHUNK)
                    if not data:
                        return
                    other[end].sendall(data)
                except OSError:
                    return


@contextlib.contextmanager
def proxied(host: str, port: int) -> Iterator[Proxy]:
    """Open a proxy to this server."""
    proxy = Proxy((host, port))
    try:
        yield proxy
    finally:
        proxy.close()
