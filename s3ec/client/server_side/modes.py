"""The four modes of server-side encryption, as values.

Each checks itself when it is built and knows the request parameters that ask for it, by boto3's names.

Source: Amazon S3 User Guide, "Protecting data with server-side encryption".
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from s3ec.errors import ConfigurationError
from s3ec.secrets import Secret, Unpicklable

__all__ = ["DsseKms", "ServerSideMode", "SseC", "SseKms", "SseS3"]

_SSE_C_KEY_LENGTH = 32


@dataclass(frozen=True, slots=True)
class SseS3:
    """SSE-S3: AES-256 with keys that S3 owns."""

    def parameters(self) -> dict[str, Any]:
        """Return the members that ask for this mode when an object is made."""
        return {"ServerSideEncryption": "AES256"}


@dataclass(frozen=True, slots=True)
class SseKms:
    """SSE-KMS: data keys wrapped by AWS KMS.

    Args:
        key_id: key ID, key ARN, alias or alias ARN; None means the AWS-managed key ``aws/s3``.
        context: additional encryption context of *S3's* KMS calls, a map of strings; it is visible in CloudTrail and is
            not the `EncryptionContext` of client-side encryption.
        bucket_key: True or False overrides what the bucket says about S3 Bucket Keys; None leaves it to the bucket.

    Raises:
        ConfigurationError: an empty key, a context that is not a map of strings, a bucket key that is not a bool.
    """

    key_id: str | None = None
    context: Mapping[str, str] | None = field(default=None, kw_only=True, hash=False)
    bucket_key: bool | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_kms(self.key_id, self.context)
        if self.bucket_key is not None and not isinstance(self.bucket_key, bool):
            raise ConfigurationError(
                f"SseKms(bucket_key=…) is True, False or None, not {type(self.bucket_key).__name__}"
            )

    def parameters(self) -> dict[str, Any]:
        """Return the members that ask for this mode when an object is made."""
        members = _kms_parameters("aws:kms", self.key_id, self.context)
        return members if self.bucket_key is None else {**members, "BucketKeyEnabled": self.bucket_key}


@dataclass(frozen=True, slots=True)
class DsseKms:
    """DSSE-KMS: two independent layers of AES-256 on the server, keys wrapped by AWS KMS. It has no bucket keys.

    Args:
        key_id: as in `SseKms`.
        context: as in `SseKms`.

    Raises:
        ConfigurationError: an empty key, or a context that is not a map of strings.
    """

    key_id: str | None = None
    context: Mapping[str, str] | None = field(default=None, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        _check_kms(self.key_id, self.context)

    def parameters(self) -> dict[str, Any]:
        """Return the members that ask for this mode when an object is made."""
        return _kms_parameters("aws:kms:dsse", self.key_id, self.context)


@dataclass(frozen=True, slots=True, repr=False, init=False)
class SseC(Unpicklable):
    """SSE-C: a key of the caller's that S3 uses for the request and forgets.

    If the key is lost, so is the object. The key is never shown, and the object refuses to be pickled.

    Args:
        key: 32 raw bytes.

    Raises:
        ConfigurationError: the key is not 32 bytes long.
    """

    _secret: Secret[bytes]

    def __init__(self, key: bytes) -> None:
        secret = Secret(key)
        del key  # keep what is refused below out of any error report
        if not isinstance(secret.reveal(), bytes):
            raise ConfigurationError(f"an SSE-C key is 32 raw bytes, not {type(secret.reveal()).__name__}")
        if len(secret) != _SSE_C_KEY_LENGTH:
            raise ConfigurationError(
                f"an SSE-C key is {_SSE_C_KEY_LENGTH} raw bytes, this one has {len(secret)}; "
                "one that is base64 already needs its SSECustomerKeyMD5 beside it"
            )
        object.__setattr__(self, "_secret", secret)

    @property
    def key(self) -> bytes:
        """Return the 32 raw bytes."""
        return self._secret.reveal()

    def parameters(self, prefix: str = "SSECustomer") -> dict[str, str]:
        """Return the three members, with `prefix` ``SSECustomer`` or ``CopySourceSSECustomer``.

        They are in wire form, base64 with the digest: botocore encodes raw keys for some operations only
        (not for ListParts and GetObjectAttributes) and leaves a key alone that comes with its digest.
        """
        return {
            f"{prefix}Algorithm": "AES256",
            f"{prefix}Key": base64.b64encode(self.key).decode(),
            f"{prefix}KeyMD5": self.key_md5,
        }

    @property
    def key_md5(self) -> str:
        """Return the key's MD5 in base64, which S3 answers and stores: it tells keys apart without showing one."""
        return base64.b64encode(hashlib.md5(self.key, usedforsecurity=False).digest()).decode()

    def __repr__(self) -> str:
        return "SseC(key=<secret>)"

    def __copy__(self) -> SseC:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SseC:
        return self


ServerSideMode: TypeAlias = SseS3 | SseKms | DsseKms | SseC


def _check_kms(key_id: object, context: object) -> None:
    if key_id is not None and (not isinstance(key_id, str) or not key_id):
        raise ConfigurationError(
            "a KMS key is named by a non-empty string; leave it out for the AWS-managed key aws/s3"
        )
    if context is not None:
        _check_context(context)


def _check_context(context: object) -> None:
    if not isinstance(context, Mapping) or not all(
        isinstance(key, str) and isinstance(value, str) for key, value in context.items()
    ):
        raise ConfigurationError("an encryption context for server-side encryption is a map of strings to strings")


def _kms_parameters(algorithm: str, key_id: str | None, context: Mapping[str, str] | None) -> dict[str, Any]:
    members: dict[str, Any] = {"ServerSideEncryption": algorithm}
    if key_id is not None:
        members["SSEKMSKeyId"] = key_id
    if context:
        text = json.dumps(dict(context), separators=(",", ":"), sort_keys=True)
        members["SSEKMSEncryptionContext"] = base64.b64encode(text.encode()).decode()
    return members
