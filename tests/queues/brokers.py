"""Starts brokers that a test may kill: their ports, folders and process groups are its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Protocol

import amqp
import redis

from tests.journal.proxy import Proxy
from tests.patience import PATIENCE_SECONDS, scaled, wait_until
from tests.services import AMQP_ADDRESS, require_program

_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class Broker(Protocol):
    """Starts and kills a broker; ``url`` stays the same."""

    @property
    def url(self) -> str: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def waiting_count(self, queue: str, *, is_received_counted: bool) -> int:
        """Return how many messages wait, also those that a worker has received and not acknowledged, if requested."""


class RedisBroker:
    """Loses all messages when it is killed."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        words = [require_program("redis-server"), "--port", str(self._port), "--save", "", "--dir", str(self._folder)]
        self._process = _started(words, self._folder / "redis.out")

    def kill(self) -> None:
        _kill(self._process)
        self._process = None

    def waiting_count(self, queue: str, *, is_received_counted: bool) -> int:
        with redis.Redis.from_url(self.url) as client:
            return int(client.llen(queue)) + (int(client.hlen("unacked")) if is_received_counted else 0)


class RabbitBroker:
    """Keeps its messages when it is killed; its start takes ten seconds."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._inner_port = free_port(self._port + 1)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        (folder / "rabbit.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self._port}\n")
        (folder / "plugins").write_text("[].")

    def start(self) -> None:
        variables = {
            "HOME": self._folder,
            "RABBITMQ_NODENAME": f"killed{self._port}@localhost",
            "RABBITMQ_DIST_PORT": self._inner_port,
            "RABBITMQ_CONFIG_FILE": self._folder / "rabbit.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": self._folder / "none",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_MNESIA_BASE": self._folder / "mnesia",
            "RABBITMQ_LOG_BASE": self._folder / "log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._folder / "plugins",
            "RABBITMQ_PID_FILE": self._folder / "pid",
        }
        environ = os.environ | {name: str(value) for name, value in variables.items()}
        self._process = _started([str(_RABBITMQ)], self._folder / "rabbit.out", environ=environ)

    def kill(self) -> None:
        _kill(self._process)
        self._process = None

    def waiting_count(self, queue: str, *, is_received_counted: bool) -> int:
        # Those of a lost worker wait again as soon as its connection is closed.
        return _declared_count(f"127.0.0.1:{self._port}", queue)


class ProxiedRabbitBroker:
    """Connects to the common server of all tests; a kill breaks and refuses all connections."""

    def __init__(self, folder: Path) -> None:
        host, _, port = AMQP_ADDRESS.partition(":")
        self._server = host, int(port)
        self._port = free_port()
        self._pid = 0
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def start(self) -> None:
        self._pid = os.fork()
        if not self._pid:
            os.setpgid(0, 0)
            Proxy(self._server, port=self._port)
            signal.pause()
            os._exit(1)

    def kill(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._pid = 0

    def waiting_count(self, queue: str, *, is_received_counted: bool) -> int:
        # Those of a lost worker wait again as soon as its connection is closed.
        return _declared_count(AMQP_ADDRESS, queue)

    def delete(self, queue: str) -> None:
        with amqp.Connection(AMQP_ADDRESS) as connection, connection.channel() as channel:
            channel.queue_delete(queue)
            channel.exchange_delete(queue)


def new_broker(engine: str, folder: Path, *, is_own: bool) -> Broker:
    """Return the broker for an engine; only ``is_own`` starts a server of RabbitMQ, which takes a while."""
    folder.mkdir(exist_ok=True)
    if engine == "redis":
        return RedisBroker(folder)
    return RabbitBroker(folder) if is_own and _RABBITMQ.exists() else ProxiedRabbitBroker(folder)


def wait_for_port(url: str) -> None:
    """Wait until a broker accepts connections."""
    port = int(url.rsplit(":", maxsplit=1)[-1].partition("/")[0])

    def is_there() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=scaled(1)):
            return True
        return False

    wait_until(is_there, what=f"a broker at {url}")


def free_port(first: int = 0) -> int:
    # Below the range from which the system takes the ports of clients, and not where another process begins to search.
    for port in range(first or 20_000 + os.getpid() % 5_000, 30_000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def _declared_count(address: str, queue: str) -> int:
    with amqp.Connection(address) as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).message_count)


def _started(words: list[str], output: Path, *, environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    with output.open("ab") as stream:
        return subprocess.Popen(
            words, env=environ, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, process_group=0
        )


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # The processes of the group end a moment later.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.02)
