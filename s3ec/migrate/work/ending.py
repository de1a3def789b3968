"""How a step ends early, and how errors of S3, KMS and s3ec become the result of one task.

This is the one place where foreign exceptions turn into outcomes. Nothing here swallows an error: each is named in the
outcome, and those that concern more than one object (credentials, a missing bucket) go on up.
"""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from s3ec.errors import (
    ConfigurationError,
    KeyringError,
    LegacyAlgorithmError,
    MetadataError,
    ObjectTooLargeError,
    S3ECError,
    SecurityError,
)
from s3ec.migrate.model import Result, SkipReason
from s3ec.s3 import answers

__all__ = [
    "OF_THE_JOB",
    "PASSING_ERRORS",
    "SSE_C_CODES",
    "TaskEndedError",
    "code_of",
    "ended_by",
    "name_of",
    "status_of",
]

PASSING_ERRORS = (
    ConnectionClosedError, ConnectTimeoutError, EndpointConnectionError, FlexibleChecksumError, HTTPClientError,
    IncompleteReadError, ReadTimeoutError, ResponseStreamingError,
    # Where the text of an *error* answer is cut, botocore lets through what its HTTP library raised; and of a text that
    # is no XML it makes an error of its own that is not among its others.
    HTTPError, ResponseParserError,
)  # fmt: skip
"""Faults of the network: the same request may succeed later."""

_THROTTLED = frozenset(
    {
        "SlowDown", "Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException",
        "RequestLimitExceeded", "LimitExceededException", "KMSInternalException", "DependencyTimeoutException",
        "RequestTimeout", "RequestTimeTooSkewed", "InternalError", "ServiceUnavailable", "OperationAborted",
        "ConditionalRequestConflict", "NoSuchUpload", "BadDigest", "XAmzContentChecksumMismatch",
    }
)  # fmt: skip
_GONE = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound", "MethodNotAllowed"})
_CHANGED = frozenset({"PreconditionFailed", "412"})
OF_THE_JOB = frozenset(
    {
        "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException",
        "InvalidToken", "UnrecognizedClientException", "AllAccessDisabled", "PermanentRedirect", "InvalidClientTokenId",
        "IncompleteSignature", "InvalidSignatureException", "AuthorizationHeaderMalformed", "TokenRefreshRequired",
    }
)  # fmt: skip
"""What the next object would meet as well: credentials, the Region, the bucket."""

SSE_C_CODES = frozenset({"400", "InvalidRequest"})
"""With status 400: what S3 answers to a read of an SSE-C object without its key; to HEAD, without a body, a number."""


class TaskEndedError(Exception):
    """A step came to its end before its last line; never leaves `s3ec.migrate.migrate_one`.

    Attributes:
        result: how the task ended.
        reason: why the object is left alone, where it is.
        message: for people.
        error: class of the error behind it, or the service's code; None where there is none.
    """

    error: str | None = None

    def __init__(self, result: Result, message: str = "", *, reason: SkipReason | None = None) -> None:
        """Take the result."""
        super().__init__(message)
        self.result = result
        self.reason = reason
        self.message = message

    @classmethod
    def skip(cls, reason: SkipReason, message: str = "") -> TaskEndedError:
        """Make the error that ends a task and leaves its object alone."""
        return cls(Result.SKIPPED, message or reason.advice, reason=reason)


def code_of(error: ClientError) -> str:
    """Return the service's own word for an error."""
    return answers.code_of(error.response)


def status_of(error: ClientError) -> int:
    """Return the HTTP status of an error answer, or 0."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def ended_by(error: Exception) -> TaskEndedError | None:
    """Return what an error means for the one task that met it; None if it concerns the whole job."""
    if isinstance(error, TaskEndedError):
        return error
    ended = _ended_by(error)
    if ended is not None:
        ended.error = name_of(error)
    return ended


def name_of(error: Exception) -> str:
    """Return the service's code, or the error's class; for a key that could not be asked for, what stood in between."""
    if isinstance(error, KeyringError):
        cause = error.__cause__
        if isinstance(cause, BotoCoreError):
            return type(cause).__name__
        if isinstance(cause, ClientError) and (code_of(cause) in OF_THE_JOB or code_of(cause) in _THROTTLED):
            return code_of(cause)
    return code_of(error) if isinstance(error, ClientError) else type(error).__name__


def _ended_by(error: Exception) -> TaskEndedError | None:
    if isinstance(error, ClientError):
        return _by_service(error)
    if isinstance(error, FlexibleChecksumError):
        # Its own text has both checksums, and with them a digest of the content.
        return TaskEndedError(Result.RETRY, "what arrived does not have the checksum that S3 says it has")
    if isinstance(error, PASSING_ERRORS):
        return TaskEndedError(Result.RETRY, f"{type(error).__name__}: {error}")
    if isinstance(error, S3ECError):
        return _by_s3ec(error)
    return None


def _by_service(error: ClientError) -> TaskEndedError | None:
    code, status = code_of(error), status_of(error)
    if code in OF_THE_JOB:
        return None
    if code in _CHANGED:
        return TaskEndedError(Result.CHANGED, "another writer changed the object; it is looked at again")
    if code in _THROTTLED or status >= 500 or status in (409, 429):
        return TaskEndedError(Result.RETRY, str(error))
    if code in _GONE:
        return TaskEndedError(Result.GONE, "the object was deleted since it was listed")
    if code == "InvalidObjectState":
        return TaskEndedError.skip(SkipReason.ARCHIVED)
    return TaskEndedError(Result.FAILED, str(error))


def _by_s3ec(error: S3ECError) -> TaskEndedError | None:
    if isinstance(error, ConfigurationError) or _is_about_the_wrapping_key(error) or _is_about_access(error):
        return None
    if isinstance(error, KeyringError) and isinstance(error.__cause__, (ClientError, *PASSING_ERRORS)):
        by_kms = ended_by(error.__cause__)
        if by_kms is not None and by_kms.result is Result.RETRY:
            return TaskEndedError(Result.RETRY, str(error))
    if isinstance(error, LegacyAlgorithmError):
        return TaskEndedError.skip(SkipReason.LEGACY, str(error))
    if isinstance(error, ObjectTooLargeError):
        return TaskEndedError.skip(SkipReason.TOO_LARGE)
    if isinstance(error, MetadataError):
        return TaskEndedError.skip(SkipReason.MALFORMED, str(error))
    kind = "evidence of tampering: " if isinstance(error, SecurityError) else ""
    return TaskEndedError(Result.FAILED, f"{kind}{error}")


def _is_about_access(error: S3ECError) -> bool:
    """True if KMS cannot be asked at all: no credentials, none that are valid, no Region."""
    cause = error.__cause__
    if not isinstance(error, KeyringError):
        return False
    if isinstance(cause, ClientError):
        return code_of(cause) in OF_THE_JOB
    return isinstance(cause, BotoCoreError) and not isinstance(cause, PASSING_ERRORS)


def _is_about_the_wrapping_key(error: S3ECError) -> bool:
    """True if the key that everything is to be wrapped with cannot be used: the next object would meet the same."""
    cause = error.__cause__
    return (
        isinstance(error, KeyringError)
        and isinstance(cause, ClientError)
        and cause.operation_name in ("GenerateDataKey", "Encrypt")
        and code_of(cause) not in _THROTTLED
    )
