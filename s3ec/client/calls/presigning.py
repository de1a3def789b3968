"""Presigned requests: who holds one of an upload stores what they like, so uploads are refused unless allowed."""

from __future__ import annotations

import logging
from typing import Any

from s3ec.client.calls.around import Around
from s3ec.client.calls.operations import Treatment, treatment
from s3ec.client.options import Options
from s3ec.client.server_side import presigned as server_side_presigned
from s3ec.errors import UnsupportedOperationError

__all__ = ["check_form", "check_url"]

_log = logging.getLogger("s3ec")

_UPLOADS = frozenset({"CompleteMultipartUpload", "CreateMultipartUpload", "PutObject", "UploadPart", "UploadPartCopy"})
_WAY_OUT = (
    "its holder would store plaintext where this client's readers expect ciphertext. "
    's3ec.presigned_upload gives out an upload that encrypts locally; presigned_uploads="allow" permits plain ones'
)


def check_url(client: Any, around: Around, method_name: str, parameters: Any, http_method: Any) -> Any:
    """Refuse a URL that would store plaintext, and return the parameters of one that would not.

    Args:
        client: the client that signs it.
        around: its options.
        method_name: the caller's ``ClientMethod``; one that there is none of is for botocore to refuse.
        parameters: the caller's ``Params``, or None.
        http_method: the caller's ``HttpMethod``, or None.

    Returns:
        The parameters with the headers of the client's server-side mode, which the holder of the URL sends too.

    Raises:
        ConfigurationError: a server-side mode that S3 would refuse.
        UnsupportedOperationError: the holder of the URL would store plaintext.
    """
    operation_name = client._PY_TO_OP_NAME.get(method_name)
    stripped = _strip_read_parameters(parameters)
    if operation_name is None:
        return stripped
    _check_operation(operation_name, around.options)
    own_method = around.service_model.operation_model(operation_name).http.get("method")
    _check_method(operation_name, own_method, http_method, around.options)
    mode = around.options.server_side_encryption
    return server_side_presigned.apply_to_url(operation_name, stripped or {}, mode, secure=around.secure)


def check_form(around: Around, fields: Any, conditions: Any) -> tuple[Any, Any]:
    """Refuse a POST form unless the client allows presigned uploads, and return what one is made of.

    Args:
        around: the client's options.
        fields: the caller's ``Fields``, or None.
        conditions: the caller's ``Conditions``, or None.

    Raises:
        UnsupportedOperationError: with the way out.
    """
    if around.options.presigned_uploads == "refuse":
        raise UnsupportedOperationError(f"a presigned POST is refused: {_WAY_OUT}")
    return server_side_presigned.apply_to_form(fields, conditions, around.options.server_side_encryption)


def _check_operation(operation_name: str, options: Options) -> None:
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


def _check_method(operation_name: str, own: str | None, wanted: object, options: Options) -> None:
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


def _strip_read_parameters(parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Drop the parameters that only this client knows: a URL has no place for them."""
    if not parameters:
        return parameters
    return {
        name: value for name, value in parameters.items() if name not in ("EncryptionContext", "InstructionFileSuffix")
    }
