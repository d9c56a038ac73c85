"""Removes what is around a management command: users, containers, timeouts, locks and interpreters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from django_runbook.importing.draft import Note, Plain
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.translation.known_commands import WRAPPERS, Wrapper
from django_runbook.importing.translation.pieces import Literal, Pieces, as_text, base_name, literal_of
from django_runbook.importing.translation.scope import Names
from django_runbook.structs import MutableStruct, field

_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_REMOVES: Final = re.compile(r"-[a-z]*[iu].*|-|--ignore-environment|--unset\b.*")
_SHELL: Final = re.compile(r"(?:ba|da|z|k)?sh")
_MAX_LAYERS: Final = 12


class Unwrapped(MutableStruct):
    """Holds a command without what was around it; ``script`` is the text of ``sh -c`` instead of words."""

    words: list[Pieces]
    line: int
    names: Names
    script: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    timeout: str | None = None
    lock: dict[str, Plain] | None = None
    notes: list[Note] = field(default_factory=list)

    def note(self, subject: str, text: str) -> None:
        self.notes.append(Note(line=self.line, subject=subject, text=text))


def unwrap(words: list[Pieces], *, line: int, names: Names) -> Unwrapped:
    """Remove all wrappers that are known; raise NotCarried for a use of them that has no counterpart."""
    made = Unwrapped(words=list(words), line=line, names=names)
    for _ in range(_MAX_LAYERS):
        if not made.words or not _remove_one(made):
            break
    return made


def _remove_one(made: Unwrapped) -> bool:
    name = base_name(made.words[0])
    own = _OWN.get(name)
    if own is not None:
        before = len(made.words)
        own(made)
        return len(made.words) < before and bool(made.words)
    if _SHELL.fullmatch(name):
        _remove_shell(made)
        return False
    return any(_remove(made, wrapper) for wrapper in WRAPPERS.get(name, ()))


def _remove(made: Unwrapped, wrapper: Wrapper) -> bool:
    rest = made.words[1:]
    env: dict[str, str] = {}
    for sub_command in wrapper.first:
        rest = _after_options(rest, wrapper, env)
        if not rest or literal_of(rest[0]) != sub_command:
            return False
        rest = rest[1:]
    rest = _after_variables(_after_options(rest, wrapper, env), wrapper, env)
    rest = _after_options(rest, wrapper, env)[wrapper.arguments :]
    if wrapper.ends_with_dashes:
        rest = _after_options(rest, wrapper, env)
    if rest and literal_of(rest[0]) == "--":
        rest = rest[1:]
    if not rest:
        return False
    removed = [literal_of(pieces) or as_text(pieces) for pieces in made.words[: len(made.words) - len(rest)]]
    if wrapper.reason:
        made.note(" ".join(removed), wrapper.reason)
    elif any(_REMOVES.fullmatch(word) for word in removed if base_name(made.words[0]) == "env"):
        made.note(" ".join(removed), "commands see the whole environment of the run: remove variables where it starts")
    made.env |= env
    made.words = rest
    return True


def _after_options(words: list[Pieces], wrapper: Wrapper, env: dict[str, str] | None = None) -> list[Pieces]:
    """Return the words after the options of a wrapper; ``env`` gets the variables that they set."""
    rest = list(words)
    while rest and (text := literal_of(rest[0])) is not None and text.startswith("-") and text != "--":
        rest.pop(0)
        if text in wrapper.options and rest:
            variable = _variable_of(rest.pop(0))
            if variable is not None and env is not None and text in wrapper.variable_options:
                env[variable[0]] = variable[1]
        elif any(text.startswith(f"{option}=") for option in wrapper.variable_options) and env is not None:
            variable = _variable_of((Literal(text=text.partition("=")[2]),))
            env |= dict([variable]) if variable is not None else {}
    return rest


def _after_variables(words: list[Pieces], wrapper: Wrapper, env: dict[str, str]) -> list[Pieces]:
    rest = list(words)
    while wrapper.takes_variables and rest and (found := _variable_of(rest[0])) is not None:
        env[found[0]] = found[1]
        rest.pop(0)
    return rest


def _variable_of(pieces: Pieces) -> tuple[str, str] | None:
    first = pieces[0] if pieces else None
    match = _ASSIGNMENT.fullmatch(first.text) if isinstance(first, Literal) else None
    return None if match is None else (match[1], as_text((Literal(text=match[2]), *pieces[1:])))


def _remove_timeout(made: Unwrapped) -> None:
    wrapper = Wrapper(options=frozenset(("-s", "--signal", "-k", "--kill-after")))
    rest = _after_options(made.words[1:], wrapper)
    text = literal_of(rest[0]) if rest else None
    seconds = seconds_of(text or "")
    if seconds is None or len(rest) < 2:
        raise NotCarried("the duration of timeout is not a number")
    if seconds:
        made.timeout = as_duration(seconds)
    made.words = rest[1:]


def _remove_flock(made: Unwrapped) -> None:
    options, rest = _flock_options(made.words[1:])
    if len(rest) < 2:
        return
    path = literal_of(rest[0])
    if path is None:
        raise NotCarried("the name of the lock depends on a variable")
    made.lock = lock_of(made.names.lock(path), options)
    if literal_of(rest[1]) in {"-c", "--command"}:
        made.script = _script_of(rest[2:])
        made.words = []
        return
    made.words = rest[1:]


def _flock_options(words: list[Pieces]) -> tuple[dict[str, str], list[Pieces]]:
    rest, options = list(words), dict[str, str]()
    while rest and (text := literal_of(rest[0])) is not None and text.startswith("-"):
        rest.pop(0)
        name, _, value = text.partition("=")
        flags = [name] if name.startswith("--") else [f"-{letter}" for letter in name[1:]]
        for flag in flags:
            long = _FLOCK.get(flag, flag)
            options[long] = value
            if long in {"--wait", "--conflict-exit-code"} and not value and rest:
                options[long] = literal_of(rest.pop(0)) or ""
    return options, rest


def flock_options(words: list[Pieces]) -> tuple[dict[str, str], list[Pieces]]:
    """Return the options of a call of ``flock`` and its other arguments."""
    return _flock_options(words)


def lock_of(name: str, options: dict[str, str]) -> dict[str, Plain]:
    """Return the ``lock`` that does what a call of ``flock`` did; raise NotCarried."""
    if "--shared" in options or "--unlock" in options:
        raise NotCarried(
            "a shared lock, and its release, have no counterpart: a lock is exclusive and ends with its step"
        )
    if "--nonblock" in options:
        is_skip = options.get("--conflict-exit-code") == "0"
        return {"name": name, "on_conflict": "skip" if is_skip else "fail"}
    if "--wait" in options:
        seconds = seconds_of(options["--wait"])
        if seconds is None:
            raise NotCarried("the time that flock waits is not a number")
        if not seconds:
            return {"name": name, "on_conflict": "fail"}
        return {"name": name, "on_conflict": "wait", "wait": as_duration(seconds)}
    return {"name": name, "on_conflict": "wait"}


def _remove_su(made: Unwrapped) -> None:
    texts = [literal_of(pieces) for pieces in made.words]
    place = next((index for index, text in enumerate(texts) if text in {"-c", "--command"}), None)
    if place is None:
        if texts[0] == "su":
            raise NotCarried("su without -c starts a shell")
        _remove(made, Wrapper(options=frozenset(("-u", "--user")), reason="start the run as this user"))
        return
    users = [text for text in (*texts[1:place], *texts[place + 2 :]) if text and not text.startswith("-")]
    made.note(f"{base_name(made.words[0])} {' '.join(users[:1])}".rstrip(), "start the run as this user")
    made.script = _script_of(made.words[place + 1 : place + 2])
    made.words = []


def _remove_shell(made: Unwrapped) -> None:
    texts = [literal_of(pieces) or "" for pieces in made.words]
    place = next((index for index, text in enumerate(texts) if re.fullmatch(r"-[a-z]*c", text)), None)
    if place is None or any(not text.startswith("-") for text in texts[1:place]):
        return
    made.script = _script_of(made.words[place + 1 : place + 2])
    made.words = []


def _script_of(words: list[Pieces]) -> str:
    texts = [literal_of(pieces) for pieces in words]
    if len(texts) != 1 or texts[0] is None:
        raise NotCarried("a command inside quotes with a variable of the script in it")
    return texts[0]


def seconds_of(text: str) -> float | None:
    """Return a duration of ``sleep`` or ``timeout`` in seconds; None if it is not one."""
    match = _DURATION.fullmatch(text)
    return None if match is None else float(match[1]) * _SECONDS[match[2]]


def as_duration(seconds: float) -> str:
    """Write seconds as a duration of a runbook, in the largest unit that fits."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s" if seconds < 1e6 else f"{int(seconds)}s"


_FLOCK: Final = {
    "-n": "--nonblock", "--nb": "--nonblock", "-w": "--wait", "--timeout": "--wait", "-E": "--conflict-exit-code",
    "-s": "--shared", "-u": "--unlock", "-x": "--exclusive", "-e": "--exclusive",
}  # fmt: skip
_OWN: Final[dict[str, Callable[[Unwrapped], None]]] = {
    "timeout": _remove_timeout,
    "gtimeout": _remove_timeout,
    "flock": _remove_flock,
    "su": _remove_su,
    "runuser": _remove_su,
}
