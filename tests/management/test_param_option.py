from __future__ import annotations

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.management.param_option import parse_params


def test_values_are_split_at_the_first_sign() -> None:
    assert parse_params(["day=2013-01-01", "where=a=b", "empty="]) == {"day": "2013-01-01", "where": "a=b", "empty": ""}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["day"], "value number 1 is not NAME=VALUE"),
        (["a=1", "=hunter22"], "value number 2 is not NAME=VALUE"),
        (["a=1", "a=hunter22"], "value number 2 sets a parameter that is already set"),
    ],
)
def test_an_invalid_value_is_refused_without_being_quoted(texts: list[str], message: str) -> None:
    with pytest.raises(InvalidUsage) as caught:
        parse_params(texts)
    assert message in str(caught.value)
    assert "hunter22" not in str(caught.value)
