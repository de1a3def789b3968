"""Format V3: exactly one description, five required keys, three wrappings."""

from __future__ import annotations

import pytest

from s3ec.algorithms import AlgorithmSuite, FormatVersion, WrappingAlgorithm
from s3ec.errors import ConflictingMetadataError, MalformedMetadataError
from s3ec.formats import ContentMetadata, parse_object, render_object
from s3ec.materials import EncryptedDataKey

from support import headers

SUITE = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY


def content(encrypted_data_key: EncryptedDataKey, description: dict[str, str]) -> ContentMetadata:
    """Committing content with the bytes of `support.headers`."""
    return ContentMetadata(
        format=FormatVersion.V3,
        algorithm_suite=SUITE,
        content_algorithm="115",
        encrypted_data_key=encrypted_data_key,
        description=description,
        message_id=headers.MESSAGE_ID,
        commitment=headers.COMMITMENT,
    )


def test_v3_under_a_raw_key() -> None:
    """Without a description there is neither of the two."""
    expected = content(EncryptedDataKey(headers.EDK_AES_GCM, WrappingAlgorithm.AES_GCM), {})
    assert parse_object(headers.v3()) == expected
    assert render_object(expected) == headers.v3()


def test_v3_under_kms() -> None:
    """The encryption context stands under its own key, in the order in which it was given."""
    description = {"z": "1", "a": "2", "aws:x-amz-cek-alg": "115"}
    expected = content(EncryptedDataKey(b"blob of kms", WrappingAlgorithm.KMS_CONTEXT), description)
    rendered = render_object(expected)
    assert rendered["x-amz-t"] == '{"z":"1","a":"2","aws:x-amz-cek-alg":"115"}'
    assert rendered.keys() == headers.v3_kms().keys()
    assert parse_object(rendered) == expected


def test_v3_always_states_the_context_under_kms() -> None:
    """Under KMS the context is written even when it is empty: some readers need the key."""
    bare = content(EncryptedDataKey(b"blob of kms", WrappingAlgorithm.KMS_CONTEXT), {})
    assert render_object(bare)["x-amz-t"] == "{}"
    assert "x-amz-m" not in render_object(bare)


@pytest.mark.parametrize("code", ["02", "22"])
def test_v3_with_a_material_description(code: str) -> None:
    """A raw key's description stands under its own key, and alone."""
    metadata = headers.v3(**{"x-amz-w": code, "x-amz-m": '{"key":"2026"}'})
    assert parse_object(metadata).description == {"key": "2026"}
    assert render_object(parse_object(metadata)) == metadata


@pytest.mark.parametrize(
    ("code", "algorithm"),
    [
        ("02", WrappingAlgorithm.AES_GCM),
        ("12", WrappingAlgorithm.KMS_CONTEXT),
        ("22", WrappingAlgorithm.RSA_OAEP_SHA1),
    ],
)
def test_v3_wrappings(code: str, algorithm: WrappingAlgorithm) -> None:
    """The three codes, and their names on the way back."""
    content_metadata = parse_object(headers.v3(**{"x-amz-w": code}))
    assert content_metadata.encrypted_data_key.wrapping_algorithm is algorithm
    assert render_object(content_metadata)["x-amz-w"] == code


@pytest.mark.parametrize("code", ["01", "11", "21", "2", "12 ", "012", "AES/GCM", "kms+context", "kms", "00", "１２"])
def test_v3_unknown_wrappings(code: str) -> None:
    """Codes of legacy wrappings stand in some tables, but no client writes them: such an object is forged."""
    with pytest.raises(MalformedMetadataError, match="x-amz-w"):
        parse_object(headers.v3(**{"x-amz-w": code}))


@pytest.mark.parametrize("suite", ["114", "0115", "115 ", "116", "0x73", "AES/GCM/NoPadding", "１１５"])
def test_v3_unknown_suites(suite: str) -> None:
    """Exactly one text names the committing suite."""
    with pytest.raises(MalformedMetadataError, match="x-amz-c"):
        parse_object(headers.v3(**{"x-amz-c": suite}))


@pytest.mark.parametrize("other", ["", "{}", "null"])
def test_v3_with_an_empty_second_description(other: str) -> None:
    """Some writers leave an empty description beside the context, or the other way round."""
    assert parse_object(headers.v3_kms(**{"x-amz-m": other})) == parse_object(headers.v3_kms())
    assert parse_object(headers.v3(**{"x-amz-t": other})) == parse_object(headers.v3())


@pytest.mark.parametrize("other", ['{"a":"1"}', "{", '{"aws:x-amz-cek-alg":"115"}'])
def test_v3_with_two_descriptions_is_a_forgery(other: str) -> None:
    """A description that belongs to another kind of keyring would mean different things to two readers."""
    for metadata in (headers.v3_kms(**{"x-amz-m": other}), headers.v3(**{"x-amz-t": other})):
        with pytest.raises((ConflictingMetadataError, MalformedMetadataError)):
            parse_object(metadata)


def test_v3_notes_no_length() -> None:
    """A length that some tool added is neither believed nor written again."""
    content_metadata = parse_object(headers.v3(**{"x-amz-unencrypted-content-length": "17"}))
    assert content_metadata == parse_object(headers.v3())
    assert "x-amz-unencrypted-content-length" not in render_object(content_metadata)


@pytest.mark.parametrize("name", ["x-amz-3", "x-amz-d", "x-amz-i"])
def test_v3_base64_is_strict(name: str) -> None:
    """Each of the three byte values has one spelling."""
    with pytest.raises(MalformedMetadataError, match=name):
        parse_object(headers.v3(**{name: headers.v3()[name] + "\n"}))
