"""A bound command to its result: attempts with pauses between them, until one is good or none is left."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from django_runbook.document.runbook import Retry
from django_runbook.process.deadlines import Halt, Limit
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.runner import policy

# Of what is captured: whoever goes through a value, expressions and the journal among them, may call itself so often.
MAX_DEPTH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The last attempt, how many there were, and the value that the step gives to expressions."""

    result: AttemptResult
    attempt_count: int
    output: object = None


def attempt(  # noqa: PLR0913 - all that ends the attempts, and who is told of them
    once: Callable[[], tuple[AttemptResult, object]],
    *,
    retry: Retry | None,
    halt: Halt,
    limit: Limit,
    is_lost: Callable[[], bool],
    on_started: Callable[[int], None],
    on_failed: Callable[[int, float, Failure], None],
    rng: random.Random,
) -> Outcome:
    """Call ``once`` until it succeeds, at most as often as ``retry`` says; a stop or the limit ends the waiting.

    ``is_lost`` says that what happens cannot be recorded any more: then there is no other attempt.
    """
    count = 0
    while True:
        count += 1
        result, output = once()
        failure = result.failure
        is_last = retry is None or count >= retry.attempts
        is_failed = result.status in {StepStatus.FAILED, StepStatus.TIMED_OUT}
        if not is_failed or failure is None or is_last or halt.is_requested or limit.is_over or is_lost():
            return Outcome(result=result, attempt_count=count, output=output)
        assert retry is not None
        if not policy.is_retried(failure, retry):
            return Outcome(result=result, attempt_count=count, output=output)
        delay = policy.delay_seconds(retry, attempt=count, rng=rng)
        on_failed(count, delay, failure)
        if is_lost():
            return Outcome(result=result, attempt_count=count, output=output)
        if halt.wait(min(delay, limit.remaining_seconds)):
            message = f"{halt.reason} before attempt {count + 1}; attempt {count}: {failure.message}"
            interrupted = replace(result, status=StepStatus.INTERRUPTED, failure=replace(failure, message=message))
            return Outcome(result=interrupted, attempt_count=count, output=output)
        if limit.is_over:
            return Outcome(result=result, attempt_count=count, output=output)
        on_started(count + 1)
        if is_lost():
            return Outcome(result=result, attempt_count=count, output=output)


def read_output(stdout: str, capture: str | None) -> Any:
    """What ``capture`` makes of a command's output; raises ValueError, and RecursionError where it is too deep."""
    match capture:
        case "text":
            return stdout.rstrip("\r\n")
        case "lines":
            return stdout.splitlines()
        case "json":
            value = json.loads(stdout)
            if _is_deeper(value, MAX_DEPTH):
                raise RecursionError
            return value
    return None


def _is_deeper(value: object, depth: int) -> bool:
    """Whether lists and mappings stand in each other more often than this; by levels, which nothing is too deep for."""
    level: list[Any] = [value]
    for _ in range(depth + 1):
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        if not inside:
            return False
        level = list(itertools.chain.from_iterable(inside))
    return True
