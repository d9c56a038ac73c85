"""Splits the pages of `docs/` into blocks and headings, and runs the blocks; without Sphinx.

Comments right above a block, which the built page does not show, mark it:

    % gives RB201          the next block holds what check_runbooks says of this one
    % not a runbook        the block is YAML of another tool
    % give --param a=b     the block is run with these options of run_runbook
    % ends with 1          the run has this exit code instead of 0
    % not run: why         the block is checked, but not run
    % with {"QUEUE": …}    the block has these keys of the setting RUNBOOK, as JSON
    % file nightly.sh      the block, in another language, is the content of this file

Steps without `steps:`, and keys of a file without steps, are completed to a whole file. `# nightly.yml` in the first line
names the file of the block. A console block sees the files of all blocks of its page. The lines after
`$ python manage.py …` are compared with the output of that command, and the line after `$ echo $?` with its exit code;
`$ cp FILE FILE` and `$ sed -i s/old/new/ FILE` are run too. A Python block whose first line is `# …/commands/name.py` is a
command, which the console blocks of its page can call.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command, get_commands, load_command_class
from django.test import override_settings

from django_runbook.process.signal_handlers import SIGNALS

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
_FENCE = re.compile(r"^(`{3,})(\S*)\n(.*?)^\1\n", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (?:\S*/)?([\w.-]+\.ya?ml)\b")
_COMMAND = re.compile(r"# \S*/commands/(\w+)\.py\n")
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_TIMES = re.compile(r"\b\d+\.\ds\b")
_MOMENTS = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b")
# The ids in what a run says at its begin and its end.
_RUNS = re.compile(r"(\brun|--resume) [0-9a-f]{8}\b")
_NO_FILE = "runbook.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block, the ``index``-th of its page; ``start`` and ``end`` delimit its text there."""

    page: Path
    index: int
    language: str
    text: str
    marks: tuple[str, ...]
    start: int
    end: int
    line: int

    @property
    def id(self) -> str:
        return f"{self.page.relative_to(DOCS.parent)}:{self.line}"

    @property
    def is_runbook(self) -> bool:
        return self.language == "yaml" and "not a runbook" not in self.marks

    @property
    def code(self) -> str:
        """The code of the diagnostic that it gives; empty where it gives none."""
        return self._mark("gives ")

    @property
    def is_run(self) -> bool:
        return self.is_runbook and not self.code and not self._mark("not run: ")

    @property
    def options(self) -> list[str]:
        """What its run is given."""
        return shlex.split(self._mark("give "))

    @property
    def exit_code(self) -> int:
        """What its run ends with."""
        return int(self._mark("ends with ") or 0)

    @property
    def other_file(self) -> str:
        """The name of the file that it is if it is not a runbook; empty if it is none."""
        return self._mark("file ")

    @property
    def configuration(self) -> dict[str, object]:
        """The keys of the setting RUNBOOK that are other ones for it."""
        found: dict[str, object] = json.loads(self._mark("with ") or "{}")
        return found

    def _mark(self, word: str) -> str:
        return next((mark.removeprefix(word) for mark in self.marks if mark.startswith(word)), "")

    @property
    def file(self) -> str:
        """The name of its file."""
        named = _FILE.match(self.text)
        return named[1] if named else _NO_FILE

    def whole(self) -> str:
        """The block as a file."""
        lines = [line for line in self.text.splitlines() if line.strip() and not line.startswith("#")]
        if self.code:
            return self.text
        if lines[0].startswith("- "):
            return f"steps:\n{self.text}"
        is_whole = any(re.match(r"steps:", line) for line in lines)
        return self.text if is_whole else f"{self.text}steps: [check]\n"


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, in its order."""
    return list(_blocks_in(page, page.read_text()))


@cache
def _blocks_in(page: Path, text: str) -> tuple[Block, ...]:
    return tuple(
        Block(
            page=page,
            index=index,
            language=match[2],
            text=match[3],
            marks=tuple(line.removeprefix("% ") for line in _marks_before(text, match.start())),
            start=match.start(3),
            end=match.end(3),
            line=text.count("\n", 0, match.start()) + 1,
        )
        for index, match in enumerate(_FENCE.finditer(text))
    )


@contextmanager
def rewriting(page: Path) -> Iterator[Callable[[str], object]]:
    """Yield a function that replaces the text of a page, while no other process of the tests rewrites one."""
    descriptor = os.open(DOCS, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        new = page.with_suffix(".new")
        # Another process may be reading the page.
        yield lambda text: (new.write_text(text), new.replace(page))
    finally:
        os.close(descriptor)


def _marks_before(text: str, offset: int) -> list[str]:
    # Backwards from the block: a search for an end of the text tries each line of the page.
    lines = text[:offset].splitlines()
    marks = list(takewhile(lambda line: line.startswith("% "), reversed(lines)))
    return marks[::-1]


def headings_of(page: Path, *, level: int) -> list[str]:
    """The headings of one level."""
    return [match[2] for match in _HEADING.finditer(_without_blocks(page.read_text())) if len(match[1]) == level]


def section_of(page: Path, heading: str) -> str:
    """The text under a heading, up to the next one of its level or above."""
    text = page.read_text()
    headings = list(_HEADING.finditer(_without_blocks(text)))
    own = next((match for match in headings if match[2] == heading), None)
    assert own is not None, f"{page.name} has no heading {heading!r}"
    after = [match.start() for match in headings if match.start() > own.start() and len(match[1]) <= len(own[1])]
    return text[own.end() : min(after, default=len(text))]


@cache
def _without_blocks(text: str) -> str:
    """The text with each block blanked out, so that offsets stay true."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def names_in_table(text: str) -> list[str]:
    """Returns the code in the first column of the tables of a text."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ", 1)[0])]


def write_files(page: Path, directory: Path) -> None:
    """Write the blocks of a page that have names of their own, so that they can name each other."""
    for block in blocks_of(page):
        if block.is_runbook and block.file != _NO_FILE:
            (directory / block.file).write_text(block.whole())
        elif block.other_file:
            (directory / block.other_file).write_text(block.text)


def commands_of(page: Path) -> dict[str, type[BaseCommand]]:
    """The commands that a page shows, by their names."""
    found = {}
    for block in blocks_of(page):
        named = _COMMAND.match(block.text)
        if block.language == "python" and named is not None:
            names: dict[str, Any] = {"__name__": f"flights.management.commands.{named[1]}"}
            exec(compile(block.text, block.id, "exec"), names)
            found[named[1]] = names["Command"]
    return found


def call(name: str | BaseCommand, *words: str) -> tuple[str, int]:
    """What a command writes, as a terminal shows it, and its exit code."""
    shown, exit_code = io.StringIO(), 0
    command: Any = load_command_class(get_commands()[name], name) if isinstance(name, str) else name
    # As on a command line, where the exit code says what an exception says to a caller.
    command._called_from_command_line = name in {"run_runbook", "check_runbooks", "import_script", "import_crontab"}
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        call_command(command, *words, stdout=shown, stderr=shown)
    except SystemExit as error:
        exit_code = int(error.code or 0)
    except CommandError as error:
        shown.write(f"CommandError: {error}\n")
        exit_code = error.returncode
    finally:
        # A run on a command line keeps them until its process ends.
        for number, handler in handlers.items():
            signal.signal(number, handler)
    # In a test, which a page does not show.
    return re.sub(r"^  all steps run in this process: .*\n", "", shown.getvalue(), flags=re.MULTILINE), exit_code


def check(block: Block, directory: Path) -> str:
    """What is said of a block in this directory, without the last line, which counts."""
    (directory / block.file).write_text(block.whole())
    with override_settings(RUNBOOK={**settings.RUNBOOK, **block.configuration}):
        text, _ = call("check_runbooks", block.file)
    text = re.sub(r"\n?^(\d+ (errors?|warnings?)(, )?)+ in .*\n\Z", "", text, flags=re.MULTILINE)
    # The tests have one host, which a page does not show.
    others = [one for one in text.split("\n\n") if "]: all workers must run on this host: " not in one]
    return "\n\n".join(others).rstrip("\n") + "\n" if others else f"{block.file}: no problems\n"


def answered(block: Block) -> str:
    """A console block with what its commands write now."""
    text, exit_code = "", 0
    commands = commands_of(block.page)
    assert block.text.startswith("$ "), f"{block.id} answers nothing"
    for line in block.text.splitlines():
        if not line.startswith("$ "):
            continue
        text += f"{line}\n"
        if line == "$ echo $?":
            text += f"{exit_code}\n"
        elif (words := shlex.split(line.removeprefix("$ ")))[0] in _TOOLS:
            _TOOLS[words[0]](words[1:])
        else:
            name, *more = _words_of(line)
            shown, exit_code = call(commands[name]() if name in commands else name, *more)
            text += shown
    return text


def _copy(words: list[str]) -> None:
    source, target = words
    shutil.copyfile(source, target)


def _replace(words: list[str]) -> None:
    option, script, file = words
    assert option == "-i", script
    _, old, new, _ = script.split("/")
    text = Path(file).read_text()
    assert old in text, f"{old} is not in {file}"
    Path(file).write_text(text.replace(old, new))


# What a person changes files with, the same on all systems.
_TOOLS = {"cp": _copy, "sed": _replace}


def _words_of(line: str) -> Iterator[str]:
    words = shlex.split(line.removeprefix("$ "))
    assert words[:2] == ["python", "manage.py"], line
    return iter(words[2:])


def without_times(text: str) -> str:
    """The text with all durations alike, all times, and the ids of runs."""
    text = _RUNS.sub(r"\1 db44a7fc", text)
    return _MOMENTS.sub("2013-02-01 02:00:00", _TIMES.sub("0.0s", text))
