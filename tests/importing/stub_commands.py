"""Makes commands that imported files call, and that no installed app has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

from django.core.management import get_commands
from django.core.management.base import BaseCommand, CommandParser

# Each with its flags, its options with a value (a trailing "=") and its positional arguments.
STUBS: Mapping[str, tuple[str, ...]] = {
    "cache_most_unhelpful": ("--limit=",),
    "clean-expired-projects": (),
    "clean-old-builds": (),
    "cleanlogs": (),
    "cleanup": (),
    "cleanup_httpstate": (),
    "clearmedia": (),
    "createenterer": (),
    "cron_tags": (),
    "db_ready": (),
    "django_cas_ng_clean_sessions": (),
    "handle_mailbox_operations": (),
    "logparser": (),
    "nightly": ("--day=",),
    "purge_hashes": (),
    "reindex_all": ("--noinput",),
    "reload_question_traffic_stats": (),
    "send_queued_mail": (),
    "update-indexes": (),
    "update_index": ("--age=",),
    "update_top_contributors": (),
    "vacuum-graphs": (),
    "warm_questions": (),
}


def stub(arguments: tuple[str, ...]) -> BaseCommand:
    class Command(BaseCommand):
        def add_arguments(self, parser: CommandParser) -> None:
            for argument in arguments:
                if argument.endswith("="):
                    parser.add_argument(argument[:-1])
                elif argument.startswith("-"):
                    parser.add_argument(argument, action="store_true")
                else:
                    parser.add_argument(argument, nargs="*")

        def handle(self, *args: object, **options: object) -> None:
            raise AssertionError("a stub is only checked")

    return Command()


@contextmanager
def installed(stubs: Mapping[str, tuple[str, ...]] = STUBS) -> Iterator[None]:
    """Install the stubs beside the commands of the project: Django takes an instance instead of an app's name."""
    made = {name: stub(arguments) for name, arguments in stubs.items()}
    with mock.patch.dict(get_commands(), made):
        yield
