"""Converts unusual exceptions of commands into failures."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from django_runbook.binding import exception_names
from django_runbook.exceptions import StepError, WorkerDied
from django_runbook.executors import calling
from django_runbook.process.failures import failure_of, named_failure
from django_runbook.runner import policy


def _fail(_: object) -> str:
    raise ZeroDivisionError


# Without a module name, as defined by code in exec().
NAMELESS = eval("type('Odd', (Exception,), {})", {})
BROKEN: dict[str, tuple[BaseException, str]] = {
    "no module": (NAMELESS("what was said"), "what was said"),
    "module is no text": (type("Odd", (Exception,), {"__module__": 5})("what was said"), "what was said"),
    "str fails": (type("Odd", (Exception,), {"__str__": _fail})(), "its message cannot be shown: ZeroDivisionError"),
    "no module and str fails": (
        eval("type('Odd', (Exception,), {'__str__': fail})()", {"fail": _fail}),
        "its message cannot be shown",
    ),
    "its own cause": (ValueError("what was said"), "what was said"),
}
BROKEN["its own cause"][0].__cause__ = BROKEN["its own cause"][0]


@pytest.mark.parametrize(("error", "message"), BROKEN.values(), ids=BROKEN)
def test_an_exception_that_python_cannot_format_becomes_a_failure(error: BaseException, message: str) -> None:
    with pytest.raises(type(error)) as raised:
        raise error
    failure = failure_of(raised.value, str)
    assert failure.error_type == type(error).__name__
    assert message in failure.message
    assert "in test_an_exception_that_python_cannot_format_becomes_a_failure" in failure.traceback
    assert failure.error_type in failure.error_names


def test_an_error_without_a_return_code_becomes_a_failure() -> None:
    class Partial(CommandError):
        def __init__(self) -> None:
            pass

    result = calling.result_of_error(Partial(), str)
    assert result.failure is not None
    assert result.failure.exit_code == 1


@pytest.mark.parametrize("kind", StepError.__subclasses__())
def test_a_list_of_errors_can_name_a_failure_without_an_exception(kind: type[StepError]) -> None:
    failure = named_failure(kind, "why")
    name = kind.__name__
    assert (failure.error_type, failure.exit_code, exception_names.find(name)) == (name, 1, kind)
    for listed in (name, f"django_runbook.exceptions.{name}", "StepError"):
        assert policy.matches(failure, (listed,))
    assert policy.matches(failure, ("WorkerDied",)) == (kind is WorkerDied)
