"""One spelling for bytes, one meaning for JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3ec.errors import MalformedMetadataError
from s3ec.formats import codec

REAL_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    "text",
    [
        "QQ=",  # padding missing
        "QQ",
        "QR==",  # stray bits: the same byte as QQ==
        "QQ==\n",
        " QQ==",
        "QUFB,QUFB",  # two headers joined by an HTTP stack
        "Q-_Q",  # the alphabet of URLs
        "QQ==QQ==",
        "=QQ=",
        "Qé==",
        "Q\x00==",
        "=",
    ],
)
def test_base64_has_one_spelling(text: str) -> None:
    """Whatever lenient decoders would still take for bytes is refused."""
    with pytest.raises(MalformedMetadataError, match="x-amz-iv"):
        codec.decode_base64(text, "x-amz-iv")


@given(st.binary())
def test_base64_round_trip(data: bytes) -> None:
    """Bytes come back, the empty ones included."""
    assert codec.decode_base64(codec.encode_base64(data), "x-amz-iv") == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a":"1"} x',
        '{"a":"1","a":"1"}',  # a name twice: readers differ in which they take
        '{"a":"1","\\u0061":"2"}',
        "[]",
        '"a"',
        "1",
        "nul",
        '{"a":1}',
        '{"a":1.5}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":null}',
        '{"a":true}',
        '{"a":["1"]}',
        '{"a":{"b":"1"}}',
        '{"a":{"b":"1","b":"2"}}',
        '{"a":"\\ud800"}',  # half a character: no service takes it
        '{"\\udfff":"1"}',
        '{"a":"b\nc"}',  # a raw line break in a string
        '\ufeff{"a":"1"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        '{"a":' + "9" * 10_000 + "}",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_a_description_is_an_object_of_text(text: str) -> None:
    """Anything but a map of text to text is refused, as an error of ours, and without repeating a value."""
    with pytest.raises(MalformedMetadataError, match="x-amz-matdesc") as refusal:
        codec.load_string_map(text, "x-amz-matdesc")
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("text", [None, "null", "{}", " {}\n"])
def test_an_empty_description(text: str | None) -> None:
    """Absent, null and empty all mean no pairs."""
    assert codec.load_string_map(text, "x-amz-matdesc") == {}


@given(st.dictionaries(REAL_TEXT, REAL_TEXT))
@example({"a": "=?UTF-8?Q?x?=", "b": "\x7f\x00 \t", "😀": "é\u2028"})
def test_written_maps_are_plain_ascii_in_the_callers_order(pairs: dict[str, str]) -> None:
    """A written map is printable ASCII without blanks of its own, holds no encoded word, and reads back in order."""
    text = codec.dump_string_map(pairs)
    assert text.isascii()
    assert text.isprintable()
    assert "=?" not in text
    assert list(codec.load_string_map(text, "x-amz-t").items()) == list(pairs.items())
    assert list(json.loads(text).items()) == list(pairs.items())


def test_written_maps_are_compact() -> None:
    """No blank between the parts, and non-ASCII as escapes."""
    assert codec.dump_string_map({"b": "ä ö", "a": "😀"}) == '{"b":"\\u00e4 \\u00f6","a":"\\ud83d\\ude00"}'


def test_integers_stay_text() -> None:
    """An integer of any length is kept as its digits and never computed with."""
    assert codec.load_object('{"n":128}', "file") == {"n": "128"}
    assert isinstance(codec.load_object('{"n":128}', "file")["n"], codec.JsonNumber)
    assert len(str(codec.load_object('{"n":' + "9" * 50_000 + "}", "file")["n"])) == 50_000


def test_foreign_text_in_messages_is_escaped_and_short() -> None:
    """What an attacker wrote forges no line of a log and fills none."""
    assert codec.shown("a\nb\u202e") == "'a\\nb\\u202e'"
    assert len(codec.shown("\x00" * 100_000)) < 300
    with pytest.raises(MalformedMetadataError) as refusal:
        codec.load_string_map('{"' + "n" * 100_000 + '":1}', "x-amz-t")
    assert len(str(refusal.value)) < 300


def test_as_much_as_is_shown() -> None:
    """Sixty characters, and it is told where there are more."""
    assert codec.shown("x" * 60) == repr("x" * 60)
    assert codec.shown("x" * 61) == repr("x" * 60) + "…"
