"""Server-side modes in what others hold: presigned URLs and the forms of browsers.

Neither ever carries an SSE-C key. S3 has only the algorithm (and for forms the digest of the key) signed, so the holder
adds the key; in a URL it would end up in logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3ec.client.server_side.modes import ServerSideMode, SseC
from s3ec.client.server_side.rules import apply, check, check_secure, names_a_mode, takes_customer_key

__all__ = ["apply_to_form", "apply_to_url", "post_policy"]

_PREFIX = "x-amz-server-side-encryption"
# Request member -> the header, which is also the name of the form's field.
_FIELDS = {
    "ServerSideEncryption": _PREFIX,
    "SSEKMSKeyId": f"{_PREFIX}-aws-kms-key-id",
    "SSEKMSEncryptionContext": f"{_PREFIX}-context",
    "BucketKeyEnabled": f"{_PREFIX}-bucket-key-enabled",
    "SSECustomerAlgorithm": f"{_PREFIX}-customer-algorithm",
    "SSECustomerKeyMD5": f"{_PREFIX}-customer-key-MD5",
}
_KEY_FIELD = f"{_PREFIX}-customer-key"


def apply_to_url(
    operation_name: str, parameters: Mapping[str, Any], default: ServerSideMode | None, *, secure: bool
) -> dict[str, Any]:
    """Complete and check the request that a presigned URL is for; its holder sends the headers of the mode.

    Args:
        operation_name: as botocore spells it.
        parameters: the request as the caller wrote it; it may name ``SSECustomerAlgorithm`` alone.
        default: the client's mode, or None.
        secure: whether the URL is https.

    Returns:
        A new request. A default of SSE-C adds its algorithm and not its key.

    Raises:
        ConfigurationError: as `s3ec.client.server_side.rules.check`.
    """
    if isinstance(default, SseC):
        if not names_a_mode(parameters) and takes_customer_key(operation_name):
            parameters = {**parameters, "SSECustomerAlgorithm": "AES256"}
        default = None
    if "SSECustomerAlgorithm" not in parameters or "SSECustomerKey" in parameters:
        return apply(operation_name, parameters, default, secure=secure)
    check_secure(operation_name, {"SSECustomerKey": None}, secure=secure)
    rest = {member: value for member, value in parameters.items() if member != "SSECustomerAlgorithm"}
    check(operation_name, rest, secure=secure)
    return dict(parameters)


def apply_to_form(
    fields: Mapping[str, str] | None, conditions: list[Any] | None, default: ServerSideMode | None
) -> tuple[dict[str, str], list[Any]]:
    """Add the client's default to a form of the caller's, unless its fields name a mode of their own."""
    own = dict(fields or {})
    if default is None or any(name.lower().startswith(_PREFIX) for name in own):
        return own, list(conditions or [])
    added, bound = post_policy(default)
    return {**added, **own}, [*(conditions or []), *bound]


def post_policy(mode: ServerSideMode) -> tuple[dict[str, str], list[Any]]:
    """Form fields and policy conditions that bind a browser's POST upload to a mode.

    ::

        fields, conditions = post_policy(SseKms("alias/payroll"))
        client.generate_presigned_post("bucket", "key", Fields=fields, Conditions=conditions)

    For SSE-C the form still lacks ``x-amz-server-side-encryption-customer-key``, the key in base64, which its holder
    fills in: only the key of the signed digest is accepted.

    Returns:
        ``(Fields, Conditions)`` as `generate_presigned_post` takes them.
    """
    fields = {_FIELDS[member]: _text(value) for member, value in mode.parameters().items() if member in _FIELDS}
    conditions: list[Any] = [{name: value} for name, value in fields.items()]
    if isinstance(mode, SseC):
        conditions.append(["starts-with", f"${_KEY_FIELD}", ""])
    return fields, conditions


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
