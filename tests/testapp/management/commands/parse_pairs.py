"""Has pairs of flags, and an option whose name is the place of another one."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--live", action="store_true", default=True)
        parser.add_argument("--no-live", action="store_false", dest="live")
        parser.add_argument("--quick", action="store_const", const="quick", default="quick", dest="pace")
        parser.add_argument("--noquick", action="store_const", const="slow", dest="pace")
        parser.add_argument("--json", action="store_const", const="json", default="json", dest="style")
        parser.add_argument("--yaml", action="store_const", const="yaml", dest="style")
        parser.add_argument("--always", action="store_true", default=True)
        parser.add_argument("--output", dest="path")
        parser.add_argument("--format", dest="output")
        parser.add_argument("--quiet", action="store_false", dest="talks", default=None)
        parser.add_argument("--size")
        parser.add_argument("-n", type=int, dest="first")
        parser.add_argument("--n", type=int, dest="second")
