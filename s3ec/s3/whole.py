"""The answer that carries the whole ciphertext of an object."""

from __future__ import annotations

from typing import Any

from s3ec.crypto.content import ContentCipher
from s3ec.s3.answers import length_of, state_span
from s3ec.s3.contents import Span, WholeContent
from s3ec.s3.flow import Deliver, Flow
from s3ec.s3.head_object import noted_length
from s3ec.s3.names import location_of
from s3ec.s3.objects import EncryptedObject, ReadRequest, describe, speak_plaintext
from s3ec.s3.surroundings import Surroundings

__all__ = ["decrypted_response"]


def decrypted_response(
    s3: Surroundings,
    request: ReadRequest,
    response: dict[str, Any],
    found: EncryptedObject,
    cipher: ContentCipher,
    *,
    span: Span | None = None,
) -> Flow[dict[str, Any]]:
    """Put the decrypting body and the plaintext's own figures into an answer that carries the whole ciphertext.

    Args:
        s3: the client.
        request: the caller's.
        response: S3's answer, its length checked.
        found: what the object is.
        cipher: opens it.
        span: first and last offset of the plaintext that is handed out, where the caller asked for a range (GCM alone).
    """
    length = length_of(response)
    tagged = not cipher.suite.is_legacy
    plaintext_length = length - cipher.suite.tag_length if tagged else None
    if plaintext_length is None:
        noted = noted_length(found.content_metadata, length)
        response["ContentLength"] = length if noted is None else noted
    elif span is None:
        response["ContentLength"] = plaintext_length
    else:
        state_span(response, span, plaintext_length)
    delayed = s3.reading.enable_delayed_authentication
    handed_out = None if plaintext_length is None or span == (0, plaintext_length - 1) else span
    response["Body"] = yield Deliver(
        response["Body"],
        WholeContent(cipher, length, delayed, handed_out),
        response["ContentLength"] if tagged else None,
        location_of(request.parameters),
        response.get("ResponseMetadata"),
    )
    speak_plaintext(response, describe(found, authenticated=tagged and not delayed))
    return response
