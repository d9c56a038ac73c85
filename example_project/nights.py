"""Makes up the history of a hundred nights to the Flight desk, for the picture of its durations.

The rows of each night are the flights of one day; only the durations are made up.
"""

from __future__ import annotations

import datetime
import os
import random
import uuid

from django_runbook.structs import replace

NIGHTS = 100
RUNBOOK = "daily.yml"


def main() -> None:
    """Replace the history by nights with the figures of its newest run."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flightdesk.settings")
    import django

    django.setup()
    from django.db.models import Count

    from django_runbook.models import Run
    from flights.models import Flight

    days = Flight.objects.values("day").annotate(count=Count("pk")).order_by("day")
    counts = [day["count"] for day in days]
    newest = Run.objects.of(RUNBOOK).newest_first()[0]
    rng = random.Random(2013)
    nights = []
    for number in range(NIGHTS, 0, -1):
        night = Run.objects.get(pk=newest.pk)
        night.pk, night.owner = uuid.uuid4().hex, uuid.uuid4().hex
        at = newest.started_at.replace(hour=2, minute=15) - datetime.timedelta(days=number)
        rows = counts[at.toordinal() % len(counts)]
        seconds = 0.6 * rows * (1 + 0.4 * (NIGHTS - number) / NIGHTS) * rng.lognormvariate(0, 0.06)
        if number in {17, 61}:
            seconds *= 2.4
            night.unusual = [{"step_id": "import", "kind": "slow", "text": "took twice its usual time"}]
        night.started_at, night.finished_at = at, at + datetime.timedelta(seconds=seconds)
        night.now, night.duration_seconds = at.isoformat(), seconds
        night.figures = _scaled(newest.figures, rows=rows, seconds=seconds)
        nights.append(night)
    Run.objects.all().delete()
    Run.objects.bulk_create(nights)


def _scaled(stored: str, *, rows: int, seconds: float) -> str:
    """Give each step that has done rows those of the night, and each step its share of the duration."""
    from django_runbook.forecasts.figures import RunFigures

    figures = RunFigures.of_text(stored)
    share = seconds / (figures.seconds or seconds)
    steps = {
        key: replace(one, seconds=one.seconds and one.seconds * share, rows=one.rows and rows)
        for key, one in figures.steps.items()
    }
    return replace(figures, seconds=seconds, steps=steps).to_text()


if __name__ == "__main__":
    main()
