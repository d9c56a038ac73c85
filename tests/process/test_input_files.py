"""A text in, a descriptor from which it can be read out."""

from __future__ import annotations

import os

import pytest

from django_runbook.process import input_files


@pytest.mark.parametrize("text", ["", "a\nb", "é\r\n", "x" * 3_000_000], ids=["empty", "lines", "other", "large"])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_descriptor_is_at_the_beginning_of_the_text(
    monkeypatch: pytest.MonkeyPatch, text: str, platform: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    descriptor = input_files.open_text(text)
    with os.fdopen(descriptor, "rb") as file:
        assert file.read().decode() == text
        # It has no name, so nobody else can open it.
        assert os.fstat(file.fileno()).st_nlink == 0


def test_no_descriptor_is_left_of_a_text_that_cannot_be_encoded() -> None:
    free = os.dup(0)
    os.close(free)
    with pytest.raises(UnicodeEncodeError):
        input_files.open_text("\ud800")
    again = os.dup(0)
    os.close(again)
    assert again == free
