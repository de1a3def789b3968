"""What an object of a raw AES key must look like in S3, by ``cryptography`` alone: nothing of s3ec is used here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from support.lying_s3 import State

COMMITTING_NUMBER = b"\0\x73"
COMMITTING_IV = b"\1" * 12


def content_key(metadata: Mapping[str, str], wrapping_key: bytes) -> bytes:
    """The key of a committing object (V3), from its metadata; the commitment is checked."""
    fields = {name.lower().removeprefix("x-amz-meta-"): value for name, value in metadata.items()}
    wrapped = base64.b64decode(fields["x-amz-3"])
    data_key = AESGCM(wrapping_key).decrypt(wrapped[:12], wrapped[12:], b"115")
    message_id = base64.b64decode(fields["x-amz-i"])
    prk = hmac.digest(message_id, data_key, hashlib.sha512)
    commitment = hmac.digest(prk, COMMITTING_NUMBER + b"COMMITKEY\1", hashlib.sha512)[:28]
    assert base64.b64decode(fields["x-amz-d"]) == commitment
    return hmac.digest(prk, COMMITTING_NUMBER + b"DERIVEKEY\1", hashlib.sha512)[:32]


def one_shot(metadata: Mapping[str, str], wrapping_key: bytes, plaintext: bytes) -> bytes:
    """Ciphertext and tag of the plaintext in one call, under the object's own key."""
    key = content_key(metadata, wrapping_key)
    return AESGCM(key).encrypt(COMMITTING_IV, plaintext, COMMITTING_NUMBER)


def opened(metadata: Mapping[str, str], wrapping_key: bytes, body: bytes) -> bytes:
    """The plaintext of a stored object."""
    return AESGCM(content_key(metadata, wrapping_key)).decrypt(COMMITTING_IV, body, COMMITTING_NUMBER)


def sent_parts(state: State, upload_id: str) -> list[tuple[int, bytes]]:
    """Number and body of every part that arrived for an upload, attempt by attempt."""
    found = []
    for attempt in list(state.attempts):
        match = re.search(r"[?&]partNumber=(\d+)", attempt.path)
        if attempt.method == "PUT" and match and f"uploadId={upload_id}" in attempt.path:
            found.append((int(match.group(1)), attempt.body))
    return found


def check_wire(
    state: State, upload_id: str, metadata: Mapping[str, str], wrapping_key: bytes, plaintexts: Mapping[int, bytes]
) -> None:
    """Every byte that ever arrived for an upload is that of one GCM stream over its parts, in order of their numbers.

    So no counter met two plaintexts, and no plaintext was sent.
    """
    stream = one_shot(metadata, wrapping_key, b"".join(plaintexts[number] for number in sorted(plaintexts)))
    places, offset = {}, 0
    for number in sorted(plaintexts):
        places[number] = (offset, len(plaintexts[number]))
        offset += len(plaintexts[number])
    places.setdefault(max(plaintexts, default=0) + 1, (offset, 0))
    for number, body in sent_parts(state, upload_id):
        start, length = places[number]
        expected = stream[start : start + length]
        assert body in (expected, expected + stream[-16:]), f"part {number} is not a piece of the one stream"
