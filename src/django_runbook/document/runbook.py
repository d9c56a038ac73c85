"""A runbook as the rest of the house sees it: frozen values that know their place in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from django_runbook.document.diagnostics import Span
    from django_runbook.document.expressions import Expression, Template

Native: TypeAlias = "bool | int | float | str | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A value of the file with its place.

    ``text`` is how the file spells a scalar, so that ``1.10`` can reach a command as it was written.
    """

    value: Native | Template | tuple[Located, ...] | Mapping[str, Located]
    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One entry of ``options``: the name as the user wrote it, and its value."""

    name: str
    name_span: Span
    value: Located


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """``attempts`` is the total; ``errors`` of None means any failure."""

    attempts: int
    delay_seconds: float = 1.0
    backoff: float = 2.0
    max_delay_seconds: float = 60.0
    jitter: bool = True
    errors: tuple[str | int, ...] | None = None
    until: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSettings:
    """A lock to hold; ``on_conflict`` is fail, wait or skip, and ``wait_seconds`` of None waits without end.

    ``is_default`` marks the own lock of a file, whose name it does not say: the runs of a runbook exclude each other,
    and not the calls of it in one run.
    """

    name: str | Template
    is_default: bool = False
    on_conflict: str = "fail"
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """The keys that all steps share.

    ``for_each`` is a list, a mapping of lists, or an expression that gives one of them; ``max_parallel`` is how many
    of its items run at a time. ``timeout_seconds`` bounds one attempt. ``error_spans`` has the places of the exceptions
    that ``errors`` and ``continue_on_error`` name, by the key and the name.
    """

    id: str
    name: str | Template
    span: Span
    description: str = ""
    tags: tuple[str, ...] = ()
    when: Expression | None = None
    continue_on_error: bool | tuple[str | int, ...] = False
    retry: Retry | None = None
    confirm: str | Template | None = None
    no_log: bool = False
    for_each: Located | None = None
    max_parallel: int = 1
    timeout_seconds: float | None = None
    lock: LockSettings | None = None
    error_spans: Mapping[tuple[str, str], Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStep(StepSettings):
    """One call of a management command; ``command`` holds the tokens of the command line, name first.

    ``idempotent`` is None where the file does not say it.
    """

    command: tuple[Located, ...]
    args: tuple[Located, ...] = ()
    options: tuple[Option, ...] = ()
    capture: str | None = None
    idempotent: bool | None = None
    atomic: bool = False
    isolate: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A list of steps with its handlers: the file itself, or a group.

    The steps of a parallel block run together, at most ``max_parallel`` at a time where that is given.
    """

    steps: tuple[Step, ...]
    is_parallel: bool = False
    max_parallel: int | None = None
    on_success: tuple[Step, ...] = ()
    on_failure: tuple[Step, ...] = ()
    finally_: tuple[Step, ...] = ()
    fail_fast: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStep(StepSettings):
    """Steps that share a name, a condition, a policy and handlers."""

    block: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStep(StepSettings):
    """Another runbook, read with this one; ``params`` are the values that it is given."""

    runbook: Runbook
    params: tuple[Option, ...] = ()


Step: TypeAlias = "CommandStep | GroupStep | CallStep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """A typed input. Without a ``default`` a value must be given; a default of null says that none need be."""

    name: str
    type: str
    span: Span
    default: Located | None = None
    choices: tuple[object, ...] = ()
    help: str = ""

    @property
    def is_nullable(self) -> bool:
        """Tell whether the default is null: the parameter may be left out, and has no value then."""
        return self.default is not None and self.default.value is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A whole file, checked as far as it can be without Django.

    Without ``is_recorded`` its runs are not in the history, and cannot be resumed.
    """

    path: str
    name: str
    block: Block
    description: str = ""
    params: tuple[Param, ...] = ()
    vars: Mapping[str, Located] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    lock: LockSettings | None = None
    is_recorded: bool = True
