"""Instruction files: what they may hold, and how file and object must agree."""

from __future__ import annotations

import json

import pytest

from s3ec.algorithms import FormatVersion, WrappingAlgorithm
from s3ec.errors import ConflictingMetadataError, InstructionFileError, MalformedMetadataError
from s3ec.formats import (
    INSTRUCTION_FILE_MAX_LENGTH,
    INSTRUCTION_FILE_SUFFIX,
    LEGACY_DOTNET_SUFFIX,
    is_instruction_file_body,
    judge_instruction_file,
    parse_instruction_file,
    parse_object,
    render_instruction_file,
)

from support import headers

V3_OBJECT = headers.content_of(headers.v3())
V3_FILE = headers.wrapping_of(headers.v3())
DOTNET = {"EncryptedEnvelopeKey": headers.b64(headers.EDK_AES_ECB), "IV": headers.b64(headers.IV_CBC)}


def file(fields: object) -> bytes:
    """The fields as a file."""
    return json.dumps(fields).encode()


def test_suffixes() -> None:
    """The default of every client, and the one of the first .NET clients, which has no dot."""
    assert (INSTRUCTION_FILE_SUFFIX, LEGACY_DOTNET_SUFFIX) == (".instruction", "INSTRUCTION_SUFFIX")


@pytest.mark.parametrize("metadata", [headers.v1(), headers.v2(), headers.v2_cbc()], ids=["v1", "v2", "v2-cbc"])
def test_a_whole_format_in_the_file(metadata: dict[str, str]) -> None:
    """V1 and V2 move into the file as a whole; a length may stay with the object, foreign metadata does not matter."""
    assert parse_instruction_file(file(metadata), {}) == parse_object(metadata)
    noted = {"x-amz-unencrypted-content-length": "17", "team": "hr"}
    assert parse_instruction_file(file(metadata), noted).stored_plaintext_length == 17
    assert parse_instruction_file(file({**metadata, **noted}), {"Team": "hr"}).stored_plaintext_length == 17
    assert is_instruction_file_body(file(metadata))


@pytest.mark.parametrize("metadata", [headers.v3(), headers.v3_kms()], ids=["v3", "v3-kms"])
def test_v3_lies_in_two_places(metadata: dict[str, str]) -> None:
    """The data key lies in the file, what commits to it in the object."""
    body = file(headers.wrapping_of(metadata))
    assert parse_instruction_file(body, headers.content_of(metadata)) == parse_object(metadata)
    assert is_instruction_file_body(body)


def test_a_file_asked_for_wins_over_the_object() -> None:
    """Beside a V3 object that is complete, a file gives another wrapping of the same data key."""
    body = file({"x-amz-3": headers.b64(headers.EDK_RSA), "x-amz-w": "22", "x-amz-m": '{"key":"2"}'})
    content_metadata = parse_instruction_file(body, headers.v3())
    assert content_metadata.encrypted_data_key.ciphertext == headers.EDK_RSA
    assert content_metadata.description == {"key": "2"}
    assert content_metadata.commitment == headers.COMMITMENT


@pytest.mark.parametrize("own", [headers.v1(), headers.v2_cbc()])
def test_a_second_wrapping_of_a_v2_object_must_be_of_the_same_content(own: dict[str, str]) -> None:
    """Beside complete V1 or V2 metadata a file may wrap the key again, but bring no other IV and no other cipher."""
    wrapped = {"x-amz-key-v2": headers.b64(headers.EDK_AES_GCM), "x-amz-wrap-alg": "AES/GCM", "x-amz-tag-len": "0"}
    again = headers.v2_cbc(**{**wrapped, "x-amz-matdesc": "{}"})
    content_metadata = parse_instruction_file(file(again), own)
    assert content_metadata.encrypted_data_key.wrapping_algorithm is WrappingAlgorithm.AES_GCM
    for changed in (
        {"x-amz-iv": headers.b64(bytes(range(2, 18)))},
        {"x-amz-cek-alg": "AES/CBC/NoPadding"},
        {"x-amz-cek-alg": headers.GCM, "x-amz-tag-len": "128"},
    ):
        with pytest.raises(ConflictingMetadataError):
            parse_instruction_file(file({**again, **changed}), own)


@pytest.mark.parametrize("stray", ["x-amz-cek-alg", "x-amz-iv", "x-amz-wrap-alg", "x-amz-matdesc", "x-amz-tag-len"])
def test_an_object_with_a_file_of_v2_states_nothing_itself(stray: str) -> None:
    """Stray keys in the object would be read by one client and ignored by another."""
    with pytest.raises(MalformedMetadataError, match=stray):
        parse_instruction_file(file(headers.v2()), {stray.title(): headers.v2()[stray]})


@pytest.mark.parametrize("name", ["x-amz-c", "x-amz-d", "x-amz-i"])
@pytest.mark.parametrize("own", [V3_OBJECT, {}, headers.v3()], ids=["beside", "instead", "complete"])
def test_v3_content_keys_in_a_file_are_a_forgery(name: str, own: dict[str, str]) -> None:
    """Whoever may write the file must not be believed about the commitment, not even when it is the same."""
    body = file({**V3_FILE, name: headers.v3()[name]})
    with pytest.raises(ConflictingMetadataError, match=name):
        parse_instruction_file(body, own)
    assert not is_instruction_file_body(body)


@pytest.mark.parametrize("own", [{}, {"team": "hr"}, headers.v1(), headers.v2()])
def test_a_v3_file_needs_a_v3_object(own: dict[str, str]) -> None:
    """A file cannot make a committing object of another one."""
    with pytest.raises(ConflictingMetadataError):
        parse_instruction_file(file(V3_FILE), own)


@pytest.mark.parametrize("metadata", [headers.v1(), headers.v2(), DOTNET])
@pytest.mark.parametrize("own", [V3_OBJECT, headers.v3()])
def test_a_v3_object_needs_a_v3_file(metadata: dict[str, str], own: dict[str, str]) -> None:
    """A file of an older format beside a committing object is a downgrade."""
    with pytest.raises(ConflictingMetadataError):
        parse_instruction_file(file(metadata), own)


@pytest.mark.parametrize("own", [V3_OBJECT, headers.v3(), {}])
@pytest.mark.parametrize("metadata", [headers.v1(), headers.v2()])
@pytest.mark.parametrize("name", ["x-amz-3", "x-amz-w", "x-amz-m", "x-amz-t"])
def test_a_file_that_mixes_formats_is_a_forgery(metadata: dict[str, str], own: dict[str, str], name: str) -> None:
    """No writer puts keys of two versions into one file."""
    body = file({**metadata, name: "{}"})
    with pytest.raises(ConflictingMetadataError):
        parse_instruction_file(body, own)
    assert not is_instruction_file_body(body)


def test_spoofed_v3_headers_do_not_make_a_v2_file_committing() -> None:
    """Two V3 headers on an object whose data key lies in a V2 file are half a format."""
    with pytest.raises(MalformedMetadataError, match="lacks"):
        parse_instruction_file(file(headers.v2()), {"x-amz-c": "115", "x-amz-w": "12"})


@pytest.mark.parametrize(
    "fields",
    [{}, {"team": "hr"}, {"x-amz-unencrypted-content-length": 17}, {"x-amz-key": ""}],
)
def test_a_file_without_a_data_key(fields: dict[str, object]) -> None:
    """JSON that holds no encrypted data key is not an instruction file."""
    with pytest.raises(InstructionFileError):
        parse_instruction_file(file(fields), {})
    assert not is_instruction_file_body(file(fields))


@pytest.mark.parametrize("missing", ["x-amz-3", "x-amz-w"])
def test_half_a_v3_file(missing: str) -> None:
    """A V3 file holds the data key and its wrapping."""
    fields = {name: value for name, value in V3_FILE.items() if name != missing}
    with pytest.raises(MalformedMetadataError, match=missing):
        parse_instruction_file(file(fields), V3_OBJECT)
    assert not is_instruction_file_body(file(fields))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b'{"x-amz-key":"\xe9"}',
        b'{"x-amz-key":"QQ==","x-amz-key":"QQ=="}',
        b'{"x-amz-key":"\\ud800"}',
        b'\xef\xbb\xbf{"x-amz-key":"QQ==","x-amz-iv":"QQ=="}',
        "{}".encode("utf-16"),
        b"[" * 100_000,
    ],
    ids=lambda body: ascii(body[:20]),
)
def test_what_is_no_file(body: bytes) -> None:
    """Anything but one JSON object in UTF-8, each name stated once, is refused as an instruction file."""
    with pytest.raises(InstructionFileError):
        parse_instruction_file(body, {})
    assert not is_instruction_file_body(body)


def test_no_file_is_that_long() -> None:
    """The length is bounded, so that a reader need not parse whatever lies under the name."""
    body = file(headers.v2())
    assert INSTRUCTION_FILE_MAX_LENGTH == 262_144
    assert parse_instruction_file(body + b" " * (INSTRUCTION_FILE_MAX_LENGTH - len(body)), {})
    with pytest.raises(InstructionFileError, match="bytes"):
        parse_instruction_file(body + b" " * (INSTRUCTION_FILE_MAX_LENGTH - len(body) + 1), {})


def test_numbers_and_null() -> None:
    """The PHP clients wrote lengths as numbers; Go wrote an empty tag length; null is as good as nothing."""
    metadata = {**headers.v2(), "x-amz-tag-len": 128, "x-amz-unencrypted-content-length": 17}
    expected = parse_object(headers.v2(**{"x-amz-unencrypted-content-length": "17"}))
    assert parse_instruction_file(file(metadata), {}) == expected
    nothing = {**headers.v2_cbc(), "x-amz-tag-len": "", "x-amz-key": None, "x-amz-3": None}
    assert parse_instruction_file(file(nothing), {}) == parse_object(headers.v2_cbc())


@pytest.mark.parametrize("value", [1, True, False, [], {}, ["QQ=="], 1.5])
@pytest.mark.parametrize("name", ["x-amz-iv", "x-amz-key-v2", "x-amz-matdesc", "x-amz-wrap-alg", "x-amz-cek-alg"])
def test_values_are_text(name: str, value: object) -> None:
    """Elsewhere a number, or anything else that is not text, is not a value."""
    with pytest.raises(InstructionFileError):
        parse_instruction_file(file({**headers.v2(), name: value}), {})


@pytest.mark.parametrize("value", [96, 1280, -128, 12.8, True, [128]])
def test_a_number_is_still_the_right_number(value: object) -> None:
    """A tag length written as a number obeys the same rule."""
    with pytest.raises((MalformedMetadataError, InstructionFileError)):
        parse_instruction_file(file({**headers.v2(), "x-amz-tag-len": value}), {})


@pytest.mark.parametrize(
    "name", ["x-amz-x", "x-amz-crypto-instr-file", "X-Amz-Key", "x-amz-KEY-v2", "x-amz-", "x-amz-meta-x-amz-iv"]
)
@pytest.mark.parametrize("value", ["QQ==", "", None, 1])
def test_unknown_names_of_amazon_are_refused(name: str, value: object) -> None:
    """A name that looks like content metadata without being it was not written by any client."""
    with pytest.raises(InstructionFileError):
        parse_instruction_file(file({**headers.v2(), name: value}), {})
    assert not is_instruction_file_body(file({**headers.v2(), name: value}))


def test_other_names_are_ignored() -> None:
    """What does not begin like content metadata is somebody's note, whatever its value."""
    notes = {"comment": {"any": ["thing"]}, "IV": "x", "": 1}
    assert parse_instruction_file(file({**headers.v2(), **notes}), {}) == parse_object(headers.v2())


def test_the_plaintext_digest_is_accepted_and_ignored() -> None:
    """PHP's first clients put it into the file."""
    metadata = {**headers.v2(), "x-amz-unencrypted-content-md5": "YQ=="}
    assert parse_instruction_file(file(metadata), {}) == parse_object(headers.v2())


def test_real_unicode_is_not_repaired() -> None:
    """In a file text is real Unicode: what would be a double encoding in a header is what it says."""
    for text in ("é", "Ã©", "=?UTF-8?Q?=C3=83=C2=A9?="):
        description = json.dumps({"name": text}, ensure_ascii=False)
        for ensure_ascii in (False, True):
            body = json.dumps(headers.v2(**{"x-amz-matdesc": description}), ensure_ascii=ensure_ascii).encode()
            assert parse_instruction_file(body, {}).description == {"name": text}


def test_the_first_dotnet_form() -> None:
    """Its two names mean V1's data key and IV."""
    content_metadata = parse_instruction_file(file(DOTNET), {})
    assert content_metadata == parse_object(headers.v1())
    assert content_metadata.format is FormatVersion.V1
    assert is_instruction_file_body(file(DOTNET))


def test_the_first_dotnet_form_needs_both_names() -> None:
    """Without an IV it opens nothing."""
    with pytest.raises(MalformedMetadataError, match="x-amz-iv"):
        parse_instruction_file(file({"EncryptedEnvelopeKey": "QQ=="}), {})
    with pytest.raises(InstructionFileError):
        parse_instruction_file(file({"EncryptedEnvelopeKey": 1, "IV": "QQ=="}), {})


@pytest.mark.parametrize("name", ["x-amz-key", "x-amz-key-v2", "x-amz-3", "x-amz-cek-alg", "x-amz-c", "X-Amz-Any"])
def test_the_first_dotnet_form_mixed_with_another_is_a_forgery(name: str) -> None:
    """Two data keys in one file are two meanings of one file."""
    with pytest.raises(ConflictingMetadataError):
        parse_instruction_file(file({**DOTNET, name: "QQ=="}), {})


@pytest.mark.parametrize(
    "metadata", [headers.v1(), headers.v2(), headers.v2_cbc(), headers.v3(), headers.v3_kms()], ids=range(5)
)
def test_a_rendered_file_is_one_word_of_ascii(metadata: dict[str, str]) -> None:
    """No blank, no line break, strings only: the C++ client reads one word, others only strings."""
    described = {"x-amz-t" if "x-amz-t" in metadata else "x-amz-m" if "x-amz-3" in metadata else "x-amz-matdesc": ""}
    name = next(iter(described))
    metadata[name] = json.dumps({"a b": "c  d\té\u2028\x7f", "e": "=?UTF-8?Q?x?= f"})
    content_metadata = parse_object(metadata)
    stays, body = render_instruction_file(content_metadata)
    assert body.isascii()
    assert len(body.split()) == 1
    assert b" " not in body
    assert body.decode().isprintable()
    stored = json.loads(body)
    assert all(isinstance(value, str) for value in stored.values())
    assert stays == headers.content_of(metadata)
    assert stored.keys() == headers.wrapping_of(metadata).keys()
    assert json.loads(stored[name]) == content_metadata.description
    assert parse_instruction_file(body, stays) == content_metadata


def test_a_rendered_file_leaves_the_length_with_the_object() -> None:
    """The official Python client refuses files that hold it."""
    metadata = headers.v2(**{"x-amz-unencrypted-content-length": "17"})
    stays, body = render_instruction_file(parse_object(metadata))
    assert stays == {"x-amz-unencrypted-content-length": "17"}
    assert b"unencrypted" not in body
    assert parse_instruction_file(body, stays) == parse_object(metadata)


class TestJudgement:
    """What lies under an instruction file's name, and what it says of the object beside it."""

    @pytest.mark.parametrize("body", [b"How to assemble the shelf", b"", b"{}", file({"x-amz-meta": "1"}), b"\xff"])
    def test_an_object_of_the_users_own_says_nothing(self, body: bytes) -> None:
        """Neither marked nor with any name of content metadata: the object beside it is judged without it."""
        assert judge_instruction_file(body, {"team": "hr"}) is None

    @pytest.mark.parametrize("metadata", [headers.v1(), headers.v2(), headers.v2_cbc()], ids=["v1", "v2", "v2-cbc"])
    def test_a_sound_file_of_v1_or_v2_makes_the_object_encrypted(self, metadata: dict[str, str]) -> None:
        """Those formats have nothing in the object itself."""
        assert judge_instruction_file(file(metadata), {}) == parse_object(metadata)

    @pytest.mark.parametrize("is_marked", [False, True])
    def test_a_sound_file_of_v3_beside_another_object_says_nothing(self, is_marked: bool) -> None:
        """It belongs to an object that is yet to come, or was overwritten."""
        assert judge_instruction_file(file(V3_FILE), {"team": "hr"}, is_marked=is_marked) is None

    def test_the_largest_that_is_looked_at(self) -> None:
        """Whatever it is."""
        assert judge_instruction_file(b" " * INSTRUCTION_FILE_MAX_LENGTH, {"team": "hr"}) is None

    def test_an_object_that_asks_for_its_file_gets_it(self) -> None:
        """And nothing else: what lies there must be that file."""
        assert judge_instruction_file(file(V3_FILE), V3_OBJECT) == parse_object(headers.v3())
        with pytest.raises(InstructionFileError):
            judge_instruction_file(b"How to assemble the shelf", V3_OBJECT)

    @pytest.mark.parametrize(
        ("body", "is_marked"),
        [
            (b"How to assemble the shelf", True),
            (file(headers.v2())[:40], False),
            (file({"x-amz-3": "QQ==", "x-amz-w": "99"}), False),
            (file({"x-amz-3": "QQ=="}), True),
            (b'{"EncryptedEnvelopeKey":', False),
            (b" " * (INSTRUCTION_FILE_MAX_LENGTH + 1), False),
        ],
        ids=["marked", "half", "unknown wrapping", "incomplete", "half of .NET's", "endless"],
    )
    def test_what_may_be_a_damaged_file_is_an_error(self, body: bytes, is_marked: bool) -> None:
        """Never "not encrypted": the object beside it may be ciphertext."""
        with pytest.raises((InstructionFileError, ConflictingMetadataError)):
            judge_instruction_file(body, {"team": "hr"}, is_marked=is_marked)
