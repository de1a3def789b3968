"""What S3 takes and botocore does not: conditions that an older SDK has not learnt, and headers beyond ASCII.

S3 takes ``If-Match`` on PutObject, CompleteMultipartUpload, CopyObject and DeleteObject; botocore learnt the parameters
over the years 2024 to 2025. Where this botocore does not know one, it is taken out before validation and sent as a
header, so that a migration is as safe on an old SDK as on a new one. User metadata beyond ASCII, which botocore refuses
and other writers have written, and an ``Expires`` that is given as text go the same way: as they came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s3ec.s3.carried import take_out

__all__ = ["teach_conditions", "teach_headers"]

_HEADERS = {"IfMatch": "If-Match", "IfNoneMatch": "If-None-Match"}
_OPERATIONS = ("PutObject", "CompleteMultipartUpload", "CopyObject", "DeleteObject")
_WRITES = ("PutObject", "CreateMultipartUpload", "CopyObject")
_KEY = "s3ec.migrate.work.conditions"


def teach_conditions(client: Any) -> None:
    """Make an S3 client of one's own take ``IfMatch`` and ``IfNoneMatch`` on every write, whatever its botocore."""
    for operation in _OPERATIONS:
        known = client.meta.service_model.operation_model(operation).input_shape.members
        missing = {name: header for name, header in _HEADERS.items() if name not in known}
        if missing:
            _register(client, operation, _takes(missing))


def teach_headers(client: Any) -> None:
    """Make an S3 client of one's own send user metadata beyond ASCII as UTF-8, and ``Expires`` as the text it is."""
    for operation in _WRITES:
        _register(client, operation, _take_headers)


def _takes(missing: dict[str, str]) -> Callable[[dict[str, Any]], dict[str, str]]:
    return lambda params: {header: params.pop(name) for name, header in missing.items() if name in params}


def _take_headers(params: dict[str, Any]) -> dict[str, str]:
    return take_out(params, lambda _: True)


def _register(client: Any, operation: str, take: Callable[[dict[str, Any]], dict[str, str]]) -> None:
    def take_out(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        # The context belongs to one call and lives through its retries, so that threads never see each other's.
        context[_KEY] = {**context.get(_KEY, {}), **take(params)}

    def put_in(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        params["headers"].update(context.get(_KEY, {}))

    # Before botocore's own handlers, which refuse metadata beyond ASCII.
    client.meta.events.register_first(f"before-parameter-build.s3.{operation}", take_out)
    client.meta.events.register(f"before-call.s3.{operation}", put_in)
