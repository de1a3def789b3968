"""Server-side modes in words, for every command that takes one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from s3ec.client.server_side.bucket_policies import RequiredEncryption
from s3ec.client.server_side.modes import DsseKms, ServerSideMode, SseC, SseKms, SseS3

__all__ = ["MODES", "describe", "describe_required", "key_options", "mode", "words", "write_options"]

_NAMES: dict[str, type[Any]] = {"sse-s3": SseS3, "sse-kms": SseKms, "dsse-kms": DsseKms}
MODES = click.Choice(list(_NAMES))


def describe(mode: ServerSideMode | None) -> dict[str, Any]:
    """Return a mode in JSON."""
    if mode is None or isinstance(mode, SseC):
        return {"mode": "none" if mode is None else "sse-c", "key": None, "bucket_key": None}
    name = next(name for name, kind in _NAMES.items() if isinstance(mode, kind))
    return {"mode": name, "key": getattr(mode, "key_id", None), "bucket_key": getattr(mode, "bucket_key", None)}


def describe_required(required: RequiredEncryption) -> dict[str, Any]:
    """Return what a policy requires, in JSON."""
    name = "sse-c" if required.sse_c else None if required.mode is None else describe(required.mode)["mode"]
    return {
        "mode": name,
        "key": getattr(required.mode, "key_id", None),
        "secure_transport": required.secure_transport,
        "by": "s3ec sse require" if required.ours else "another policy",
    }


def words(mode: str | None, key: str | None, bucket_key: bool | None = None) -> str:
    """Describe a mode for people: ``sse-kms, key alias/a, bucket key``."""
    return ", ".join([mode or "any mode", *([f"key {key}"] if key else []), *(["bucket key"] if bucket_key else [])])


def mode(name: str, key_id: str | None, bucket_key: bool | None) -> SseS3 | SseKms | DsseKms:
    """Return the mode that the options name.

    Raises:
        click.UsageError: there are options that the mode does not have.
    """
    if name == "sse-s3":
        if key_id or bucket_key is not None:
            raise click.UsageError("--sse-kms-key and --bucket-key are for the KMS modes", click.get_current_context())
        return SseS3()
    if name == "dsse-kms":
        if bucket_key is not None:
            raise click.UsageError("S3 knows no bucket key with dsse-kms", click.get_current_context())
        return DsseKms(key_id)
    return SseKms(key_id, bucket_key=bucket_key)


def key_options(key_help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options beside a mode's name: ``sse_kms_key`` and ``bucket_key``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option("--bucket-key/--no-bucket-key", default=None, help="S3 Bucket Keys (sse-kms).")(
            function
        )
        return click.option("--sse-kms-key", metavar="KEY", help=key_help)(function)

    return decorate


def write_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the mode of what a job writes; the command receives it as ``server_side_encryption``: arguments, or None."""

    @click.option(
        "--sse", type=MODES, help="Server-side mode of what is written; without it, each object keeps its own."
    )
    @key_options("KMS key of that mode: ID, ARN or alias.")
    @functools.wraps(function)
    def wrapper(*args: Any, sse: str | None, sse_kms_key: str | None, bucket_key: bool | None, **kwargs: Any) -> Any:
        if sse is None and (sse_kms_key or bucket_key is not None):
            raise click.UsageError("--sse-kms-key and --bucket-key need --sse", click.get_current_context())
        arguments = None if sse is None else mode(sse, sse_kms_key, bucket_key).parameters()
        return function(*args, server_side_encryption=arguments, **kwargs)

    return wrapper
