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
class StepSettings:
    """The keys that a command and a group share."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStep(StepSettings):
    """One call of a management command; ``command`` holds the tokens of the command line, name first."""

    command: tuple[Located, ...]
    args: tuple[Located, ...] = ()
    options: tuple[Option, ...] = ()
    capture: str | None = None
    idempotent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A list of steps with its handlers: the file itself, or a group."""

    steps: tuple[Step, ...]
    on_success: tuple[Step, ...] = ()
    on_failure: tuple[Step, ...] = ()
    finally_: tuple[Step, ...] = ()
    fail_fast: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStep(StepSettings):
    """Steps that share a name, a condition, a policy and handlers."""

    block: Block


Step: TypeAlias = "CommandStep | GroupStep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """A typed input. ``default`` of None means that a value must be given."""

    name: str
    type: str
    span: Span
    default: Located | None = None
    choices: tuple[object, ...] = ()
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A whole file, checked as far as it can be without Django."""

    path: str
    name: str
    block: Block
    description: str = ""
    params: tuple[Param, ...] = ()
    vars: Mapping[str, Located] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
