"""Masks secrets in every form in which programs write them, however often they are escaped."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from django.utils.html import escape, escapejs
from hypothesis import assume, given
from hypothesis import strategies as st

from django_runbook.cleaning import MASK
from django_runbook.document.inputs import MIN_SECRET_LENGTH
from django_runbook.process.escapes import decoded
from django_runbook.process.masking import masker
from django_runbook.process.secret_masker import _one_of

SECRET = "p&ss/w'rd\"<9>é%token\\ n\t\\\\'x 😀"


def lower_percent(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote(text, safe=""))


# The quotes of a string are those around it.
ESCAPES: dict[str, Callable[[str], str]] = {
    "repr": lambda text: repr(text)[1:-1],
    "ascii": lambda text: ascii(text)[1:-1],
    "bytes": lambda text: repr(text.encode())[2:-1],
    "json": lambda text: json.dumps(text)[1:-1],
    "json-unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json-slash": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json-html": lambda text: (
        json.dumps(text)[1:-1].replace("<", "\\u003C").replace(">", "\\u003e").replace("&", "\\u0026")
    ),
    "quote": quote,
    "quote-all": lambda text: quote(text, safe=""),
    "quote-plus": quote_plus,
    "quote-lower": lower_percent,
    "quote-most": lambda text: quote(text, safe="!~*'()"),
    "html": html.escape,
    "html-django": escape,
    "html-decimal": lambda text: "".join(one if one.isalnum() and one.isascii() else f"&#{ord(one)};" for one in text),
    "html-hex": lambda text: "".join(one if one.isalnum() and one.isascii() else f"&#x{ord(one):X};" for one in text),
    "html-named": lambda text: html.escape(text).replace("é", "&eacute;").replace("/", "&sol;"),
    "javascript": lambda text: str(escapejs(text)),
    "sql": lambda text: text.replace("'", "''"),
    "sql-mysql": lambda text: text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"'),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_each_escape_is_masked_and_so_is_each_of_it_escaped_again(name: str) -> None:
    mask = masker([SECRET])
    once = ESCAPES[name](SECRET)
    assert mask(f"<{once}>") == f"<{MASK}>"
    assert {again: mask(escape(once)) for again, escape in ESCAPES.items()} == dict.fromkeys(ESCAPES, MASK)


@pytest.mark.slow
@given(
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=MIN_SECRET_LENGTH, max_size=30),
    names=st.lists(st.sampled_from(sorted(ESCAPES)), max_size=3),
    around=st.tuples(*[st.text("ab \n<>(),:;=é", max_size=10)] * 2),
)
def test_no_secret_is_visible_after_any_three_escapes(secret: str, names: list[str], around: tuple[str, str]) -> None:
    text = secret
    for name in names:
        text = ESCAPES[name](text)
    # A secret that consists of escape marks only has no distinct form.
    assume(len(decoded(secret).text) >= MIN_SECRET_LENGTH)
    masked = masker([secret])(around[0] + text + around[1])
    assert MASK in masked
    assert text not in masked
    assert len(masked) <= len(around[0]) + len(MASK) + len(around[1])


BEFORE = ["", "%", "%25", "%2525", "%2", "\\", "\\\\", "\\x", "\\u00", "%5C", "&", "&#", "&#x", "&amp;", "'", "+"]
AFTER = ["", "41", "n", "p;", "65;", "'", "\\n", "u0041", "%"]


@pytest.mark.parametrize("name", ["ascii", "json", "sql-mysql"])
def test_characters_next_to_a_secret_that_form_one_with_it_do_not_hide_it(name: str) -> None:
    for secret in ("\x80\x80w0rd", "\x80w0rd\\", "w0rd\\", "w0rd\\\\", "\udc00w0rd", "w0rd\ud800", "w0rd%4\\"):
        once = ESCAPES[name](secret)
        for before in ("", "\xe9", "\xc3", "\xf0", "\ud800"):
            for after in ("", "a", "n", "x41", "u0041", "41", "\udc00", "\x80"):
                assert masker([secret])(f"{before}{once}{after}") in {f"{before}{MASK}{after}", MASK + after}


@pytest.mark.parametrize(
    "secret", ['41/ab"c d', 'n3w"word', "beef/x y", 'amp;x"word', 'abc"word%', "abc<word%4", 'abc"word&am']
)
@pytest.mark.parametrize("name", ["json", "quote-all", "html", "sql"])
def test_escape_marks_next_to_a_secret_do_not_hide_it(secret: str, name: str) -> None:
    mask = masker([secret])
    for once in (ESCAPES[name](secret), ESCAPES[name](ESCAPES[name](secret))):
        for before in BEFORE:
            for after in AFTER:
                masked = mask(f"{before}{once}{after}")
                assert MASK in masked
                assert not re.search("41.*ab|3w|ef|word", masked.removeprefix(before))


@pytest.mark.parametrize("urlsafe", [False, True])
@pytest.mark.parametrize("secret", [SECRET, "hunter2", "abcd", "a??>>?~~"])
def test_base64_is_masked(secret: str, *, urlsafe: bool) -> None:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    mask = masker([secret])
    assert re.fullmatch(r"\*\*\*={0,2}", mask(encode(secret.encode()).decode()))
    assert mask(f"echo {encode(f'{secret}{chr(10)}'.encode()).decode()}").startswith("echo ***")


@pytest.mark.parametrize("user", ["", "a", "ab", "abc"])
def test_base64_of_a_longer_secret_inside_other_data_is_masked(user: str) -> None:
    secret = "c0rrect-h0rse-battery"
    masked = masker([secret])(base64.b64encode(f"{user}:{secret}, and more".encode()).decode())
    assert MASK in masked
    assert len(masked) < 28


URLS = [
    ("postgres://shop:c0rrect%2Fh0rse@db.example.com:5432/shop", ["c0rrect%2Fh0rse", "c0rrect/h0rse"]),
    ("redis://:p+w0rd%20x@cache/0", ["p+w0rd%20x", "p+w0rd x", "p w0rd x"]),
    ("amqp://a:one1@h1;amqp://b:two2@h2", ["two2"]),
    ("mysql://u:sl/ash#ed@db/x", ["sl/ash#ed"]),
    ('{"default": {"url": "postgres://shop:inn3r@db/x"}}', ["inn3r"]),
]


@pytest.mark.parametrize(("secret", "passwords"), URLS)
def test_the_password_of_a_url_is_masked_as_it_is_written_and_decoded(secret: str, passwords: list[str]) -> None:
    mask = masker([secret])
    assert [mask(f"<{password}>") for password in passwords] == [f"<{MASK}>" for _ in passwords]


def test_the_values_of_json_and_their_lines_are_masked() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg+/\nab\n-----END KEY-----\n"
    mask = masker([json.dumps({"key": key, "pin": 48151623, "port": 5432, "on": True, "in": json.dumps(["n3sted"])})])
    assert mask(key) == MASK
    assert [mask(line) for line in key.splitlines()] == [MASK, MASK, "ab", MASK]
    assert mask("48151623 5432 True true n3sted") == f"{MASK} 5432 True true {MASK}"


def test_a_secret_is_masked_as_it_looks_without_its_control_characters() -> None:
    mask = masker(["se\x1b[31mcr\u200bet\x07-x"])
    assert mask("secret-x") == MASK


@pytest.mark.slow
def test_a_secret_longer_than_a_line_of_output_is_masked() -> None:
    secret = "".join(f"{number:04x}+/" for number in range(20_000))
    masked = masker([secret])(f"<{secret}> <{quote(secret[:2048])}>")
    assert set(masked) == set("<*> ")


@pytest.mark.parametrize(
    "secret", ["\\" * 8 + "a", "'" * 30 + "b", "\\'" * 20 + "z", "%25" * 10, "&amp;" * 10, '"' * 40]
)
@pytest.mark.parametrize("text", ["\\" * 5000, "'" * 5000, "\\'" * 5000, "%25" * 5000, "&amp;" * 5000, '\\"' * 5000])
def test_masking_is_fast_for_any_text(secret: str, text: str) -> None:
    # With more than one way to decode a text, this would take hours.
    mask = masker([secret])
    assert MASK in mask(f"{text}azb{secret}")


def test_short_strings_are_not_masked() -> None:
    text = "abc def 0 true"
    assert masker(["abc", "a", "", '["de", 0]', "u://x:abc@d"])(text) == text


@given(words=st.sets(st.text("ab.\\", min_size=1, max_size=5), min_size=1), text=st.text("ab.\\", max_size=30))
def test_the_longest_word_is_found_first(words: set[str], text: str) -> None:
    one_by_one = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))))
    together = re.compile(_one_of(words))
    assert [found.span() for found in together.finditer(text)] == [found.span() for found in one_by_one.finditer(text)]
