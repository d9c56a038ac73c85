"""Is made with django-click, and so has no parser of Django's kind."""

from __future__ import annotations

import djclick as click
from django.core.management import CommandError

from tests.testapp.parsing import RECEIVED


def greet(count: int, loud: bool, name: str) -> None:
    if name == "nobody":
        raise CommandError("nobody is there")
    RECEIVED.append(((name,), {"count": count, "loud": loud}))
    for _ in range(count):
        click.echo(f"hello {name}")


# As decorators, they would take the types of the function away.
for declare in (
    click.argument("name"),
    click.option("--loud/--no-loud", default=True),
    click.option("--count", default=1, type=int),
    click.command(),
):
    greet = declare(greet)
