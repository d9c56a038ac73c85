"""Decides what a failure leads to: whether the step is retried and when, and whether the failure is ignored."""

from __future__ import annotations

import random

from django_runbook.binding.exception_names import qualified
from django_runbook.document.runbook import Retry
from django_runbook.results import Failure

UNTIL_NOT_MET = "UntilNotMet"
# What the message of a step begins with whose own ``until`` is not true; those of the groups around it name the step.
UNTIL = "until: "


def matches(failure: Failure, errors: tuple[str | int, ...]) -> bool:
    """Return whether a list of exit codes and exception names contains this failure; a name includes subclasses."""
    return any(
        error == failure.exit_code
        if isinstance(error, int)
        else error in failure.error_names or qualified(error) in failure.error_names
        for error in errors
    )


def is_ignored(failure: Failure, policy: bool | tuple[str | int, ...]) -> bool:  # noqa: FBT001 - the key's own form
    """Return whether ``continue_on_error`` ignores this failure."""
    return policy if isinstance(policy, bool) else matches(failure, policy)


def is_retried(failure: Failure, retry: Retry) -> bool:
    """Return whether ``retry`` repeats a step after this failure; its ``errors`` do not apply to ``until``."""
    return failure.error_type == UNTIL_NOT_MET or retry.errors is None or matches(failure, retry.errors)


def delay_seconds(retry: Retry, *, attempt: int, rng: random.Random) -> float:
    """Return how long to wait after this attempt (the first is 1): exponential, at most ``max_delay``.

    With jitter, the delay is shortened by up to a half, so that runs that failed together do not retry together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, "equal jitter").
    """
    # The exponent is bounded: a float overflows at 2 ** 1024.
    delay = min(retry.max_delay_seconds, retry.delay_seconds * retry.backoff ** min(attempt - 1, 64))
    return delay * rng.uniform(0.5, 1.0) if retry.jitter else delay
