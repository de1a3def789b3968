"""Sends what a copy carries over as the bytes that it was; see `s3ec.s3.carried`."""

from __future__ import annotations

from typing import Any

from botocore.client import BaseClient

from s3ec.s3.carried import Carried, take_out

__all__ = ["send_carried"]

_WRITES = ("PutObject", "CreateMultipartUpload", "CopyObject")
_KEY = "s3ec.carried"


def send_carried(client: BaseClient) -> None:
    """Let a client send what is `Carried`; whatever its caller gives goes through botocore's own checks as ever."""
    for operation in _WRITES:
        client.meta.events.register_first(
            f"before-parameter-build.s3.{operation}", _take, unique_id=f"s3ec-carried-{operation}-out"
        )
        client.meta.events.register(f"before-call.s3.{operation}", _put, unique_id=f"s3ec-carried-{operation}-in")


def _take(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    # The context belongs to one call and lives through its retries, so that threads never see each other's.
    context[_KEY] = take_out(params, lambda value: isinstance(value, Carried))


def _put(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    params["headers"].update(context.get(_KEY) or {})
