"""Reads the key ``schedule``: when a scheduler is to start the runbook."""

from __future__ import annotations

from django_runbook.document.cron import Cron, parse_cron
from django_runbook.document.expressions import OPEN
from django_runbook.document.keys import EXPECTED, Kind
from django_runbook.document.runbook import Schedule
from django_runbook.document.similar_names import suggestion
from django_runbook.document.syntax.nodes import Mapping, MissingNode, Node, Scalar, span_of
from django_runbook.document.syntax.scalars import resolve
from django_runbook.document.validation.reading import Keys, Reading
from django_runbook.wording import did_you_mean

_NO_EXPRESSIONS = "this key does not take expressions"


def schedule(keys: Keys, reading: Reading) -> Schedule | None:
    """Read ``schedule``: a cron expression, or a mapping; None if there is none, or if it is invalid."""
    if "schedule" not in keys:
        return None
    key, node = keys["schedule"]
    if isinstance(node, MissingNode):
        return None
    if not isinstance(node, Mapping):
        if not isinstance(node, Scalar) or not isinstance(resolve(node), str):
            reading.expected("schedule", "a cron expression, or a mapping with cron, timezone and so on", node)
            return None
        cron = _cron(node, reading)
        return None if cron is None else Schedule(cron=cron, span=span_of(key))
    typed, fields = reading.fields(node, Kind.SCHEDULE)
    if "cron" not in fields:
        reading.report("RB204", 'schedule needs "cron"', node.entries[0][0] if node.entries else node)
    cron = _cron(fields["cron"][1], reading) if "cron" in fields else None
    timezone = _timezone(fields["timezone"][1], reading) if "timezone" in fields else None
    jitter = reading.duration(fields["jitter"][1], "jitter", default=0) if "jitter" in fields else 0
    if cron is None or typed is None:
        return None
    return Schedule(
        cron=cron,
        timezone=timezone,
        jitter_seconds=jitter,
        catch_up=typed.get("catch_up", False),
        span=span_of(key),
    )


def _cron(node: Node, reading: Reading) -> Cron | None:
    text = _string(node, "cron", reading)
    if text is None:
        return None
    assert isinstance(node, Scalar)
    locate = reading.locate(node)
    cron, problems = parse_cron(text)
    for problem in problems:
        help_text = _NO_EXPRESSIONS if OPEN in text else problem.help
        where = locate(problem.start, problem.end) if text else node
        reading.report("RB220", problem.message, where, help_text=help_text)
    return cron


def _timezone(node: Node, reading: Reading) -> str | None:
    name = _string(node, "timezone", reading)
    if name is None:
        return None
    # Only a schedule needs it.
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        # The name of a folder, or one that leaves the folders of zones, is not a zone either.
        reading.report("RB221", f'unknown time zone "{name}"', node, help_text=_zone_help(name))
        return None
    return name


def _zone_help(name: str) -> str:
    import zoneinfo

    if OPEN in name:
        return _NO_EXPRESSIONS
    known = zoneinfo.available_timezones()
    if not known:
        return "install the package tzdata: this host knows no time zones"
    exact = next((zone for zone in known if zone.casefold() == name.replace(" ", "_").casefold()), None)
    cities = {zone.rpartition("/")[2]: zone for zone in sorted(known)}
    if exact is None:
        exact = cities.get(name.replace(" ", "_").title())
    hint = did_you_mean(exact) if exact else suggestion(name, sorted(known))
    return hint or "name a zone of the IANA database, such as Europe/Berlin or UTC"


def _string(node: Node, key: str, reading: Reading) -> str | None:
    if isinstance(node, Scalar) and isinstance(resolve(node), str) and node.text:
        return node.text
    reading.expected(key, EXPECTED[key], node)
    return None
