"""Finds secrets, their parts and their encoded forms in text, and replaces them with the mask."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import unquote, unquote_plus

from django_runbook.cleaning import MASK, cleaned
from django_runbook.document.inputs import MIN_SECRET_LENGTH
from django_runbook.process.escapes import Decoded, decoded

# A port or a year is not a secret, although it may be part of one.
_MIN_NUMBER: Final = 6
# Inside other data, the Base64 form of a part is known except for its edges; short ones would match by chance.
_MIN_EMBEDDED: Final = 10
# A longer part is masked in pieces, because very long lines of output are split.
_PIECE: Final = 1024
_MAX_PARTS: Final = 10_000
# Text without any of these has no escapes.
_MARK: Final = re.compile(r"[\\%&+']")
_MARKS: Final = "\\%&+' "
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Characters that would belong to an escape after its mark, such as the "41" in "%41"; at most eight digits.
_TAKEN: Final = re.compile("#?(?P<run>[A-Za-z0-9]{1,31});?")
_MAX_DIGITS: Final = 8
_TAKING: Final = re.compile(
    r"(?:%[0-9a-fA-F]?|[xuU][0-9a-fA-F]{0,7}|&#?[A-Za-z0-9]{0,31}|[\xc2-\xf4][\x80-\xbf]{0,2}|[\ud800-\udbff])\Z"
)
# The last bytes of a character in UTF-8, each as a character, or the last half of one in UTF-16.
_CONTINUING: Final = re.compile(r"[\x80-\xbf]{1,3}|[\udc00-\udfff]")
_BACKSLASHES: Final = re.compile(r"\\+")
_IN_URLS: Final = str.maketrans("+/", "-_")
# Ordered from rare to frequent in output.
_RARE_FIRST: Final = "QXZJqzjxYKVWkUGHBFPvNMyDLwbRCgOTSAIpufmEhcdl9876543s0n2r1oiate"
_UNRESERVED: Final = frozenset(_RARE_FIRST)
_RUN: Final = re.compile("[A-Za-z0-9]+")
_ANCHOR: Final = 8
_FIRST_OF_ESCAPES: Final = "\\%&+"
_BASE64_IN_URLS: Final = {"+": "-", "/": "_"}


class SecretMasker:
    """Masks secrets in text.

    Programs do not escape letters and digits. Each part of a secret therefore has a few of them as its anchor, and only
    text that contains the anchor is decoded and searched for the part.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._parts = _anchored(_pieces(_parts(secrets)))
        self._anchors = re.compile(_one_of(self._parts) or "(?!)")
        self._plain = functools.cache(lambda part: decoded(part).text)
        self._runs = functools.cache(lambda part: _longest(set(_RUN.findall(part))))

    def __call__(self, text: str) -> str:
        if self._anchors.search(text) is None:
            return text
        parts = [part for part in self._parts_in(text) if all(run in text for run in self._runs(part))]
        if not parts:
            return text
        spans = [span for part in parts for span in _spans_of(part, text)]
        if _MARK.search(text) is not None:
            plain = decoded(text)
            wanted = {(self._plain(part), part.endswith("\\")) for part in parts}
            for word, ends_in_mark in wanted:
                if len(word) >= MIN_SECRET_LENGTH:
                    found = _spans_in_decoded(word, plain, text)
                    spans += ((start, _after_marks(text, end) if ends_in_mark else end) for start, end in found)
        return _masked(text, spans)

    def _parts_in(self, text: str) -> set[str]:
        """Return the parts whose anchor occurs in the text."""
        anchors = set()
        found = self._anchors.search(text)
        while found is not None:
            anchors.add(found[0])
            found = self._anchors.search(text, found.start() + 1)
        beginnings = {anchor[:length] for anchor in anchors for length in range(1, len(anchor) + 1)}
        return {part for beginning in beginnings for part in self._parts.get(beginning, ())}


def _spans_of(word: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(word)
    while start >= 0:
        yield start, start + len(word)
        start = text.find(word, start + 1)


def _spans_in_decoded(word: str, plain: Decoded, text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of a word in text, even if its first or last characters are decoded with adjacent characters.

    An escape mark before the word consumes its first characters, as in ``%25`` before ``41``; a mark at its end
    consumes the characters that follow.
    """
    for head in _heads(word):
        for tail in _tails(word):
            if head + tail < len(word):
                for start, end in _spans_of(word[head : len(word) - tail], plain.text):
                    left = _begin_of(word[:head], text, plain, start)
                    right = _end_of(word[len(word) - tail :], text, plain, end)
                    if left is not None and right is not None:
                        yield left, right


def _after_marks(text: str, end: int) -> int:
    """Return the end of the backslashes after ``end``: the last character of a secret may escape what follows it."""
    found = _BACKSLASHES.match(text, end)
    return found.end() if found else end


def _heads(word: str) -> set[int]:
    """Return the possible numbers of first characters that a preceding mark or lead byte consumes."""
    continuing = _CONTINUING.match(word)
    if continuing is not None:
        return {*range(len(continuing[0]) + 1)}
    found = _TAKEN.match(word)
    return {0, len(found[0]), *range(min(_MAX_DIGITS, len(found["run"])) + 1)} if found else {0}


def _tails(word: str) -> set[int]:
    """Return the possible numbers of last characters that form an escape with the following ones."""
    found = _TAKING.search(word)
    return {0, len(found[0])} if found else {0}


def _begin_of(head: str, text: str, plain: Decoded, start: int) -> int | None:
    if not head:
        return plain.starts[start]
    if not start:
        return None
    first, last = plain.starts[start - 1], plain.ends[start - 1]
    return next((left for left in range(first + 1, last) if decoded(text[left:last]).text == head), None)


def _end_of(tail: str, text: str, plain: Decoded, end: int) -> int | None:
    if not tail:
        return plain.ends[end - 1]
    if end == len(plain.text):
        return None
    first, last = plain.starts[end], plain.ends[end]
    return next((right for right in range(first + 1, last) if decoded(text[first:right]).text == tail), None)


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Replace adjacent and overlapping spans with one mask."""
    pieces: list[str] = []
    last = 0
    for start, end in sorted(spans):
        if start > last or not pieces:
            pieces += [text[last:start], MASK]
        last = max(last, end)
    return "".join(pieces) + text[last:]


def _longest(words: Iterable[str]) -> list[str]:
    return sorted(words, key=lambda word: (-len(word), word))


def _one_of(words: Iterable[str]) -> str:
    """Build a pattern for the longest of these words that reads each character once, however many words there are."""
    rests: defaultdict[str, list[str]] = defaultdict(list)
    for word in words:
        rests[word[:1]].append(word[1:])
    ends = rests.pop("", None)
    branches = [re.escape(first) + _one_of(rest) for first, rest in sorted(rests.items())]
    together = "|".join(branches)
    if not branches or (len(branches) == 1 and ends is None):
        return together
    return f"(?:{together})?" if ends is not None else f"(?:{together})"


def _anchored(parts: Iterable[str]) -> Mapping[str, list[str]]:
    """Group the parts by anchor, so that the anchors begin with few different characters, and rare ones."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    waiting = {part: _anchors_of(part) for part in parts}
    for first in _RARE_FIRST:
        for part in [part for part, anchors in waiting.items() if first in anchors]:
            found[waiting.pop(part)[first]].append(part)
    for part in waiting:
        # The part has no ASCII letter or digit.
        for first in {part[0], *_MARKS}:
            found[first].append(part)
    return found


def _anchors_of(part: str) -> dict[str, str]:
    """Map the first character of each possible anchor to the anchor."""
    runs = _RUN.findall(part)
    length = min(max(map(len, runs), default=0), _ANCHOR)
    return {
        run[start]: run[start : start + _ANCHOR] for run in runs for start in range(len(run) - length + 1) if length
    }


def _parts(secrets: Iterable[str]) -> Iterator[str]:
    """Yield everything that is masked: values, their lines, the displayed form of each, and their Base64 forms."""
    for value in _values(secrets):
        for encoded in _base64_of(value):
            yield from (encoded, encoded.translate(_IN_URLS))
        for text in (value, *value.splitlines()):
            yield text
            yield text.strip()
            yield cleaned(text)
            yield cleaned(text).strip()


def _pieces(parts: Iterable[str]) -> set[str]:
    return {
        part[start : start + _PIECE]
        for part in parts
        for start in range(0, len(part), _PIECE)
        if len(part[start : start + _PIECE]) >= MIN_SECRET_LENGTH
    }


def _values(secrets: Iterable[str]) -> set[str]:
    """Return the secrets and the values inside them, to any depth: leaves of JSON and passwords of URLs."""
    found: set[str] = set()
    waiting = [*secrets]
    while waiting and len(found) < _MAX_PARTS:
        value = waiting.pop()
        if value in found or len(value) < MIN_SECRET_LENGTH:
            continue
        found.add(value)
        waiting += (value.strip(), *_leaves_of_json(value), *_passwords_of(value))
    return found


def _passwords_of(value: str) -> Iterator[str]:
    """Yield the password of each URL in a value, encoded and decoded."""
    for scheme in _SCHEME.finditer(value):
        rest = re.split(r"\s", value[scheme.end() :], maxsplit=1)[0]
        # Some programs accept a password with an unencoded slash.
        for authority in (re.split("[/?#]", rest, maxsplit=1)[0], rest):
            user, separator, _ = authority.rpartition("@")
            _, colon, password = user.partition(":")
            if separator and colon:
                yield from (password, unquote(password), unquote_plus(password))


def _leaves_of_json(value: str) -> Iterator[str]:
    if not value.lstrip().startswith(("{", "[", '"')):
        return
    try:
        waiting = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while waiting:
        match waiting.pop():
            case dict() as one:
                waiting += one.values()
            case list() as one:
                waiting += one
            case str() as one:
                yield one
            case bool() | None:
                pass
            case one if len(str(one)) >= _MIN_NUMBER:
                yield str(one)


def _base64_of(value: str) -> Iterator[str]:
    """Yield the Base64 form of a value alone, and inside other data."""
    data = value.encode(errors="surrogatepass")
    yield base64.b64encode(data).decode().rstrip("=")
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        # The first and the last character contain bits of adjacent data.
        inner = text[-(-before * 4 // 3) : len(text) - ((before + len(data)) % 3 > 0)]
        if len(inner) >= _MIN_EMBEDDED:
            yield inner
