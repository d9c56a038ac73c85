"""Defines a Runbook and its parts: frozen values that know their place in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from django_runbook.structs import Struct, field

if TYPE_CHECKING:
    from django_runbook.document.cron import Cron
    from django_runbook.document.diagnostics import Span
    from django_runbook.document.expressions import Expression, Template

Native: TypeAlias = "bool | int | float | str | None"


class Located(Struct):
    """Holds a value of the file with its place.

    ``text`` is the source of a scalar, so that ``1.10`` can reach a command as it was written.
    """

    value: Native | Template | tuple[Located, ...] | Mapping[str, Located]
    span: Span
    text: str = ""


class Option(Struct):
    """Holds one entry of ``options``: the name as the user wrote it, and its value."""

    name: str
    name_span: Span
    value: Located


class Retry(Struct):
    """Holds the settings of ``retry``: ``attempts`` is the total, and ``errors`` of None means any failure."""

    attempts: int
    delay_seconds: float = 1.0
    backoff: float = 2.0
    max_delay_seconds: float = 60.0
    jitter: bool = True
    errors: tuple[str | int, ...] | None = None
    until: Expression | None = None


class LockSettings(Struct):
    """Holds the settings of ``lock``: ``on_conflict`` is fail, wait or skip; ``wait_seconds`` of None means no limit.

    ``is_default`` marks the implicit lock of a file: it excludes other runs of the runbook, but not its calls
    within one run.
    """

    name: str | Template
    is_default: bool = False
    on_conflict: str = "fail"
    wait_seconds: float | None = None


class ShardSettings(Struct):
    """Holds the settings of ``shards``: a ``count`` of None means ``auto``.

    ``max_parallel`` limits the shards that run at a time; None means all of them on a queue, and one for each processor
    on this host.
    """

    count: int | None
    max_parallel: int | None
    span: Span


class StepSettings(Struct):
    """Holds the keys that all steps share.

    ``for_each`` is a list, a mapping of lists, or an expression that returns one of them; ``max_parallel`` limits the
    items that run at a time. ``timeout_seconds`` limits one attempt. ``error_spans`` locates the exceptions in
    ``errors`` and ``continue_on_error``, by key and name.
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

    @property
    def is_loop(self) -> bool:
        """Return whether the step runs once for each of several items."""
        return self.for_each is not None

    @property
    def items_at_once(self) -> int:
        """Return how many items of the loop run at a time."""
        return self.max_parallel


class CommandStep(StepSettings):
    """Calls a management command; ``command`` holds the tokens of the command line, name first.

    ``idempotent`` and ``isolate`` are None if the file does not set them. ``queue`` is None to inherit that of a group
    around the step, and False to run on this host; ``queue_span`` locates its value. The plan turns ``shards`` into a
    loop, unless the command has none.
    """

    command: tuple[Located, ...]
    args: tuple[Located, ...] = ()
    options: tuple[Option, ...] = ()
    stdin: str | Template | None = None
    env: tuple[Option, ...] = ()
    capture: str | None = None
    idempotent: bool | None = None
    atomic: bool = False
    isolate: bool | None = None
    queue: str | bool | None = None
    queue_span: Span | None = None
    shards: ShardSettings | None = None

    @property
    def is_loop(self) -> bool:
        return self.for_each is not None or self.shards is not None

    @property
    def items_at_once(self) -> int:
        return self.max_parallel if self.shards is None else self.shards.max_parallel or self.shards.count or 2


class Block(Struct):
    """Holds a list of steps and its handlers: of the file, or of a group.

    The steps of a parallel block run together, at most ``max_parallel`` at a time if that is set.
    """

    steps: tuple[Step, ...]
    is_parallel: bool = False
    max_parallel: int | None = None
    on_success: tuple[Step, ...] = ()
    on_failure: tuple[Step, ...] = ()
    finally_: tuple[Step, ...] = ()
    fail_fast: bool = True


class GroupStep(StepSettings):
    """Groups steps under one name, condition, policy, set of handlers, and queue."""

    block: Block
    queue: str | bool | None = None
    queue_span: Span | None = None


class CallStep(StepSettings):
    """Calls another runbook, which is read together with this one; ``params`` are its parameter values."""

    runbook: Runbook
    params: tuple[Option, ...] = ()


Step: TypeAlias = "CommandStep | GroupStep | CallStep"


class Param(Struct):
    """Declares a typed parameter: required without a ``default``, optional with a default of null."""

    name: str
    type: str
    span: Span
    default: Located | None = None
    choices: tuple[object, ...] = ()
    help: str = ""

    @property
    def is_nullable(self) -> bool:
        """Return whether the default is null: the parameter may be omitted and has no value then."""
        return self.default is not None and self.default.value is None


class EnvironmentVariable(Struct):
    """Declares an environment variable that expressions can read; without a ``default``, it must be set."""

    name: str
    span: Span
    default: str | None = None


class Schedule(Struct):
    """Says when a scheduler is to start the runbook; a run has no use for it.

    ``timezone`` is None for that of the project. A start is delayed by a random part of ``jitter_seconds``. With
    ``catch_up``, a start that was missed happens as soon as the scheduler works again. ``span`` locates the key.
    """

    cron: Cron
    timezone: str | None = None
    jitter_seconds: float = 0
    catch_up: bool = False
    span: Span


class Runbook(Struct):
    """Holds a whole file, checked as far as possible without Django.

    Runs without ``is_recorded`` are not in the run history and cannot be resumed. ``unusual`` says what happens if a
    run is unlike earlier ones. ``notify`` names the reporters of the project that are notified; None means all of them.
    """

    path: str
    name: str
    block: Block
    description: str = ""
    params: tuple[Param, ...] = ()
    vars: Mapping[str, Located] = field(default_factory=dict)
    env: tuple[EnvironmentVariable, ...] = ()
    secrets: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    lock: LockSettings | None = None
    schedule: Schedule | None = None
    is_recorded: bool = True
    unusual: str = "warn"
    notify: tuple[Located, ...] | None = None
