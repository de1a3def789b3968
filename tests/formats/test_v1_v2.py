"""Formats V1 and V2: what is read, and what no writer writes."""

from __future__ import annotations

import pytest

from s3ec.algorithms import AlgorithmSuite, FormatVersion, WrappingAlgorithm
from s3ec.errors import ConflictingMetadataError, MalformedMetadataError
from s3ec.formats import ContentMetadata, parse_object, render_object
from s3ec.formats.v1 import inferred_wrapping
from s3ec.materials import EncryptedDataKey

from support import headers
from support.headers import CBC, GCM

CBC_SUITE = AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF
GCM_SUITE = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF


def test_v1_is_cbc_under_a_raw_key() -> None:
    """A V1 object states no algorithm: its content is CBC and its wrapping one of the two raw ones."""
    assert parse_object(headers.v1()) == ContentMetadata(
        format=FormatVersion.V1,
        algorithm_suite=CBC_SUITE,
        content_algorithm=CBC,
        encrypted_data_key=EncryptedDataKey(headers.EDK_AES_ECB, WrappingAlgorithm.AES_ECB),
        iv=headers.IV_CBC,
        tag_length_bits=0,
    )
    rsa = parse_object(headers.v1(**{"x-amz-key": headers.b64(headers.EDK_RSA)}))
    assert rsa.encrypted_data_key.wrapping_algorithm is WrappingAlgorithm.RSA_PKCS1


def test_v1_without_a_description_is_read() -> None:
    """Redshift documents only the data key and the IV."""
    assert parse_object(headers.v1(**{"x-amz-matdesc": None})) == parse_object(headers.v1())


@pytest.mark.parametrize(
    "stated",
    [
        {"x-amz-cek-alg": GCM},
        {"x-amz-cek-alg": "AES/CBC/NoPadding"},
        {"x-amz-wrap-alg": "AES/GCM"},
        {"x-amz-wrap-alg": "kms"},
        {"x-amz-tag-len": "128"},
    ],
)
def test_v1_with_an_algorithm_of_v2_is_a_forgery(stated: dict[str, str]) -> None:
    """A content or wrapping algorithm beside V1's data key would switch the suite in readers that look."""
    with pytest.raises(ConflictingMetadataError):
        parse_object(headers.v1(**stated))


def test_v1_may_repeat_what_it_is() -> None:
    """The name of its only content algorithm changes nothing."""
    assert parse_object(headers.v1(**{"x-amz-cek-alg": CBC, "x-amz-tag-len": "0"})) == parse_object(headers.v1())


def test_v2() -> None:
    """A complete V2 object under kms+context."""
    assert parse_object(headers.v2(**{"x-amz-unencrypted-content-length": "17"})) == ContentMetadata(
        format=FormatVersion.V2,
        algorithm_suite=GCM_SUITE,
        content_algorithm=GCM,
        encrypted_data_key=EncryptedDataKey(b"blob of kms", WrappingAlgorithm.KMS_CONTEXT),
        description={"team": "hr", "aws:x-amz-cek-alg": GCM},
        iv=headers.IV_GCM,
        tag_length_bits=128,
        stored_plaintext_length=17,
    )


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [(algorithm.wire_name, algorithm) for algorithm in WrappingAlgorithm if algorithm.wire_name],
)
def test_v2_wrappings(name: str, algorithm: WrappingAlgorithm) -> None:
    """Each wrapping is known by its exact name."""
    assert parse_object(headers.v2(**{"x-amz-wrap-alg": name})).encrypted_data_key.wrapping_algorithm is algorithm
    for other in (name.swapcase(), f" {name}", f"{name},{name}"):
        with pytest.raises(MalformedMetadataError, match="x-amz-wrap-alg"):
            parse_object(headers.v2(**{"x-amz-wrap-alg": other}))


@pytest.mark.parametrize("name", ["RSA", "AES", "12", "02", "kms+context+more", "RSA/ECB/OAEPWithSHA-1AndMGF1Padding"])
def test_v2_unknown_wrappings(name: str) -> None:
    """A name that no client writes is not guessed at."""
    with pytest.raises(MalformedMetadataError, match="x-amz-wrap-alg"):
        parse_object(headers.v2(**{"x-amz-wrap-alg": name}))


@pytest.mark.parametrize(
    ("length", "algorithm"),
    [
        (32, WrappingAlgorithm.AES_ECB),
        (48, WrappingAlgorithm.AES_ECB),
        (128, WrappingAlgorithm.RSA_PKCS1),
        (512, WrappingAlgorithm.RSA_PKCS1),
    ],
)
def test_v2_without_a_wrapping_infers_it(length: int, algorithm: WrappingAlgorithm) -> None:
    """One mode of the old Java client names no wrapping: the length of the data key tells AES from RSA."""
    metadata = headers.v2(**{"x-amz-wrap-alg": None, "x-amz-key-v2": headers.b64(bytes(length))})
    content_metadata = parse_object(metadata)
    assert content_metadata.encrypted_data_key.wrapping_algorithm is algorithm
    assert content_metadata.algorithm_suite is GCM_SUITE
    assert "x-amz-wrap-alg" not in render_object(content_metadata)


@pytest.mark.parametrize("name", [CBC, "AES/CBC/PKCS7Padding", "AES/CBC/NoPadding"])
def test_v2_cbc_names(name: str) -> None:
    """The Go client's padders are all CBC, kept by their own names; one of them has no padding."""
    content_metadata = parse_object(headers.v2_cbc(**{"x-amz-cek-alg": name}))
    assert content_metadata.algorithm_suite is CBC_SUITE
    assert content_metadata.content_algorithm == name
    assert content_metadata.unpadded is (name == "AES/CBC/NoPadding")
    assert render_object(content_metadata)["x-amz-cek-alg"] == name


def test_v2_without_a_content_algorithm_is_cbc() -> None:
    """What names no content algorithm is from the time when there was only one."""
    assert parse_object(headers.v2_cbc(**{"x-amz-cek-alg": None})) == parse_object(headers.v2_cbc())


@pytest.mark.parametrize(
    "name", ["AES/CTR/NoPadding", "AES/GCM", "aes/gcm/nopadding", "115", "AES/ECB/NoPadding", "AES/GCM/NoPadding "]
)
def test_v2_unknown_content(name: str) -> None:
    """No other content algorithm was ever written, counter mode least of all."""
    with pytest.raises(MalformedMetadataError, match="x-amz-cek-alg"):
        parse_object(headers.v2(**{"x-amz-cek-alg": name}))


@pytest.mark.parametrize("length", ["0", "96", "120", "127", "12", "0128", " 128", "128.0", "1e2", "x", "１２８"])
def test_v2_gcm_tags_have_128_bits(length: str) -> None:
    """A shorter tag would be cheaper to forge: none but the full one is read."""
    with pytest.raises(MalformedMetadataError, match="x-amz-tag-len"):
        parse_object(headers.v2(**{"x-amz-tag-len": length}))


def test_v2_gcm_without_a_tag_length_is_read() -> None:
    """The tag is 128 bits long whether that is said or not."""
    assert parse_object(headers.v2(**{"x-amz-tag-len": None})) == parse_object(headers.v2())


def test_v2_cbc_has_no_tag() -> None:
    """Zero, as C++ and re-encrypting Java write it, is as good as nothing; any other length is refused."""
    assert parse_object(headers.v2_cbc(**{"x-amz-tag-len": "0"})) == parse_object(headers.v2_cbc())
    with pytest.raises(MalformedMetadataError, match="x-amz-tag-len"):
        parse_object(headers.v2_cbc(**{"x-amz-tag-len": "128"}))


def test_v2_without_a_description_is_read() -> None:
    """Objects copied by tools may have lost it; null means the same."""
    for stored in (None, "null", "{}"):
        assert parse_object(headers.v2(**{"x-amz-matdesc": stored})).description == {}


@pytest.mark.parametrize(
    ("stated", "length"),
    [("17", 17), ("0", 0), ("-1", None), ("x", None), ("1.5", None), ("１７", None), ("²", None), ("9" * 20, None)],
)
def test_the_noted_length_is_only_informational(stated: str, length: int | None) -> None:
    """A length that is not a number does not make an object unreadable: nothing is ever sized by it."""
    for metadata in (headers.v1(), headers.v2()):
        metadata["x-amz-unencrypted-content-length"] = stated
        assert parse_object(metadata).stored_plaintext_length == length


@pytest.mark.parametrize("name", ["x-amz-iv", "x-amz-key-v2"])
def test_v2_base64_is_strict(name: str) -> None:
    """Two headers that an HTTP stack joined by a comma are damage."""
    value = headers.v2()[name]
    with pytest.raises(MalformedMetadataError, match=name):
        parse_object(headers.v2(**{name: f"{value},{value}"}))


@pytest.mark.parametrize("metadata", [headers.v1(), headers.v2(), headers.v2_cbc()], ids=["v1", "v2", "v2-cbc"])
def test_rendering_writes_the_keys_of_the_version_and_no_others(metadata: dict[str, str]) -> None:
    """What was read is written with the same keys, and a noted length stays where there was one."""
    rendered = render_object(parse_object(metadata))
    assert rendered.keys() == metadata.keys()
    assert parse_object(rendered) == parse_object(metadata)
    metadata["x-amz-unencrypted-content-length"] = "17"
    assert render_object(parse_object(metadata))["x-amz-unencrypted-content-length"] == "17"


def test_the_plaintext_digest_is_ignored_and_never_written() -> None:
    """Old clients stored the MD5 of the plaintext in clear (CVE-2022-2582)."""
    content_metadata = parse_object(headers.v2(**{"x-amz-unencrypted-content-md5": "bHVycw=="}))
    assert content_metadata == parse_object(headers.v2())
    assert "x-amz-unencrypted-content-md5" not in render_object(content_metadata)


def test_the_longest_length_that_is_noted() -> None:
    """As many digits as the greatest number of bytes of any file has, and not one more."""
    name = "x-amz-unencrypted-content-length"
    assert parse_object(headers.v2(**{name: "9" * 19})).stored_plaintext_length == 10**19 - 1
    assert parse_object(headers.v2(**{name: "1" * 20})).stored_plaintext_length is None


def test_the_longest_data_key_under_aes_ecb() -> None:
    """What states no wrapping is told apart by its length: 32 bytes and their padding are 48."""
    assert inferred_wrapping(bytes(48)) is WrappingAlgorithm.AES_ECB
    assert inferred_wrapping(bytes(49)) is WrappingAlgorithm.RSA_PKCS1
