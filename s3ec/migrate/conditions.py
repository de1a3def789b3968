"""Conditional writes for SDKs that are older than the conditions.

S3 takes ``If-Match`` on PutObject, CompleteMultipartUpload and CopyObject; botocore learnt the parameters over the
years 2024 to 2025. Where this botocore does not know one, it is taken out before validation and sent as a header, so
that a migration is as safe on an old SDK as on a new one.
"""

from __future__ import annotations

from typing import Any

__all__ = ["teach_conditions"]

_HEADERS = {"IfMatch": "If-Match", "IfNoneMatch": "If-None-Match"}
_OPERATIONS = ("PutObject", "CompleteMultipartUpload", "CopyObject")
_KEY = "s3ec.migrate.conditions"


def teach_conditions(client: Any) -> None:
    """Make an S3 client of one's own take ``IfMatch`` and ``IfNoneMatch`` on every write, whatever its botocore."""
    for operation in _OPERATIONS:
        known = client.meta.service_model.operation_model(operation).input_shape.members
        missing = {name: header for name, header in _HEADERS.items() if name not in known}
        if missing:
            _register(client, operation, missing)


def _register(client: Any, operation: str, missing: dict[str, str]) -> None:
    def take_out(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        # The context belongs to one call and lives through its retries, so that threads never see each other's.
        context[_KEY] = {header: params.pop(name) for name, header in missing.items() if name in params}

    def put_in(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        params["headers"].update(context.get(_KEY, {}))

    client.meta.events.register(f"before-parameter-build.s3.{operation}", take_out)
    client.meta.events.register(f"before-call.s3.{operation}", put_in)
