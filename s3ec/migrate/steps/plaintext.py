"""The plaintext of a source, chunk by chunk, in constant memory.

The last chunk is given out only after the whole has been authenticated (GCM) or found complete. What came before is
encrypted again at once and stays uncommitted until then, so that no unverified byte ever becomes an object.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from s3ec import decryption
from s3ec.algorithms import CommitmentPolicy
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.legacy.content import CbcCipher
from s3ec.errors import AuthenticationError
from s3ec.materials import STORED_CONTEXT, MaterialsManager, StoredContext
from s3ec.migrate.model import Result
from s3ec.migrate.steps.source import Source
from s3ec.migrate.work.ending import TaskEndedError

__all__ = ["CHUNK_LENGTH", "cipher_of", "digest", "plaintext_of"]

CHUNK_LENGTH = 2**20
"""Bytes read at a time."""


def cipher_of(
    source: Source,
    manager: MaterialsManager,
    *,
    allow_legacy: bool,
    encryption_context: Mapping[str, str] | StoredContext = STORED_CONTEXT,
) -> ContentCipher | None:
    """The cipher of an encrypted source, None for plaintext; the commitment, where there is one, has been checked.

    Args:
        source: the object.
        manager: opens its data key.
        allow_legacy: read unauthenticated content.
        encryption_context: what the stored context must be; by default it is taken as it is.

    Raises:
        s3ec.errors.S3ECError: the policy forbids the object, or its data key does not open.
    """
    if source.content_metadata is None:
        return None
    return decryption.check(
        source.content_metadata,
        materials_manager=manager,
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
        enable_legacy_unauthenticated_modes=allow_legacy,
        encryption_context=encryption_context,
    ).open()


def plaintext_of(source: Source, cipher: ContentCipher | None, *, etag_is_md5: bool = True) -> Iterator[bytes]:
    """Read the body of a source that was opened with one, once.

    What no tag authenticates (plaintext, AES-CBC) is compared with the MD5 that a plain ETag holds: a body that was cut
    or altered on its way would else be encrypted as it arrived, and pass for authentic from then on.

    Args:
        source: the object.
        cipher: cipher of an encrypted source.
        etag_is_md5: False if the server's ETags are not what S3's are.

    Raises:
        s3ec.errors.AuthenticationError: it does not verify.
        TaskEndedError: S3 sent other bytes, or fewer or more, than it said.
    """
    body = source.response["Body"]
    if cipher is not None and not isinstance(cipher, CbcCipher):
        yield from _authenticated(body, source.length, cipher)
        return
    chunks = _compared(_whole(body, source.length), _md5_of(source) if etag_is_md5 else None)
    if cipher is None:
        yield from chunks
        return
    decryptor = cipher.decryptor()
    for chunk in chunks:
        yield decryptor.update(chunk)
    yield decryptor.finish()


def _md5_of(source: Source) -> str | None:
    """The MD5 of the stored bytes, in hex, where the ETag is one.

    It is not under SSE-KMS, DSSE and SSE-C, of what was uploaded in parts, nor in directory buckets.
    Source: Amazon S3 API reference, Object, "ETag".
    """
    response = source.response
    if response.get("ServerSideEncryption", "AES256") != "AES256" or response.get("SSECustomerAlgorithm"):
        return None
    found = re.fullmatch(r'"?([0-9a-f]{32})"?', source.etag)
    return None if found is None or source.task.bucket.endswith("--x-s3") else found[1]


def _compared(chunks: Iterator[bytes], md5: str | None) -> Iterator[bytes]:
    """Pass chunks through, and refuse to end where all of them are not what the MD5 says."""
    checksum = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        checksum.update(chunk)
        yield chunk
    if md5 is not None and checksum.hexdigest() != md5:
        raise TaskEndedError(
            Result.RETRY,
            # Neither of the two digests: what is said here is written down, and tells of the content.
            "what arrived does not have the MD5 that the ETag says: nothing was written. For a server whose ETags are "
            "not MD5: etag_is_md5=False (--etag-not-md5)",
        )


def digest(chunks: Iterator[bytes]) -> tuple[int, str]:
    """Length and SHA-256 (hex) of plaintext."""
    total, checksum = 0, hashlib.sha256()
    for chunk in chunks:
        checksum.update(chunk)
        total += len(chunk)
    return total, checksum.hexdigest()


def _whole(body: Any, length: int) -> Iterator[bytes]:
    seen = 0
    while chunk := body.read(CHUNK_LENGTH):
        seen += len(chunk)
        yield chunk
    if seen != length:
        raise TaskEndedError(Result.RETRY, f"S3 sent {seen} bytes of {length}")


def _authenticated(body: Any, length: int, cipher: ContentCipher) -> Iterator[bytes]:
    tag_length = cipher.suite.tag_length
    if length < tag_length:
        raise AuthenticationError(f"the object has {length} bytes, fewer than its authentication tag")
    decryptor = cipher.decryptor()
    rest = b""
    previous = b""
    for chunk in _whole(body, length):
        data = rest + chunk
        rest = data[-tag_length:]
        yield previous
        previous = decryptor.update(data[:-tag_length])
    decryptor.verify(rest)
    yield previous
