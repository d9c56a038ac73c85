"""Defines what the executors receive and return."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django_runbook.executors.atomic import OnFinished
from django_runbook.executors.calling import ReportProgress
from django_runbook.process.deadlines import Halt, Limit
from django_runbook.process.streams import WriteLine
from django_runbook.process_inputs import NO_INPUTS, ProcessInputs
from django_runbook.results import AttemptResult
from django_runbook.structs import Struct, field


class QueueRequest(Struct):
    """Describes what a call on a queue needs besides: its place in the run, and what may be done after its death.

    ``attempt`` is that of the step's row. A call that ``is_repeatable`` is made again if its worker dies. ``open_id``
    is the id of the unfinished call of an earlier attempt of the run, and ``lock_names`` the locks around the step.
    """

    queue: str
    step_id: str
    attempt: int
    capture: str | None
    is_atomic: bool
    is_hidden: bool
    is_repeatable: bool
    open_id: str = ""
    lock_names: tuple[str, ...] = ()
    on_queued: Callable[[], None] = lambda: None
    on_claimed: Callable[[str, int], None] = lambda host, pid: None


class ExecutorCall(Struct):
    """Describes one call of a command, with its bounds and the receivers of its output.

    ``process`` holds what its process gets. ``keeps_stdout`` requests the whole standard output. While
    ``accepts_output`` returns False, the command waits with its output. ``halt`` and ``limit`` bound the call from
    outside; ``timeout_seconds``, of ``owner``, counts from its start. With ``on_finished``, the call runs in a
    transaction of the database ``atomic_alias``. A call that ``is_dry_run`` counts the rows that its command rolls
    back. ``descriptors`` stay open in the process of the command until it ends; ``environ`` are the variables that
    reporters add to its environment. Only a call on a worker has ``queued``.
    """

    command: str
    tokens: tuple[str, ...]
    process: ProcessInputs = NO_INPUTS
    keeps_stdout: bool
    write_line: WriteLine
    report_progress: ReportProgress
    halt: Halt
    limit: Limit
    accepts_output: Callable[[], bool] = lambda: True
    owner: str = ""
    timeout_seconds: float | None = None
    call_key: str = ""
    on_finished: OnFinished | None = None
    atomic_alias: str | None = None
    is_dry_run: bool = False
    descriptors: tuple[int, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    queued: QueueRequest | None = None


Execute = Callable[[ExecutorCall], AttemptResult]
