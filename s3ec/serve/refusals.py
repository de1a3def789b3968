"""From errors to S3's own form of them: a status, a code, and a sentence that names the next step.

Refusals have a status from 400 on or 501; the other 5xx are tried again by every client, so they are kept for what may
work the next time.
Source: Amazon S3 API reference, "Error responses".
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError, SSOError, TokenRetrievalError

from s3ec import errors
from s3ec.errors import S3ECError
from s3ec.s3.answers import code_of

__all__ = ["Refusal", "RefusedError", "refusal_of"]

_ILLEGAL_IN_XML = {code: None for code in range(32) if code not in (9, 10, 13)}
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "KMSInternalException", "DependencyTimeoutException"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told."""

    status: int
    code: str
    message: str

    def render(self, request_id: str, resource: str = "") -> bytes:
        """The XML document that S3 clients parse."""
        pairs = {"Code": self.code, "Message": self.message, "Resource": resource, "RequestId": request_id}
        inner = "".join(f"<{k}>{escape(v.translate(_ILLEGAL_IN_XML))}</{k}>" for k, v in pairs.items() if v)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode("utf-8", "replace")


class RefusedError(S3ECError):
    """A request that the endpoint does not take; nothing of it reaches S3.

    One of s3ec's own, so that the client beneath lets it through as it is when it comes out of a body.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        """Take what the client is told."""
        super().__init__(message)
        self.refusal = Refusal(status, code, message)


_STATUS: tuple[tuple[type[S3ECError], int, str], ...] = (
    (errors.UnsupportedOperationError, 501, "NotImplemented"),
    (errors.NotEncryptedError, 400, "NotEncrypted"),
    (errors.MetadataError, 400, "MalformedEncryptionMetadata"),
    (errors.PolicyError, 400, "ForbiddenByEncryptionPolicy"),
    (errors.EncryptionContextMismatchError, 403, "EncryptionContextMismatch"),
    (errors.KeyringError, 403, "EncryptionKeyUnavailable"),
    (errors.SecurityError, 422, "AuthenticationFailed"),
    (errors.SourceChangedError, 400, "BadDigest"),
    (errors.ObjectTooLargeError, 400, "EntityTooLarge"),
    (errors.MultipartStateError, 400, "InvalidRequest"),
    (errors.ConfigurationError, 400, "InvalidRequest"),
)


def refusal_of(error: S3ECError | ClientError | BotoCoreError) -> Refusal:
    """What a client is told about an error of ours, of S3's or of the way to S3."""
    if isinstance(error, RefusedError):
        return error.refusal
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        status = status if isinstance(status, int) and 300 <= status < 600 else 502
        return Refusal(status, str(details.get("Code", "Unknown")), str(details.get("Message", "")))
    if isinstance(error, ParamValidationError):
        return Refusal(400, "InvalidArgument", str(error.kwargs.get("report", error)))
    if isinstance(error, SSOError | TokenRetrievalError):
        # Until a person logs in again: to try again is no use.
        return Refusal(403, "AccessDenied", f"The endpoint itself has no valid credentials: {error}")
    if isinstance(error, BotoCoreError):
        return Refusal(503, "ServiceUnavailable", f"S3 could not be asked: {error}")
    if isinstance(error, errors.KeyringError) and _may_pass(error.__cause__):
        return Refusal(503, "ServiceUnavailable", str(error))
    status, code = next(((s, c) for kind, s, c in _STATUS if isinstance(error, kind)), (400, "InvalidRequest"))
    return Refusal(status, code, str(error))


def _may_pass(cause: BaseException | None) -> bool:
    """True if KMS was not reached, or had too much to do."""
    if isinstance(cause, ClientError):
        return code_of(cause.response) in _THROTTLED
    return isinstance(cause, BotoCoreError)
