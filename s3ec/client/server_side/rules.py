"""Server-side encryption: the four modes of S3, which requests carry which, and what is refused before the wire.

S3 has one rule that clients get wrong most often: a mode is named where an object is *made* (PutObject, CopyObject,
CreateMultipartUpload) and nowhere else, while the key of SSE-C goes with every request that touches content.
`apply` knows both; it is called once for each request, so a client default, the transfer manager's own calls and a
caller's parameters all meet the same checks.

Source: Amazon S3 User Guide, "Protecting data with server-side encryption"; API reference of each operation.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Mapping
from typing import Any

from s3ec.client.server_side.modes import DsseKms, ServerSideMode, SseC, SseKms, SseS3
from s3ec.errors import ConfigurationError, escaped

__all__ = [
    "DsseKms",
    "ServerSideMode",
    "SseC",
    "SseKms",
    "SseS3",
    "apply",
    "check",
    "check_secure",
    "companion",
    "names_a_mode",
    "requested_mode",
    "source_companion",
    "takes_customer_key",
    "warn_unless_confirmed",
]

_log = logging.getLogger("s3ec")

_KMS_ALGORITHMS = frozenset({"aws:kms", "aws:kms:dsse"})
# The last two are what S3 itself answers for objects of those services; a caller may name them, a mode object cannot.
_ALGORITHMS = frozenset({"AES256", "aws:fsx", "aws:backup"}) | _KMS_ALGORITHMS
_KMS_MEMBERS = ("SSEKMSKeyId", "SSEKMSEncryptionContext", "BucketKeyEnabled")
_MODE_MEMBERS = ("ServerSideEncryption", *_KMS_MEMBERS)
_SSE_C_MEMBERS = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")

_EVERY_MEMBER = frozenset({*_MODE_MEMBERS, *_SSE_C_MEMBERS, *(f"CopySource{member}" for member in _SSE_C_MEMBERS)})

_COPY_OPERATIONS = frozenset({"CopyObject", "UploadPartCopy"})
_CREATING_OPERATIONS = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload"})
# A session with a directory bucket may name a mode; AWS advises to leave it to the bucket, so no default goes there.
_MODE_OPERATIONS = _CREATING_OPERATIONS | {"CreateSession"}
_SSE_C_OPERATIONS = _CREATING_OPERATIONS | {
    "CompleteMultipartUpload",
    "GetObject",
    "GetObjectAttributes",
    "HeadObject",
    "ListParts",
    "SelectObjectContent",
    "UploadPart",
    "UploadPartCopy",
}
# An Object Lambda function *reports* the mode of the object that it answers for; it asks for nothing.
_REPORTING_OPERATIONS = frozenset({"WriteGetObjectResponse"})


def apply(
    operation_name: str, parameters: Mapping[str, Any], default: ServerSideMode | None, *, secure: bool
) -> dict[str, Any]:
    """Complete a request with the client's default mode, check it, and put SSE-C keys into wire form.

    A mode named in the request wins entirely: nothing of the default is mixed into it.

    Args:
        operation_name: as botocore spells it, such as ``PutObject``.
        parameters: the request as the caller wrote it; it is not changed.
        default: the client's mode, or None. For the parts of an upload that was created in another mode, give that one.
        secure: whether the request goes over https.

    Returns:
        A new request, ready for botocore.

    Raises:
        ConfigurationError: as `check`.
    """
    if default is None and _EVERY_MEMBER.isdisjoint(parameters):
        return dict(parameters)
    # The request alone comes first: a default must not complete what the caller left incomplete.
    check(operation_name, parameters, secure=secure)
    completed = {**_default_members(operation_name, parameters, default), **parameters}
    if isinstance(default, SseC):
        check_secure(operation_name, completed, secure=secure)
    for prefix in ("SSECustomer", "CopySourceSSECustomer"):
        if f"{prefix}Key" in completed:
            completed.update(_customer_key(completed, prefix).parameters(prefix))
    return completed


def check(operation_name: str, parameters: Mapping[str, Any], *, secure: bool) -> None:
    """Refuse what S3 would refuse, or would quietly take for something else, while nothing has been sent yet.

    Args:
        operation_name: as botocore spells it.
        parameters: the request; only the members about server-side encryption are looked at.
        secure: whether the request goes over https.

    Raises:
        ConfigurationError: a mode on an operation that takes none; members of two modes; members of a KMS mode without
            one; an unknown mode; DSSE-KMS with a bucket key; an encryption context that is not base64 of a JSON object
            of strings; an SSE-C key that is incomplete, of a wrong length or unlike its digest, or sent over http.
    """
    if operation_name in _REPORTING_OPERATIONS:
        return
    if operation_name not in _MODE_OPERATIONS:
        named = [member for member in _MODE_MEMBERS if member in parameters]
        if named:
            raise ConfigurationError(
                f"{operation_name} takes no {', '.join(named)}: S3 answers 400. A server-side mode is named where an "
                "object is made (put, copy, create-multipart); reads need one only for SSE-C, by its key"
            )
    requested_mode(parameters)
    if any(member.startswith("CopySourceSSECustomer") for member in parameters):
        _customer_key(parameters, "CopySourceSSECustomer")
    check_secure(operation_name, parameters, secure=secure)


def requested_mode(parameters: Mapping[str, Any]) -> ServerSideMode | None:
    """Return the mode that a request names, in boto3's own parameters.

    Returns:
        The mode, or None where the request names none (or one that is S3's alone, such as ``aws:fsx``).

    Raises:
        ConfigurationError: the members do not make one whole mode.
    """
    algorithm = parameters.get("ServerSideEncryption")
    kms = [member for member in _KMS_MEMBERS if member in parameters]
    if any(member in parameters for member in _SSE_C_MEMBERS):
        if algorithm is not None or kms:
            raise ConfigurationError(
                "SSE-C is a mode of its own: it goes with no ServerSideEncryption and no KMS parameter"
            )
        return _customer_key(parameters, "SSECustomer")
    if algorithm is not None and (not isinstance(algorithm, str) or algorithm not in _ALGORITHMS):
        raise ConfigurationError(f"ServerSideEncryption is one of {', '.join(sorted(_ALGORITHMS))}, not {algorithm!r}")
    if algorithm in _KMS_ALGORITHMS:
        return _kms_mode(parameters)
    if kms:
        raise ConfigurationError(
            f"{', '.join(kms)} without a KMS mode: name ServerSideEncryption='aws:kms' (or 'aws:kms:dsse') beside it"
        )
    return SseS3() if algorithm == "AES256" else None


def names_a_mode(parameters: Mapping[str, Any]) -> bool:
    """True if a request says anything about its server-side mode, so that a default has to step aside."""
    return any(member in parameters for member in (*_MODE_MEMBERS, *_SSE_C_MEMBERS))


def takes_customer_key(operation_name: str) -> bool:
    """True if an operation takes the key of SSE-C."""
    return operation_name in _SSE_C_OPERATIONS


def companion(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The SSE-C members of a request, for another request about the same object (a HEAD, a part, an instruction file).

    Returns:
        The three members in wire form, or an empty dict.

    Raises:
        ConfigurationError: the members do not make one whole key.
    """
    mode = requested_mode({member: parameters[member] for member in _SSE_C_MEMBERS if member in parameters})
    return mode.parameters() if isinstance(mode, SseC) else {}


def source_companion(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the SSE-C key of a copy's *source*, spelt for a request (HEAD, GET) about that source.

    Returns:
        The three ``SSECustomer…`` members in wire form, or an empty dict.

    Raises:
        ConfigurationError: the members do not make one whole key.
    """
    if "CopySourceSSECustomerKey" not in parameters:
        return {}
    return _customer_key(parameters, "CopySourceSSECustomer").parameters()


def warn_unless_confirmed(operation_name: str, parameters: Mapping[str, Any], response: Mapping[str, Any]) -> bool:
    """Notice a server that accepts the mode but does not apply it.

    S3 answers with the mode that it used; several servers that speak its protocol answer 200 and store the object as it
    came. The content is encrypted by the client all the same, so this is a warning of the logger ``s3ec`` and no error.

    Args:
        operation_name: as botocore spells it; only those that make an object are looked at.
        parameters: the request as it was sent, after `apply`.
        response: botocore's parsed answer.

    Returns:
        True if the answer confirms what was asked for, or nothing was.
    """
    if operation_name not in _CREATING_OPERATIONS:
        return True
    asked = [
        member
        for member in ("ServerSideEncryption", "SSECustomerAlgorithm", "SSECustomerKeyMD5")
        if member in parameters
    ]
    if ":key/" in str(parameters.get("SSEKMSKeyId")):
        # Only a full key ARN is answered as it was given; identifiers and aliases come back resolved.
        asked.append("SSEKMSKeyId")
    for member in asked:
        if response.get(member) != parameters[member]:
            _log.warning(
                "%s s3://%s/%s: server-side encryption was asked for and not confirmed: %s is %r in the answer, not %r",
                operation_name,
                escaped(str(parameters.get("Bucket"))),
                escaped(str(parameters.get("Key"))),
                member,
                response.get(member),
                parameters[member],
            )
            return False
    return True


def _default_members(
    operation_name: str, parameters: Mapping[str, Any], default: ServerSideMode | None
) -> dict[str, Any]:
    """Return what the client default adds to a request: all of it, or nothing."""
    if default is None:
        return {}
    members: dict[str, Any] = {}
    if not names_a_mode(parameters):
        members.update(_members_for(operation_name, default))
    if (
        isinstance(default, SseC)
        and operation_name in _COPY_OPERATIONS
        and not any(member.startswith("CopySourceSSECustomer") for member in parameters)
    ):
        members.update(default.parameters("CopySourceSSECustomer"))
    return members


def _members_for(operation_name: str, default: ServerSideMode) -> dict[str, Any]:
    if isinstance(default, SseC):
        return default.parameters() if operation_name in _SSE_C_OPERATIONS else {}
    return default.parameters() if operation_name in _CREATING_OPERATIONS else {}


def check_secure(operation_name: str, parameters: Mapping[str, Any], *, secure: bool) -> None:
    """Refuse an SSE-C key that would go over plain http.

    Raises:
        ConfigurationError: there is one, and it would.
    """
    if not secure and any("SSECustomerKey" in member for member in parameters):
        raise ConfigurationError(
            f"{operation_name} would send an SSE-C key over plain http; use an https endpoint (S3 refuses it as well, "
            "but by then the key has been on the network)"
        )


def _kms_mode(parameters: Mapping[str, Any]) -> SseKms | DsseKms:
    key_id = parameters.get("SSEKMSKeyId")
    context = None
    if "SSEKMSEncryptionContext" in parameters:
        context = _decode_context(parameters["SSEKMSEncryptionContext"])
    if parameters["ServerSideEncryption"] == "aws:kms":
        return SseKms(key_id, context=context, bucket_key=parameters.get("BucketKeyEnabled"))
    if parameters.get("BucketKeyEnabled"):
        raise ConfigurationError("DSSE-KMS has no bucket keys: leave BucketKeyEnabled out, or use SSE-KMS")
    return DsseKms(key_id, context=context)


def _decode_context(text: object) -> Mapping[str, str]:
    """Decode the encryption context of a request's own SSEKMSEncryptionContext."""
    try:
        context = json.loads(base64.b64decode(text, validate=True)) if isinstance(text, str) else None
    except (ValueError, RecursionError):  # RecursionError: brackets nested deeply to exhaust the reader
        context = None
    if not isinstance(context, dict):
        raise ConfigurationError(
            "SSEKMSEncryptionContext is base64 of a JSON object of strings; SseKms(context={…}) encodes it"
        )
    return context


def _customer_key(parameters: Mapping[str, Any], prefix: str) -> SseC:
    """Return the SSE-C key of a request: raw as boto3 takes it, or base64 with its digest beside it."""
    algorithm, key, digest = (parameters.get(f"{prefix}{part}") for part in ("Algorithm", "Key", "KeyMD5"))
    if algorithm is None or key is None:
        raise ConfigurationError(f"SSE-C needs both {prefix}Algorithm='AES256' and {prefix}Key")
    if algorithm != "AES256":
        raise ConfigurationError(f"{prefix}Algorithm is 'AES256', not {algorithm!r}")
    if not isinstance(key, str | bytes | bytearray | memoryview):
        raise ConfigurationError(f"{prefix}Key is bytes or str, not {type(key).__name__}")
    raw = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else bytes(key)
    if digest is None:
        return SseC(raw)
    try:
        mode = SseC(base64.b64decode(raw, validate=True))
    except binascii.Error:
        raise ConfigurationError(
            f"{prefix}Key comes with {prefix}KeyMD5, so it must be base64 already; it is not"
        ) from None
    if digest != mode.key_md5:
        raise ConfigurationError(f"{prefix}KeyMD5 is not the MD5 of {prefix}Key")
    return mode
