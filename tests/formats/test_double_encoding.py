"""S3 re-codes header values; what comes back is what was sent."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3ec.errors import MalformedMetadataError
from s3ec.formats import parse_object, render_object
from s3ec.formats.detection import object_fields
from s3ec.formats.double_encoding import repair

from support import headers
from support.double_encoding import as_s3_answers

REAL_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))


def quoted(text: str) -> str:
    """S3's answer as one quoted word."""
    data = text.encode("utf-8").decode("latin-1").encode("utf-8")
    body = "".join(chr(b) if 32 < b < 127 and b not in b"=?_" else f"={b:02X}" for b in data).replace("=20", "_")
    return f"=?UTF-8?Q?{body}?="


@pytest.mark.parametrize(
    ("answered", "sent"),
    [
        ('=?UTF-8?Q?{"key":"=C3=83=C2=A5=C3=83=C2=A4=C3=83=C2=B6"}?=', '{"key":"åäö"}'),
        ("=?UTF-8?Q?caf=C3=83=C2=A9?=", "café"),
        ("=?UTF-8?B?w4PCpcODwqXDg8Kl?=", "ååå"),
        ("=?UTF-8?B?w6TCuMKtw6bClsKH?=", "中文"),
        ("=?UTF-8?B?w7DCn8KYwoA=?=", "😀"),
        ("=?utf-8?q?caf=c3=83=c2=a9_noir?=", "café noir"),
        # Words that end within a character, by quoted and by base64 halves, with any blank between them.
        ("=?UTF-8?Q?caf=C3?= =?UTF-8?Q?=83=C2=A9?=", "café"),
        ("=?UTF-8?Q?caf=C3=83=C2?=\r\n =?UTF-8?B?qQ==?=", "café"),
        ("=?UTF-8?Q?caf=C3=83?==?UTF-8?Q?=C2=A9?=", "café"),
        # Only blanks stand between words that belong together; other text stays.
        ("=?UTF-8?Q?=C3=83=C2=A9?= und =?UTF-8?Q?=C3=83=C2=A9?=", "é und é"),
        # A word in the middle of other text.
        ('{"a":"=?UTF-8?Q?=C3=83=C2=A5?="}', '{"a":"å"}'),
        # Raw UTF-8, as Python's HTTP stack reads it: from servers that do not re-code.
        ("caf\xc3\xa9", "café"),
        ("\xe4\xb8\xad\xe6\x96\x87", "中文"),
        # What can have been neither: left alone.
        ("caf\xe9", "caf\xe9"),
        ("中文", "中文"),
        ("caf\xc3\xa9 caf\xe9", "café caf\xe9"),
        ("=?UTF-8?Q?caf=C3=A9?=", "café"),
        ("=?UTF-8?Q?caf=FF=FE?=", "=?UTF-8?Q?caf=FF=FE?="),
        ("=?UTF-8?B?w4P?=", "=?UTF-8?B?w4P?="),
        ("=?ISO-8859-1?Q?caf=E9?=", "=?ISO-8859-1?Q?caf=E9?="),
        # ASCII that only looks like a word was written by a caller: S3 re-codes no ASCII.
        ("=?UTF-8?Q?abc?=", "=?UTF-8?Q?abc?="),
        ('{"a":"=?UTF-8?B?YWJj?="}', '{"a":"=?UTF-8?B?YWJj?="}'),
        ("", ""),
        ('{"a":"1"}', '{"a":"1"}'),
    ],
)
def test_repair(answered: str, sent: str) -> None:
    """Each recorded or possible answer of a server becomes the text that was sent, or stays as it is."""
    assert repair(answered) == sent


@given(st.dictionaries(REAL_TEXT, REAL_TEXT, max_size=4))
@example({"": "=?UTF-8?Q?=C3=83=C2=A5?="})
def test_a_raw_context_survives_s3(pairs: dict[str, str]) -> None:
    """JSON with raw characters, as Go and Ruby write it, comes back from S3's re-coding, in both kinds of words."""
    sent = json.dumps(pairs, ensure_ascii=False)
    if "=?" in sent:
        return  # ambiguous on the wire; we never write it
    stored = sent.encode("utf-8").decode("latin-1")
    assert repair(as_s3_answers(stored)) == sent
    assert repair(stored) == sent
    if not sent.isascii():
        assert repair(quoted(sent)) == sent


@given(st.dictionaries(REAL_TEXT, REAL_TEXT, max_size=4))
@example({"word": "=?UTF-8?Q?=C3=83=C2=A5?="})
def test_what_we_write_needs_no_repair(pairs: dict[str, str]) -> None:
    """Our own context passes S3 untouched, even where it holds what looks like an encoded word."""
    content_metadata = replace(parse_object(headers.v2()), description=pairs)
    rendered = render_object(content_metadata)
    assert as_s3_answers(rendered["x-amz-matdesc"]) == rendered["x-amz-matdesc"]
    assert repair(rendered["x-amz-matdesc"]) == rendered["x-amz-matdesc"]
    assert parse_object(rendered).description == pairs


@pytest.mark.slow
@given(st.text())
def test_repair_takes_anything(text: str) -> None:
    """Whatever a server answers, the repair gives text."""
    assert isinstance(repair(text), str)


def test_hostile_values_cost_no_more_than_their_length() -> None:
    """Openings of words without an end are not tried again and again."""
    for piece in ("=?utf-8?q?", "=?UTF-8?B?w4P", "=?UTF-8?Q?=C3?= ", "\xc3"):
        text = piece * 30_000
        assert isinstance(repair(text), str)


@pytest.mark.parametrize("name", ["x-amz-matdesc", "x-amz-t"])
def test_only_descriptions_are_repaired(name: str) -> None:
    """The repair reaches the stored context of each format."""
    answered = as_s3_answers('{"k":"å"}'.encode().decode("latin-1"))
    assert answered.startswith("=?UTF-8?B?")
    metadata = headers.v2() if name == "x-amz-matdesc" else headers.v3_kms()
    assert parse_object({**metadata, name: answered}).description == {"k": "å"}
    assert parse_object({**headers.v3(), "x-amz-m": answered}).description == {"k": "å"}


def test_base64_fields_are_not_repaired() -> None:
    """An encoded word in a base64 field is damage, not an encoding."""
    word = f"=?UTF-8?Q?{headers.b64(headers.IV_GCM)}?="
    with pytest.raises(MalformedMetadataError):
        parse_object(headers.v2(**{"x-amz-iv": word}))


def test_words_that_are_no_base64_are_left_alone() -> None:
    """What one decoder would take in part, and another refuse, is nobody's text."""
    for text in ("=?utf-8?b?w6k=w6k=?=", "=?utf-8?b?=w6k?=", "=?utf-8?b?w6k?="):
        assert repair(text) == text


def test_the_other_fields_of_an_object_are_as_they_came() -> None:
    """Though they look as if S3 had encoded them twice."""
    word = "=?utf-8?b?w6k=?="
    fields = object_fields({"x-amz-iv": word, "x-amz-matdesc": word})
    assert fields == {"x-amz-iv": word, "x-amz-matdesc": "\u00e9"}
