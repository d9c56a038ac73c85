"""Sends messages over a pair of sockets: completely or not at all, and only over our own descriptor."""

from __future__ import annotations

import os
import struct
import threading
from _socket import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_runbook.executors.channel import Channel, socket_pair
from django_runbook.executors.messages import StartFailed, StopRequest


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel, socket]]:
    one, other = socket_pair()
    first, second = Channel(one), Channel(other)
    yield first, second, one
    first.close()
    second.close()


Pair = tuple[Channel, Channel, socket]


def test_messages_arrive_in_order_even_long_ones(pair: Pair) -> None:
    first, second, _ = pair
    sent = [StartFailed(reason="x" * length) for length in (0, 1, 3_000_000, 2)]

    def send_all() -> None:
        for message in sent:
            first.send(message)

    thread = threading.Thread(target=send_all)
    thread.start()
    assert [second.receive() for _ in sent] == sent
    thread.join()


def test_half_a_message_does_not_block(pair: Pair) -> None:
    _, second, raw = pair
    raw.send(struct.pack("!Q", 100) + b"half")
    assert list(second.receive_waiting()) == []
    assert list(second.receive_waiting()) == []


def test_other_data_is_ignored(pair: Pair) -> None:
    first, second, raw = pair
    raw.send(struct.pack("!Q", 4) + b"oops")
    first.send(StopRequest(number=15))
    assert list(second.receive_waiting()) == [StopRequest(number=15)]


def test_the_end_follows_the_last_message(pair: Pair) -> None:
    first, second, _ = pair
    first.send(StopRequest(number=15))
    first.close()
    assert second.receive() == StopRequest(number=15)
    with pytest.raises(EOFError):
        second.receive()


def test_sending_to_a_closed_end_raises(pair: Pair) -> None:
    first, second, _ = pair
    second.close()
    with pytest.raises(OSError, match="Broken pipe"):
        first.send(StopRequest(number=15))


def test_nothing_is_written_to_a_file_with_our_former_descriptor(pair: Pair, tmp_path: Path) -> None:
    first, _, raw = pair
    path = tmp_path / "mine"
    with path.open("wb") as file:
        os.dup2(file.fileno(), raw.fileno())
        with pytest.raises(OSError, match="closed by its command"):
            first.send(StopRequest(number=15))
    assert not first.is_ours
    assert path.read_bytes() == b""
