"""Sends what a copy carries over as the bytes that it was; see `s3ec.s3.carried`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.client import BaseClient

from s3ec.s3.carried import Carried

__all__ = ["send_carried", "take_out"]

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


def take_out(params: dict[str, Any], is_carried: Callable[[Any], bool]) -> dict[str, str]:
    """Take what botocore would not send as it is out of a request; gives it as headers."""
    taken = {}
    if isinstance(params.get("Expires"), str) and is_carried(params["Expires"]):
        taken["Expires"] = str(params.pop("Expires"))
    metadata = params.get("Metadata")
    if isinstance(metadata, dict):
        beyond = {
            name: value
            for name, value in metadata.items()
            if isinstance(value, str) and not value.isascii() and is_carried(value)
        }
        if beyond:
            params["Metadata"] = {name: value for name, value in metadata.items() if name not in beyond}
            taken |= {f"x-amz-meta-{name}": str(value) for name, value in beyond.items()}
    return taken
