"""Defines the errors that end a run, each with its exit code."""

from __future__ import annotations

from django_runbook.results import ExitCode


class RunbookError(Exception):
    """Reports an internal error, unless a subclass says otherwise: the base of all our errors."""

    exit_code: ExitCode = ExitCode.INTERNAL_ERROR


class InvalidRunbook(RunbookError):
    """Reports that the file cannot be run; nothing was run."""

    exit_code = ExitCode.INVALID


class InvalidUsage(RunbookError):
    """Reports an invalid parameter, secret, selection or setting; nothing was run."""

    exit_code = ExitCode.INVALID


class LockHeld(RunbookError):
    """Reports that another run holds the lock, and since when; nothing was run."""

    exit_code = ExitCode.LOCK_HELD


class LockLost(RunbookError):
    """Reports that the lock was lost during the run, so another run may have started.

    The exit code is not 75, which would mean that nothing was run.
    """

    exit_code = ExitCode.FAILED


class JournalLost(RunbookError):
    """Reports that the run history cannot be written any more; the run stops, since its state would be unknown.

    ``what`` replaces the prefix of the message.
    """

    exit_code = ExitCode.FAILED
    PREFIX = "journal lost: "

    def __init__(self, why: str, *, what: str = PREFIX) -> None:
        super().__init__(f"{what}{why}")


class LockUnavailable(RunbookError):
    """Reports that the lock store is not available, so it is unknown whether the lock is free.

    The exit code is not 75: schedulers would read it as "another run is active", and nobody would notice that nothing
    runs any more.
    """

    exit_code = ExitCode.FAILED


class StepError(RunbookError):
    """Reports that a step failed without an exception of its command.

    It is never raised: a failure has its name, so that ``errors`` can list it.
    """

    exit_code = ExitCode.FAILED


class WorkerDied(StepError):
    """Reports that the worker died while it ran the step."""


class OtherVersion(StepError):
    """Reports that no worker with the code of the run took the step in time."""


class SecretError(StepError):
    """Reports that the worker does not have a secret, or has another value of it than the run."""


class SecretOutput(StepError):
    """Reports that captured output holds a secret in an encoded form, which must not be stored in the database."""


class OutputRefused(StepError):
    """Reports that the database does not accept captured output."""


class StateError(StepError):
    """Reports that the command changed its process or its session in a way that later steps would see."""


class ItemsChanged(StepError):
    """Reports that the items of a loop differ from those of the run that is resumed."""


class Stopped(BaseException):
    """Ends a command that did not stop when it was requested to.

    It derives from BaseException because commands catch Exception and would continue.
    """


def said(error: BaseException) -> str:
    """Return the message of an error, even if its class cannot format it."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - the __str__ of an exception may fail
        return f"(its message cannot be shown: {type(failure).__name__})"


def in_words(error: BaseException) -> str:
    """Return the type and the message of an error in one line."""
    text = " ".join(said(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def names_of(kind: type[BaseException]) -> tuple[str, ...]:
    """List the names of an exception class and its bases, each bare and qualified, as lists of errors write them."""
    bases = [base for base in kind.__mro__ if base not in {object, BaseException}]
    # A class made without a module has no ``__module__``.
    modules = [getattr(base, "__module__", "builtins") for base in bases]
    pairs = zip(modules, bases, strict=True)
    return tuple(name for module, base in pairs for name in (base.__name__, f"{module}.{base.__qualname__}"))
