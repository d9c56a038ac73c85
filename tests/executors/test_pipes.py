"""Reads lines from pipes: complete, in order and masked, however the bytes arrive."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from django_runbook.executors.pipes import PipeReader
from django_runbook.process.masking import masker

SECRET = "hunter-2000"


class Pipe:
    """Reads each piece immediately after it was written."""

    def __init__(self) -> None:
        read, self._write = os.pipe()
        self.lines: list[str] = []
        self.reader = PipeReader(
            read, "stdout", write_line=lambda stream, line: self.lines.append(line), mask=masker([SECRET])
        )

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._write, data[: 32 * 1024]) :]
            assert self.reader.read()

    def end(self) -> list[str]:
        os.close(self._write)
        while self.reader.read():
            pass
        self.reader.finish()
        return self.lines


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    one = Pipe()
    yield one
    one.reader.close()


def test_lines_are_passed_on_as_soon_as_they_are_complete(pipe: Pipe) -> None:
    pipe.write(b"first\nsec")
    assert pipe.lines == ["first"]
    pipe.write(b"ond\n")
    assert pipe.lines == ["first", "second"]
    assert pipe.end() == ["first", "second"]


def test_nothing_to_read_is_not_the_end(pipe: Pipe) -> None:
    assert pipe.reader.read()
    pipe.write(b"no newline")
    assert pipe.end() == ["no newline"]


def test_a_character_in_two_pieces_is_one_character(pipe: Pipe) -> None:
    for byte in "é€\n".encode():
        pipe.write(bytes([byte]))
    pipe.write(b"\xe2\x82")
    assert pipe.end() == ["é€", "\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize("cut", range(1, len(SECRET)))
def test_a_long_line_is_never_split_inside_a_secret(pipe: Pipe, cut: int) -> None:
    pipe.write(b"z" * (128 * 1024 - cut))
    pipe.write(SECRET[:cut].encode())
    pipe.write(SECRET[cut:].encode() + b"z" * 200_000)
    lines = pipe.end()
    assert len(lines) > 1
    assert "".join(lines) == f"{'z' * (128 * 1024 - cut)}***{'z' * 200_000}"


def test_a_secret_that_comes_in_pieces_is_masked(pipe: Pipe) -> None:
    pipe.write(f"<{SECRET[:3]}".encode())
    pipe.write(f"{SECRET[3:]}>\n".encode())
    assert pipe.end() == ["<***>"]
