"""What a caller says about the plaintext: taken out of the request, and compared with what passes."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from s3ec.client.bodies.claims import take_claims
from s3ec.errors import ConfigurationError, SourceChangedError

CONTENT = b"forty bytes that nobody else should read"


def encoded(digest: bytes) -> str:
    """As S3 writes a checksum."""
    return base64.b64encode(digest).decode()


TRUE = {
    "ContentMD5": encoded(hashlib.md5(CONTENT, usedforsecurity=False).digest()),
    "ChecksumMD5": encoded(hashlib.md5(CONTENT, usedforsecurity=False).digest()),
    "ChecksumSHA1": encoded(hashlib.sha1(CONTENT, usedforsecurity=False).digest()),
    "ChecksumSHA256": encoded(hashlib.sha256(CONTENT).digest()),
    "ChecksumSHA512": encoded(hashlib.sha512(CONTENT).digest()),
    "ChecksumCRC32": encoded(zlib.crc32(CONTENT).to_bytes(4, "big")),
}


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize("cut", [0, 1, 39])
def test_what_is_true_passes_and_what_is_not_does_not(name: str, cut: int) -> None:
    """However the bytes are split; the claim leaves the request, and a checksum of the ciphertext takes its place."""
    for body, is_true in ((CONTENT, True), (CONTENT[:-1] + b"!", False)):
        request: dict[str, Any] = {"Bucket": "b", name: TRUE[name]}
        claims = take_claims(request)
        assert name not in request
        assert request["ChecksumAlgorithm"] in {"CRC32", "SHA1", "SHA256"}
        assert bool(claims)
        claims.update(memoryview(body[:cut]))
        claims.update(memoryview(body[cut:]))
        if is_true:
            claims.check()
        else:
            with pytest.raises(SourceChangedError, match=f"{name} is not the checksum"):
                claims.check()


def test_all_of_several_are_compared() -> None:
    """One that is wrong is enough."""
    claims = take_claims({**TRUE, "ChecksumSHA256": TRUE["ChecksumSHA1"]})
    claims.update(memoryview(CONTENT))
    with pytest.raises(SourceChangedError, match="ChecksumSHA256"):
        claims.check()


def test_nothing_claimed() -> None:
    """A request without claims stays as it is, and names no algorithm."""
    request: dict[str, Any] = {"Bucket": "b", "ChecksumAlgorithm": "SHA1", "ChecksumType": "COMPOSITE"}
    claims = take_claims(request)
    assert not claims
    assert request == {"Bucket": "b", "ChecksumAlgorithm": "SHA1", "ChecksumType": "COMPOSITE"}
    claims.update(memoryview(CONTENT))
    claims.check()
    assert claims.checksums() == {}


def test_the_callers_algorithm_stays() -> None:
    """It names what protects the ciphertext."""
    request = {"ChecksumSHA1": TRUE["ChecksumSHA1"], "ChecksumAlgorithm": "CRC32"}
    take_claims(request)
    assert request == {"ChecksumAlgorithm": "CRC32"}


def test_one_more_is_computed() -> None:
    """Of what passes, in base64; an algorithm that this client lacks is left out."""
    claims = take_claims({})
    claims.compute("ChecksumCRC32")
    claims.compute("ChecksumXXHASH3")
    claims.update(memoryview(CONTENT))
    assert claims.checksums() == {"ChecksumCRC32": TRUE["ChecksumCRC32"]}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"ChecksumXXHASH3": "AAAA"}, ConfigurationError, "cannot verify it"),
        ({"ChecksumSHA1": "not base64"}, ConfigurationError, "is not base64"),
        ({"ContentMD5": 5}, ConfigurationError, "is not base64"),
        ({"ContentLength": -1}, ParamValidationError, "ContentLength"),
        ({"ContentLength": "7"}, ParamValidationError, "ContentLength"),
    ],
)
def test_what_cannot_be_verified_is_refused(given: dict[str, Any], error: type[Exception], said: str) -> None:
    """Never ignored."""
    with pytest.raises(error, match=said):
        take_claims(dict(given))
