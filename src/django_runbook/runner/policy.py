"""What a failure means: whether it is tried again and when, and whether it is ignored."""

from __future__ import annotations

import random

from django_runbook.binding.exception_names import qualified
from django_runbook.document.runbook import Retry
from django_runbook.results import Failure

UNTIL_NOT_MET = "UntilNotMet"
# What the message of a step begins with whose own ``until`` is not true; those of the groups around it name the step.
UNTIL = "until: "


def matches(failure: Failure, errors: tuple[str | int, ...]) -> bool:
    """Whether a list of exit codes and exception names holds this failure; a name holds its subclasses too."""
    return any(
        error == failure.exit_code
        if isinstance(error, int)
        else error in failure.error_names or qualified(error) in failure.error_names
        for error in errors
    )


def is_ignored(failure: Failure, policy: bool | tuple[str | int, ...]) -> bool:  # noqa: FBT001 - the key's own form
    """Whether ``continue_on_error`` allows this failure."""
    return policy if isinstance(policy, bool) else matches(failure, policy)


def is_retried(failure: Failure, retry: Retry) -> bool:
    """Whether another attempt could help, by the ``errors`` of ``retry``; what waits for ``until`` is no error."""
    return failure.error_type == UNTIL_NOT_MET or retry.errors is None or matches(failure, retry.errors)


def delay_seconds(retry: Retry, *, attempt: int, rng: random.Random) -> float:
    """How long to wait after this attempt (the first is 1): exponential, at most ``max_delay``.

    With jitter a random half of it is left out, so that those who failed together do not come back together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, "equal jitter").
    """
    # The exponent is bounded: a float overflows at 2 ** 1024.
    delay = min(retry.max_delay_seconds, retry.delay_seconds * retry.backoff ** min(attempt - 1, 64))
    return delay * rng.uniform(0.5, 1.0) if retry.jitter else delay
