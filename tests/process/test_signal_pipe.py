"""Reads signals from pipes that commands may close or replace."""

from __future__ import annotations

import os

from django_runbook.process.signal_pipe import SignalPipe


def test_bytes_are_read_as_they_were_written() -> None:
    pipe = SignalPipe()
    assert pipe.read(0) == b""
    assert pipe.write(b"ab")
    assert pipe.read(0) == b"ab"
    pipe.close()


def test_a_pipe_is_drained_when_its_reader_reads_again() -> None:
    pipe = SignalPipe()
    assert pipe.is_drained
    pipe.write(b"a")
    assert not pipe.is_drained
    pipe.read(0)
    assert not pipe.is_drained
    pipe.read(0)
    assert pipe.is_drained
    pipe.close()
    assert not pipe.is_drained


def test_an_abandoned_pipe_has_ended() -> None:
    pipe = SignalPipe()
    pipe.write(b"a")
    pipe.abandon()
    assert pipe.read(0) is None
    pipe.close()


def test_a_closed_pipe_has_ended_and_is_not_written_to() -> None:
    pipe = SignalPipe()
    pipe.close()
    assert (pipe.is_intact, pipe.write(b"a"), pipe.read(0)) == (False, False, None)


def test_a_file_with_the_number_of_the_pipe_is_not_written_to() -> None:
    pipe = SignalPipe()
    _, write_end = pipe.descriptors
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, write_end)
    os.close(null)
    assert (pipe.is_intact, pipe.write(b"a")) == (False, False)
    pipe.close()
