"""Output in, values out."""

from __future__ import annotations

import pytest

from django_runbook.executors.capturing import read_output


@pytest.mark.parametrize("text", ['{"a": 1}', '\ufeff{"a": 1}', '\ufeff \n{"a": 1}\n'])
def test_json_may_begin_with_a_byte_order_mark(text: str) -> None:
    assert read_output(text, "json") == {"a": 1}


@pytest.mark.parametrize("text", ['\ufeff\ufeff{"a": 1}', '{"a": 1}\ufeff', "\ufeff"])
def test_a_byte_order_mark_elsewhere_is_not_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"BOM|Extra data|Expecting value"):
        read_output(text, "json")


def test_text_keeps_its_byte_order_mark() -> None:
    assert read_output("\ufeffa\n", "text") == "\ufeffa"
