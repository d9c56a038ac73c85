"""Splits output into lines, and masks secrets in each of their forms."""

from __future__ import annotations

import json
import logging
import sys
from random import Random
from urllib.parse import quote

import pytest

from django_runbook.document.runbook import Retry
from django_runbook.process.masking import masker
from django_runbook.process.streams import captured, clean_line
from django_runbook.runner import policy


def nothing(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("10%\r50%\r100%", "100%"),
        ("ends with\r", "ends with"),
        ("bell\x07 null\x00", "bell null"),
        ("tab\tstays", "tab\tstays"),
        ("right \u202eto left", "right to left"),
        ("c1 \x9b31m", "c1 31m"),
    ],
)
def test_a_line_has_no_control_characters(raw: str, line: str) -> None:
    assert clean_line(raw, nothing) == line


def test_writes_become_lines_whatever_their_pieces_are() -> None:
    lines: list[tuple[str, str]] = []
    with captured(write_line=lambda stream, line: lines.append((stream, line)), mask=nothing, is_kept=True) as (out, _):
        sys.stdout.write("on")
        print("e", "two", sep="\n", end="")
        sys.stderr.write("error\n")
        sys.stdout.buffer.write("ü\n".encode()[:1])
        sys.stdout.buffer.write("ü\n".encode()[1:])
        sys.stdout.write("last")
    assert lines == [("stdout", "one"), ("stderr", "error"), ("stdout", "twoü"), ("stdout", "last")]
    assert out.kept == "one\ntwoü\nlast"


def test_a_logging_handler_is_redirected_and_restored() -> None:
    handler = logging.StreamHandler(sys.stderr)
    before = handler.stream
    lines: list[str] = []
    with captured(write_line=lambda stream, line: lines.append(line), mask=nothing, is_kept=False):
        handler.emit(logging.LogRecord("x", logging.INFO, "f", 1, "late", (), None))
    assert lines == ["late"]
    assert handler.stream is before


def test_a_late_thread_does_not_write_into_the_next_step() -> None:
    lines: list[str] = []
    with captured(write_line=lambda stream, line: lines.append(line), mask=nothing, is_kept=False):
        stream = sys.stdout
    stream.write("too late\n")
    assert lines == []


SECRET = 'pa ss"wörd/&\\'


@pytest.mark.parametrize(
    "form", [SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1], quote(SECRET), quote(SECRET, safe="")]
)
def test_each_form_of_a_secret_is_masked(form: str) -> None:
    assert masker([SECRET])(f"<{form}>") == "<***>"


def test_lines_and_json_leaves_of_a_secret_are_masked_and_short_parts_are_not() -> None:
    mask = masker(["first line\nab\nsecond line", '{"token": ["leaf-value", "xy"], "n": 12345}'])
    assert mask("first line, ab, second line, leaf-value, xy") == "***, ab, ***, ***, xy"
    assert masker([])("nothing to hide") == "nothing to hide"


def test_the_longest_secret_wins() -> None:
    assert masker(["abcd", "abcdefgh"])("abcdefgh abcd") == "*** ***"


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(attempts=9, jitter=False), [1, 2, 4, 8, 16, 32, 60, 60]),
        (Retry(attempts=4, jitter=False, delay_seconds=10, backoff=1), [10, 10, 10]),
        (Retry(attempts=4, jitter=False, delay_seconds=2, backoff=3, max_delay_seconds=7), [2, 6, 7]),
    ],
)
def test_delays_grow_up_to_their_limit(retry: Retry, delays: list[float]) -> None:
    found = [policy.delay_seconds(retry, attempt=number, rng=Random(1)) for number in range(1, len(delays) + 1)]
    assert found == delays


def test_jitter_subtracts_half_at_most() -> None:
    retry = Retry(attempts=2000, delay_seconds=10, backoff=1)
    delays = {policy.delay_seconds(retry, attempt=number, rng=Random(number)) for number in range(1, 2000)}
    assert 5 <= min(delays) < 5.2
    assert 9.8 < max(delays) <= 10
