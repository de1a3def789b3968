"""Presigned requests: who holds one of an upload stores what they like, so uploads are refused unless allowed."""

from __future__ import annotations

import logging
from typing import Any

from s3ec.client.calls.operations import Treatment, treatment
from s3ec.client.options import Options
from s3ec.errors import UnsupportedOperationError

__all__ = ["check_presigned_method", "check_presigned_operation", "check_presigned_post", "strip_read_parameters"]

_log = logging.getLogger("s3ec")

_UPLOADS = frozenset({"CompleteMultipartUpload", "CreateMultipartUpload", "PutObject", "UploadPart", "UploadPartCopy"})
_WAY_OUT = (
    "its holder would store plaintext where this client's readers expect ciphertext. "
    's3ec.presigned_upload gives out an upload that encrypts locally; presigned_uploads="allow" permits plain ones'
)


def check_presigned_operation(operation_name: str, options: Options) -> None:
    """Refuse a presigned upload, and what the client refuses anyway.

    Raises:
        UnsupportedOperationError: with the way out.
    """
    if operation_name in _UPLOADS and options.presigned_uploads == "refuse":
        raise UnsupportedOperationError(f"a presigned {operation_name} is refused: {_WAY_OUT}")
    if treatment(operation_name) is Treatment.REFUSED and options.presigned_uploads == "refuse":
        raise UnsupportedOperationError(f"a presigned {operation_name} is refused, as the operation itself is")
    if operation_name == "GetObject":
        _log.info("a presigned get_object gives its holder ciphertext; s3ec.decrypt_presigned opens it")


def check_presigned_method(operation_name: str, own: str | None, wanted: object, options: Options) -> None:
    """Refuse the method of another operation: a presigned ``PUT`` is an upload, whatever it is called.

    Args:
        operation_name: as botocore spells it.
        own: the HTTP method of that operation.
        wanted: the caller's ``HttpMethod``, or None.
        options: the client's.

    Raises:
        UnsupportedOperationError: with the way out.
    """
    if wanted is None or options.presigned_uploads == "allow":
        return
    if not isinstance(wanted, str) or wanted.upper() != own:
        raise UnsupportedOperationError(
            f"a presigned {operation_name} with HttpMethod={wanted!r} is refused, since its own is {own!r} and "
            f"another one makes another operation of it: {_WAY_OUT}"
        )


def check_presigned_post(options: Options) -> None:
    """Refuse a presigned POST form.

    Raises:
        UnsupportedOperationError: with the way out.
    """
    if options.presigned_uploads == "refuse":
        raise UnsupportedOperationError(f"a presigned POST is refused: {_WAY_OUT}")


def strip_read_parameters(parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Drop the parameters that only this client knows: a URL has no place for them."""
    if not parameters:
        return parameters
    return {
        name: value for name, value in parameters.items() if name not in ("EncryptionContext", "InstructionFileSuffix")
    }
