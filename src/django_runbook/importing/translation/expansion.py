"""Expands the words of the shell into pieces whose values are known, or are expressions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import Simple
from django_runbook.importing.shell.reader import read_statements
from django_runbook.importing.shell.words import Opaque, Part, ShellWord, Substitution, Text, Variable
from django_runbook.importing.translation.dates import date_expression
from django_runbook.importing.translation.pieces import Expr, Literal, Piece, Pieces, as_text, literal_of, merge
from django_runbook.importing.translation.scope import ShellScope

_SPECIAL: Final = {
    "?": "the exit code of the command before",
    "$": "the number of the shell's process",
    "!": "the number of a process",
    "#": "the number of arguments",
    "0": "the name of the script",
    "-": "the options of the shell",
    "_": "the last word of the command before",
}
_OF_SHELL: Final = {"RANDOM", "SECONDS", "LINENO", "PWD", "OLDPWD", "BASH_SOURCE", "FUNCNAME", "PPID", "BASHPID", "IFS"}
_SPACE: Final = re.compile(r"[ \t\n]+")
_GLOB: Final = re.compile(r"[*?]|\[[^]]*\]")


def expand_all(words: Sequence[ShellWord], scope: ShellScope) -> list[Pieces]:
    """Return the expanded words of a command; one word may become several, or none. Raise NotCarried."""
    return [expanded for word in words for expanded in expand(word, scope)]


def expand(word: ShellWord, scope: ShellScope) -> list[Pieces]:
    """Return what a word becomes: an unquoted variable of the script is split, as the shell does it."""
    made: list[list[Piece]] = [[]]
    # An empty word stays one if a part of it is quoted.
    kept = [False]
    for part in word.parts:
        is_list = isinstance(part, Variable) and part.name in {"@", "*"} and not part.operator
        is_whole = is_list or isinstance(part, Text | Opaque) or part.is_quoted
        fields = _arguments(scope) if is_list else _fields(part, scope)
        for number, field in enumerate(fields):
            if number:
                made.append([])
                kept.append(False)
            made[-1] += field
            kept[-1] = kept[-1] or is_whole
    words = [tuple(merge(pieces)) for pieces in made]
    return [pieces for pieces, is_kept in zip(words, kept, strict=True) if pieces or is_kept]


def expand_quoted(word: ShellWord, scope: ShellScope) -> Pieces:
    """Return a word that is not split: a value of an assignment, or the text of a here-document."""
    return tuple(merge([piece for part in word.parts for piece in _pieces(part, scope)]))


def _fields(part: Part, scope: ShellScope) -> list[Pieces]:
    pieces = _pieces(part, scope)
    if isinstance(part, Text | Opaque) or part.is_quoted:
        return [pieces]
    if isinstance(part, Variable) and any(isinstance(one, Text) and _SPACE.search(one.value) for one in part.default):
        raise NotCarried(f"the shell splits the default of ${part.name} into arguments: list them as a param")
    scope.declared.unsplit |= {
        piece.source for piece in _spelled(pieces) if isinstance(piece, Expr) and _may_split(piece)
    }
    value = literal_of(pieces)
    if value is not None and value == value.strip() and len(value.split()) == 1 and not value.startswith("-"):
        # It stays a variable of the runbook.
        _refuse_pattern(value, part)
        return [pieces]
    fields: list[list[Piece]] = [[]]
    for piece in _spelled(pieces):
        if isinstance(piece, Expr):
            fields[-1].append(piece)
            continue
        _refuse_pattern(piece.text, part)
        for number, text in enumerate(_SPACE.split(piece.text)):
            if number:
                fields.append([])
            fields[-1] += [Literal(text=text)] if text else []
    # An empty field in the middle is none; one at an end separates its neighbours.
    last = len(fields) - 1
    return [tuple(field) for number, field in enumerate(fields) if field or number in {0, last}]


def _may_split(piece: Expr) -> bool:
    return piece.is_text and re.match(r"(params|env|secrets|steps)\.", piece.source) is not None


def _spelled(pieces: Pieces) -> list[Piece]:
    """Return pieces in which the shell finds the spaces: those of variables whose value has some are written out."""
    made: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Expr) and piece.literal is not None:
            made.append(Literal(text=piece.literal))
        elif isinstance(piece, Expr) and piece.spaced:
            made += _spelled(piece.spaced)
        else:
            made.append(piece)
    return made


def _refuse_pattern(text: str, part: Part) -> None:
    if _GLOB.search(text):
        source = f"${part.name}" if isinstance(part, Variable) else getattr(part, "source", "")
        raise NotCarried(f"the shell expands the pattern in {source} to names of files")


def _arguments(scope: ShellScope) -> list[Pieces]:
    if scope.positionals is None:
        raise NotCarried("the number of arguments of the script is unknown: name them as params")
    return list(scope.positionals)


def _pieces(part: Part, scope: ShellScope) -> Pieces:
    match part:
        case Text():
            return (Literal(text=part.value),)
        case Variable():
            return _variable(part, scope)
        case Substitution():
            return substituted(part, scope)
        case Opaque():
            raise NotCarried(part.reason)


def _variable(part: Variable, scope: ShellScope) -> Pieces:
    name = part.name
    if name in _SPECIAL:
        raise NotCarried(f"${name} is {_SPECIAL[name]}")
    if name in _OF_SHELL and name not in scope.values:
        raise NotCarried(f"${name} is a variable of the shell")
    if name.isdigit():
        return _positional(part, scope)
    if name in scope.values:
        value = scope.lookup(name)
        return value if not part.operator or literal_of(value) != "" else _default(part, scope)
    if not part.operator or "?" in part.operator:
        return (scope.environment(name, None),)
    default = as_text(_default(part, scope))
    found = scope.environment(name, default)
    if "=" in part.operator:
        scope.values[name] = (found,)
    return (found,)


def _positional(part: Variable, scope: ShellScope) -> Pieces:
    index = int(part.name) - 1
    if scope.positionals is not None:
        if index < len(scope.positionals) and literal_of(scope.positionals[index]) != "":
            return scope.positionals[index]
        return _default(part, scope)
    return (_parameter(part, scope),)


def _parameter(part: Variable, scope: ShellScope) -> Expr:
    name = part.name
    if not part.operator or "?" in part.operator:
        return scope.parameter(name, {"type": "string"})
    pieces = _default(part, scope)
    value = literal_of(pieces)
    if value is not None:
        return scope.parameter(name, value)
    text = as_text(pieces)
    if any(isinstance(piece, Expr) and not _fits_default(piece.source) for piece in pieces):
        raise NotCarried(f"the default of ${part.name} depends on a value that is not known before the run")
    is_date = len(pieces) == 1 and isinstance(pieces[0], Expr) and pieces[0].source.startswith("today")
    is_date = is_date and "." not in text
    return scope.parameter(name, {"type": "date" if is_date else "string", "default": text})


def _fits_default(source: str) -> bool:
    return not re.search(r"\b(params|vars|env|secrets|steps|item)\b", source)


def _default(part: Variable, scope: ShellScope) -> Pieces:
    return tuple(piece for one in part.default for piece in _pieces(one, scope))


def substituted(part: Substitution, scope: ShellScope) -> Pieces:
    """Return the output of a command that is known: of ``date`` and ``echo``."""
    statements = read_statements(part.source, first_line=part.line)
    only = statements[0] if len(statements) == 1 else None
    unknown = NotCarried(f"the output of $({part.source}) is known to the shell only")
    if not isinstance(only, Simple) or only.assignments or only.redirects or not only.words:
        raise unknown
    name = only.program
    if name == "date":
        arguments = [literal_of(pieces) for pieces in expand_all(only.words[1:], scope)]
        known = [text for text in arguments if text is not None]
        if len(known) < len(arguments):
            raise NotCarried("date with a variable has no counterpart: use a param of type date and days(n)")
        return (date_expression(known),)
    if name == "echo":
        words = expand_all(only.words[1:], scope)
        spaced: list[Piece] = []
        for pieces in words:
            spaced += [Literal(text=" "), *pieces] if spaced else pieces
        return tuple(spaced)
    raise unknown
