"""What the world can do to a run, each with the exit code that the process ends with."""

from __future__ import annotations

from django_runbook.results import ExitCode


class RunbookError(Exception):
    """The root of our errors: a fault of ours unless a child says otherwise."""

    exit_code: ExitCode = ExitCode.INTERNAL_ERROR


class InvalidRunbook(RunbookError):
    """The file cannot be run as it stands; nothing was run."""

    exit_code = ExitCode.INVALID


class InvalidUsage(RunbookError):
    """A parameter, a secret, a selection or a setting is wrong; nothing was run."""

    exit_code = ExitCode.INVALID


class LockHeld(RunbookError):
    """Another run holds the lock, so nothing was run; the message says who, and since when."""

    exit_code = ExitCode.LOCK_HELD


class LockLost(RunbookError):
    """The lock was lost while it was held, so another run may be at work.

    Not 75, which means that nothing was run: a scheduler would take it for that.
    """

    exit_code = ExitCode.FAILED


class JournalLost(RunbookError):
    """What happens cannot be recorded any more, so that nobody could tell what was done: the run stops.

    ``what`` replaces the first words of the message.
    """

    exit_code = ExitCode.FAILED
    PREFIX = "journal lost: "

    def __init__(self, why: str, *, what: str = PREFIX) -> None:
        super().__init__(f"{what}{why}")


class LockUnavailable(RunbookError):
    """What keeps the locks cannot be reached or used, so that nobody knows whether the lock is free.

    Not 75: schedulers take that for "another one is at it", and nothing would ever run without anybody knowing.
    """

    exit_code = ExitCode.FAILED


class Stopped(BaseException):
    """Ends a command that did not stop by itself after a stop was asked for.

    It derives from BaseException because commands catch Exception and would go on.
    """


def said(error: BaseException) -> str:
    """Return the message of an error, also of one whose class cannot give it."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - an exception's own __str__ may be what is broken
        return f"(its message cannot be shown: {type(failure).__name__})"


def in_words(error: BaseException) -> str:
    """Return the type of an error and what it says, in one line."""
    text = " ".join(said(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def names_of(kind: type[BaseException]) -> tuple[str, ...]:
    """List the names of an exception class and its bases, each bare and qualified, as lists of errors write them."""
    bases = [base for base in kind.__mro__ if base not in {object, BaseException}]
    # A class that was made without a module has no name of one.
    modules = [getattr(base, "__module__", "builtins") for base in bases]
    pairs = zip(modules, bases, strict=True)
    return tuple(name for module, base in pairs for name in (base.__name__, f"{module}.{base.__qualname__}"))
