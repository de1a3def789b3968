"""Presigned requests: which may be made, what a holder is handed, and what opens that which a holder was answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from s3ec import decryption, formats
from s3ec.algorithms import AlgorithmSuite
from s3ec.crypto.content import ContentCipher
from s3ec.errors import ConfigurationError, UnsupportedOperationError
from s3ec.formats.metadata import OBJECT_ARN_PAIR
from s3ec.materials import StoredContext
from s3ec.s3.answers import stated_length
from s3ec.s3.flow import Flow, HeardRequest, hear, open_cipher
from s3ec.s3.names import object_arn
from s3ec.s3.objects import check_stored_length
from s3ec.s3.surroundings import ReadRules, Surroundings
from s3ec.s3.writing import begin_write
from s3ec.secrets import Secret

__all__ = [
    "HandedOver",
    "OpenedAnswer",
    "ReadyToSign",
    "WAY_OUT",
    "check_method",
    "check_operation",
    "error_of",
    "handed_over",
    "headers_to_send",
    "open_answer",
    "place_of",
    "text_of",
    "upload_to_sign",
]

WAY_OUT = (
    "its holder would store plaintext where this client's readers expect ciphertext. "
    's3ec.presigned_upload gives out an upload that encrypts locally; presigned_uploads="allow" permits plain ones'
)
"""What a caller can do who is refused a presigned upload."""

_METADATA_PREFIX = "x-amz-meta-"
_UPLOADS = frozenset({"CompleteMultipartUpload", "CreateMultipartUpload", "PutObject", "UploadPart", "UploadPartCopy"})
_SENT_ANYWAY = (_METADATA_PREFIX, "if-none-match", "content-type")


def check_operation(operation_name: str, *, is_refused: bool, uploads: str) -> None:
    """Refuse a presigned upload, and what the client refuses anyway.

    Args:
        operation_name: as botocore spells it.
        is_refused: True if the client refuses the operation itself.
        uploads: the client's ``presigned_uploads``.

    Raises:
        UnsupportedOperationError: with the way out.
    """
    if uploads != "refuse":
        return
    if operation_name in _UPLOADS:
        raise UnsupportedOperationError(f"a presigned {operation_name} is refused: {WAY_OUT}")
    if is_refused:
        raise UnsupportedOperationError(f"a presigned {operation_name} is refused, as the operation itself is")


def check_method(operation_name: str, own: str | None, wanted: object, *, uploads: str) -> None:
    """Refuse the method of another operation: a presigned ``PUT`` is an upload, whatever it is called.

    Args:
        operation_name: as botocore spells it.
        own: the HTTP method of that operation.
        wanted: the caller's ``HttpMethod``, or None.
        uploads: the client's ``presigned_uploads``.

    Raises:
        UnsupportedOperationError: with the way out.
    """
    if wanted is None or uploads == "allow":
        return
    if not isinstance(wanted, str) or wanted.upper() != own:
        raise UnsupportedOperationError(
            f"a presigned {operation_name} with HttpMethod={wanted!r} is refused, since its own is {own!r} and "
            f"another one makes another operation of it: {WAY_OUT}"
        )


# Uploads.


@dataclass(frozen=True, slots=True)
class ReadyToSign:
    """An upload that is handed over, as soon as its request is signed.

    Attributes:
        heard: what the caller's handlers made of it; its signature is made under what they keep about it.
        request: parameters of put_object, with the content metadata in them.
        cipher: encrypts exactly one plaintext.
    """

    heard: HeardRequest = field(repr=False)
    request: dict[str, Any] = field(repr=False)
    cipher: ContentCipher = field(repr=False)


def upload_to_sign(
    s3: Surroundings, parameters: Mapping[str, Any], context: object, *, overwrite: bool
) -> Flow[ReadyToSign]:
    """Ask handlers about an upload that is handed over, and get its key; it is for one object.

    Args:
        s3: the client.
        parameters: of put_object, without a body.
        context: the caller's ``EncryptionContext``, or None.
        overwrite: False lets S3 take a body only where there is no object, and so one at most.

    Raises:
        UnsupportedOperationError: instruction files, which a second request would have to write.
        ConfigurationError: before any key is touched.
        KeyringError: no data key could be obtained.
    """
    if s3.writing.instruction_file_writes:
        raise UnsupportedOperationError("a presigned upload writes one object; instruction files need a second request")
    named = {**parameters, **({} if overwrite else {"IfNoneMatch": "*"})}
    heard = yield from hear("PutObject", named, presigned=True)
    request = {name: value for name, value in heard.parameters.items() if name != "Body"}
    s3.validate("PutObject", request)
    write = yield from begin_write(s3, request, context)
    return ReadyToSign(heard, {**request, "Metadata": write.placement.metadata}, write.cipher)


def headers_to_send(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that the holder of a signed request must send: those that the signature covers, and some more.

    Args:
        url: the signed URL.
        headers: of the request as it was before it was signed.
    """
    signed = _signed_headers(url)
    return {
        name: value
        for name, value in headers.items()
        if name.lower() in signed or name.lower().startswith(_SENT_ANYWAY)
    }


def _signed_headers(url: str) -> set[str]:
    for pair in urlsplit(url).query.split("&"):
        name, _, value = pair.partition("=")
        if name == "X-Amz-SignedHeaders":
            return set(value.replace("%3B", ";").lower().split(";")) - {"host"}
    return set()


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What the holder of an upload has.

    Attributes:
        url: where to PUT.
        headers: what the request must carry.
        cipher: encrypts exactly one plaintext.
    """

    url: str = field(repr=False)
    headers: dict[str, str]
    cipher: ContentCipher = field(repr=False)


def text_of(handed: HandedOver) -> str:
    """The text that is handed over; it has the key of one object in it."""
    cipher = handed.cipher
    secret = {"key": cipher.key.reveal(), "iv": cipher.iv, "aad": cipher.aad}
    return json.dumps(
        {
            "url": handed.url,
            "headers": handed.headers,
            "algorithm_suite": cipher.suite.name,
            **{name: base64.b64encode(value).decode() for name, value in secret.items()},
        }
    )


def handed_over(text: str) -> HandedOver:
    """Read what `text_of` wrote.

    Raises:
        ConfigurationError: it is something else.
    """
    try:
        found = json.loads(text)
        key, iv, aad = (base64.b64decode(found[name], validate=True) for name in ("key", "iv", "aad"))
        cipher = ContentCipher(AlgorithmSuite[found["algorithm_suite"]], Secret(key), iv, aad)
        headers = {str(name): str(value) for name, value in found["headers"].items()}
        return HandedOver(str(found["url"]), headers, cipher)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigurationError("this is not what PresignedUpload.to_json() writes") from None


# Downloads.


@dataclass(frozen=True, slots=True)
class OpenedAnswer:
    """The answer to a presigned GET, which has passed the gate.

    Attributes:
        cipher: opens its body.
        length: bytes of the body.
    """

    cipher: ContentCipher = field(repr=False)
    length: int

    @property
    def plaintext_length(self) -> int | None:
        """Bytes of plaintext; None for what is padded, where only reading tells."""
        return None if self.cipher.suite.is_legacy else max(self.length - self.cipher.suite.tag_length, 0)


def place_of(rules: ReadRules, bucket: str | None, key: str | None) -> str:
    """ARN of the place that an object must be bound to, or nothing where it is not known.

    Raises:
        ConfigurationError: half a place, or none where the client wants one.
    """
    if (bucket is None) != (key is None):
        raise ConfigurationError("Bucket and Key name one place: give both, or neither")
    if bucket is not None and key is not None:
        return object_arn(bucket, key)
    if rules.bind_object:
        raise ConfigurationError(
            "bind_object=True needs Bucket and Key: a URL alone does not say which object it ought to be"
        )
    return ""


def open_answer(
    rules: ReadRules, headers: Mapping[str, str], context: Mapping[str, str] | StoredContext | None, arn: str
) -> Flow[OpenedAnswer]:
    """Pass the gate with an answer's raw headers; nothing of its body is read.

    Args:
        rules: the options for reads.
        headers: of the answer, looked up in any spelling.
        context: the caller's ``EncryptionContext``.
        arn: as `place_of` gave it.

    Raises:
        NotEncryptedError: it carries no content metadata; a presigned URL reaches no instruction file.
        MetadataError, PolicyError, KeyringError, SecurityError: as for any read.
    """
    content_metadata = formats.parse_object(
        {
            name[len(_METADATA_PREFIX) :]: value
            for name, value in headers.items()
            if name.lower().startswith(_METADATA_PREFIX)
        }
    )
    length = stated_length(headers)
    check_stored_length(content_metadata, length)
    checked = decryption.check(
        content_metadata,
        materials_manager=rules.materials_manager,
        commitment_policy=rules.commitment_policy,
        enable_legacy_unauthenticated_modes=rules.enable_legacy_unauthenticated_modes,
        encryption_context=context,
        bound_context={OBJECT_ARN_PAIR: arn} if rules.bind_object else None,
        object_arn=arn,
    )
    return OpenedAnswer((yield from open_cipher(checked)), length)


def error_of(status: int, text: str) -> dict[str, Any]:
    """S3's refusal of a presigned request as botocore would have parsed it; its message may be anybody's.

    Args:
        status: the HTTP status.
        text: the start of the body.
    """
    code = text.partition("<Code>")[2].partition("</Code>")[0] or str(status)
    return {
        "Error": {"Code": code, "Message": "the presigned request was refused"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0},
    }
