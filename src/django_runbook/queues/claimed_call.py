"""Runs one claimed call, keeps its row up to date, and stores its end or releases it."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django_runbook import conf
from django_runbook.cleaning import Mask
from django_runbook.exceptions import JournalLost, OutputRefused, SecretError, in_words
from django_runbook.executors.base import ExecutorCall
from django_runbook.executors.calling import PassedChecks
from django_runbook.executors.capturing import read_output
from django_runbook.executors.messages import Commit, RollBack
from django_runbook.executors.process import ProcessExecutor
from django_runbook.executors.spawner import Spawner
from django_runbook.journal.connection import JournalConnection
from django_runbook.locks.held import HeldLock
from django_runbook.models.calls import Call, CallStatus
from django_runbook.process import masking
from django_runbook.process.deadlines import Limit
from django_runbook.process.failures import named_failure
from django_runbook.process.stopping import Stop
from django_runbook.process_inputs import NO_INPUTS, ProcessInputs
from django_runbook.queues import call_content, call_results, versions
from django_runbook.queues.call_content import CallContent
from django_runbook.queues.call_halt import CallHalt
from django_runbook.queues.call_watcher import CallWatcher, PendingOutput, write_with_output
from django_runbook.queues.engines.choice import choose_engine
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.structs import MutableStruct, Struct, replace

_LOGGER: Final = logging.getLogger(__name__)


class ClaimedCall(MutableStruct):
    """Runs a call that this worker has claimed under its lock; ``content`` is still encoded."""

    call: Call
    content: CallContent
    connection: JournalConnection
    spawner: Spawner
    checks: PassedChecks
    lock: HeldLock
    ends_at_signal: bool

    def run(self) -> None:
        """Run the command, and store the result; release the call if the worker shuts down before its end."""
        secrets = {name: os.environ[name] for name in self.call.secret_names if name in os.environ}
        mask = masking.masker([*secrets.values(), *conf.read().hidden_values])
        tokens, process, failure = self._decoded(secrets)
        if failure is not None:
            self._finish(AttemptResult(status=StepStatus.FAILED, failure=failure), secrets=secrets, mask=mask)
            return
        self._run(tokens, process, secrets=secrets, mask=mask)

    def _run(self, tokens: tuple[str, ...], process: ProcessInputs, *, secrets: dict[str, str], mask: Mask) -> None:
        stop = Stop(timeout_seconds=math.inf)
        grace_seconds = conf.read().stop_timeout_seconds
        halt = CallHalt(
            stop=stop,
            lock=self.lock,
            is_repeatable=self.call.is_repeatable,
            grace_seconds=grace_seconds,
            ends_at_signal=self.ends_at_signal,
        )
        watcher = CallWatcher(call=self.call, halt=halt, alias=self.connection.alias)
        execute = ProcessExecutor(
            stop=stop,
            mask=mask,
            spawner=self.spawner,
            secrets=(*secrets.values(), *conf.read().hidden_values),
            commands=(self.call.command,),
            grace_seconds=grace_seconds,
            checks=self.checks,
        )
        try:
            with stop:
                with watcher:
                    call = self._executor_call(tokens, halt, watcher, secrets=secrets, mask=mask)
                    result = execute(replace(call, process=process))
                if halt.is_released and result.status is StepStatus.INTERRUPTED:
                    self._release(watcher.pending_output())
                elif not halt.is_disowned and not (watcher.is_committing and self._is_committed()):
                    output = watcher.pending_output()
                    self._finish(self._with_warning(result), secrets=secrets, mask=mask, output=output)
        finally:
            # The host of this call receives the signals that came while the call ran.
            stop.hand_back()

    def _is_committed(self) -> bool:
        """Return whether an atomic command has stored its own result, although its end was not reported."""
        rows = Call.objects.using(self.connection.alias).filter(pk=self.call.pk, status=CallStatus.DONE.value)
        return self.connection.execute(lambda is_repeated: rows.exists())

    def _with_warning(self, result: AttemptResult) -> AttemptResult:
        text = versions.warning_of(self.call)
        return replace(result, warnings=(text, *result.warnings)) if text else result

    def _executor_call(
        self, tokens: tuple[str, ...], halt: CallHalt, watcher: CallWatcher, *, secrets: dict[str, str], mask: Mask
    ) -> ExecutorCall:
        call = self.call

        def decide(result: AttemptResult) -> Commit | RollBack:
            """Commit the work of an atomic command together with its result, if its output can be read."""
            try:
                read_output(result.stdout, call.capture or None)
            except (ValueError, RecursionError):
                return RollBack()
            stored = self._stored(result, secrets=secrets, mask=mask)
            output = watcher.begin_commit()
            # Not from this process: on SQLite, the transaction of the command holds the only lock.
            return Commit(write=FinishWrite(call=call, stored=stored, output=output))

        return ExecutorCall(
            command=call.command,
            tokens=tokens,
            keeps_stdout=bool(call.capture),
            write_line=watcher.write_line,
            report_progress=watcher.report_progress,
            accepts_output=watcher.accepts_output,
            halt=halt,
            limit=Limit(),
            owner=call.owner,
            timeout_seconds=call.timeout_seconds,
            call_key=call.call_key,
            environ=call.environ,
            on_finished=decide if call.is_atomic else None,
            atomic_alias=self.connection.alias if call.is_atomic else None,
            descriptors=(self.lock.presence.descriptor,),
        )

    def _decoded(self, secrets: dict[str, str]) -> tuple[tuple[str, ...], ProcessInputs, Failure | None]:
        """Return the content with its secrets, and the failure of a worker that does not have the same ones."""
        needed = self.content.secret_names
        missing = sorted(needed - secrets.keys())
        if missing:
            names = ", ".join(f'"{name}"' for name in missing)
            message = f"the environment of this worker does not have the secret {names}"
            return (), NO_INPUTS, named_failure(SecretError, message)
        tokens, process = self.content.decode(secrets)
        if call_content.digest(tokens, process) != self.call.tokens_digest:
            names = ", ".join(f'"{name}"' for name in sorted(needed)) or "SECRET_KEY"
            return (), NO_INPUTS, named_failure(SecretError, f"this worker has another value of {names} than the run")
        return tokens, process, None

    def _finish(
        self, result: AttemptResult, *, secrets: dict[str, str], mask: Mask, output: PendingOutput | None = None
    ) -> None:
        try:
            self._store(result, secrets=secrets, mask=mask, output=output or PendingOutput())
        except JournalLost as error:
            if not (result.stdout and self.connection.has_refused(error)):
                raise
            # The server has closed the connection.
            self.connection.reconnect()
            refused = replace(result, status=StepStatus.FAILED, failure=_output_failure(error), stdout="")
            self._store(refused, secrets=secrets, mask=mask, output=output or PendingOutput())

    def _store(self, result: AttemptResult, *, secrets: dict[str, str], mask: Mask, output: PendingOutput) -> None:
        stored = self._stored(result, secrets=secrets, mask=mask)
        self._write(partial(self.call.finish, stored), output)

    def _release(self, output: PendingOutput) -> None:
        """Return the call to its queue, and send its message again."""
        engine = choose_engine(conf.read())
        release = partial(self.call.release, self.content.columns)
        if not self._write(release, output) or engine is None:
            return
        try:
            engine.send(self.call.pk, queue=self.call.queue)
        except Exception as error:  # noqa: BLE001 - a broker that is away raises the errors of its client
            # The run sends it again later. Other threads of this worker continue their calls.
            _LOGGER.warning("the message of a call that returned to its queue could not be sent: %s", in_words(error))

    def _write(self, write: Callable[..., bool], output: PendingOutput) -> bool:
        alias = self.connection.alias
        return self.connection.execute(lambda is_repeated: write_with_output(self.call, output, write, using=alias))

    def _stored(self, result: AttemptResult, *, secrets: dict[str, str], mask: Mask) -> dict[str, Any]:
        return call_results.to_json(result, secrets=secrets, mask=mask, is_hidden=self.call.is_hidden)


class FinishWrite(Struct):
    """Stores the success of an atomic call inside the transaction of its command, if this worker still owns it."""

    call: Call
    stored: dict[str, Any]
    output: PendingOutput

    def __call__(self) -> None:
        finish = partial(self.call.finish, self.stored)
        if not write_with_output(self.call, self.output, finish, using=conf.journal_alias()):
            raise JournalLost("the run has given this call up", what="")


def _output_failure(error: JournalLost) -> Failure:
    reason = str(error).removeprefix(JournalLost.PREFIX)
    message = f"capture: the database does not accept the output: {reason}"
    return named_failure(OutputRefused, message)
