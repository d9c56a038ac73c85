"""Shows the progress of a command: a bar on a terminal, lines in a log, and numbers for a runner.

class Command(ProgressCommand):
    def handle(self, *args, **options):
        flights = Flight.objects.filter(delay_class="")
        for flight in self.track(flights.iterator(), total=flights.count, description="Flights"):
            classify(flight)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from django_runbook.batch.parts.mixin import CommandMixin
from django_runbook.batch.parts.progress_outputs import ProgressOutput, default_output
from django_runbook.batch.parts.progress_tracking import Item, ProgressTracker, Total, track_to


class ProgressCommand(CommandMixin):
    """Adds `track` and `progress`, which show progress to a person, a log file or a runner.

    They write to standard error, so that standard output holds only the results of the command. Without a terminal, as
    under cron, they need ``--verbosity 2``; ``--verbosity 0`` silences them, and ``--no-color`` applies.
    """

    stealth_options: tuple[str, ...] = ("progress",)
    cursor_free_options: ClassVar[tuple[str, ...]] = ("progress",)

    _output: Callable[[], ProgressOutput] = staticmethod(default_output)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; its options choose where progress is shown."""

        def output() -> ProgressOutput:
            return default_output(
                report=options.get("progress"),
                stream=self.stderr,  # type: ignore[arg-type]  # an OutputWrapper is a stream to write to
                no_color=bool(options.get("no_color")),
                verbosity=int(options.get("verbosity", 1)),
            )

        self._output = output
        try:
            return super().execute(*args, **options)
        finally:
            del self._output

    def track(self, iterable: Iterable[Item], *, total: Total = None, description: str = "") -> Iterator[Item]:
        """Yield the items and show progress; see the function `track`."""
        return track_to(self._output(), iterable=iterable, total=total, description=description)

    def progress(
        self, *, total: Total = None, description: str = "", done_count: int = 0, failed_count: int = 0
    ) -> ProgressTracker:
        """Return a tracker for work that is not a loop over items."""
        return ProgressTracker(
            total=total,
            description=description,
            done_count=done_count,
            failed_count=failed_count,
            output=self._output(),
        )
