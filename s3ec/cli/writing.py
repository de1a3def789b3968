"""What `cp`, `mv` and `sync` say about the objects that they write, under the names that `aws s3` has for it."""

from __future__ import annotations

import functools
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from botocore.utils import parse_timestamp

from s3ec.cli import server_side
from s3ec.client.server_side.modes import ServerSideMode, SseC
from s3ec.errors import ConfigurationError
from s3ec.s3.carried import carried

__all__ = ["Writing", "write_settings"]

_HEADERS = {
    "content_type": "ContentType",
    "cache_control": "CacheControl",
    "content_disposition": "ContentDisposition",
    "content_encoding": "ContentEncoding",
    "content_language": "ContentLanguage",
    "expires": "Expires",
}
_OTHERS = {"storage_class": "StorageClass", "acl": "ACL"}
_MODES = {"AES256": "sse-s3", "aws:kms": "sse-kms", "aws:kms:dsse": "dsse-kms"}
_ACLS = (
    "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read",
    "bucket-owner-full-control", "log-delivery-write",
)  # fmt: skip
_CLASSES = (
    "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE",
    "GLACIER_IR", "OUTPOSTS", "SNOW", "EXPRESS_ONEZONE",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What was asked for of objects that are written.

    Attributes:
        headers: request members that S3 keeps with an object and replaces all together: content headers, `Metadata`.
        others: request members that stand for themselves: storage class, ACL, tags.
        mode: server-side mode that was named; None asks the bucket.
        guess_type: derive the Content-Type of an upload from its file's name.
        given: the options that were given, for commands that have no use for them.
    """

    headers: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    mode: ServerSideMode | None = None
    guess_type: bool = True
    given: tuple[str, ...] = ()

    def upload_arguments(self, content_type: str | None) -> dict[str, Any]:
        """``ExtraArgs`` of an upload whose file looks like ``content_type``."""
        guessed = {"ContentType": content_type} if content_type and self.guess_type else {}
        return {**guessed, **self.headers, **self.others}

    def copy_arguments(self, head: Mapping[str, Any]) -> dict[str, Any]:
        """``ExtraArgs`` of a copy within S3.

        S3 replaces headers and metadata all or none: what is not named here is taken over from the source.

        Args:
            head: HEAD of the source, without content metadata.
        """
        extra: dict[str, Any] = dict(self.others)
        if "Tagging" in extra:
            extra["TaggingDirective"] = "REPLACE"
        if self.headers:
            kept = carried(head, (*_HEADERS.values(), "Metadata"))
            extra = {**extra, **kept, **self.headers, "MetadataDirective": "REPLACE"}
        return extra


def _names(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE[,NAME=VALUE…]`` or a JSON object, repeatable, as the AWS CLI takes a map."""
    found: dict[str, str] = {}
    for text in values:
        pairs = _json(ctx, param, text) if text.lstrip().startswith("{") else _pairs(ctx, param, text)
        for name, value in pairs:
            if name in found:
                raise click.BadParameter(f"{name!r} is given twice", ctx, param)
            found[name] = value
    return found


def _json(ctx: click.Context, param: click.Parameter, text: str) -> list[tuple[str, str]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not a JSON object: {error}", ctx, param) from error
    if not all(isinstance(value, str) for value in found.values()):
        raise click.BadParameter("a JSON object of texts is wanted", ctx, param)
    return list(found.items())


def _pairs(ctx: click.Context, param: click.Parameter, text: str) -> list[tuple[str, str]]:
    found = []
    for piece in text.split(","):
        name, separator, value = piece.partition("=")
        if not separator or not name:
            hint = '; a value with a comma needs JSON: \'{"name": "a, b"}\'' if "," in text else ""
            raise click.BadParameter(f"{piece!r} is not NAME=VALUE{hint}", ctx, param)
        found.append((name.strip(), value))
    return found


def _tags(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> str | None:
    """Read ``NAME=VALUE``, repeatable or joined by ``&`` as S3's own header has it."""
    found: dict[str, str] = {}
    for text in values:
        for name, value in urllib.parse.parse_qsl(text, keep_blank_values=True, separator="&"):
            if name in found:
                raise click.BadParameter(f"{name!r} is given twice", ctx, param)
            found[name] = value
        if not re.fullmatch(r"[^=&]+=[^&]*(&[^=&]+=[^&]*)*", text):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", ctx, param)
    return urllib.parse.urlencode(found) if found else None


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    try:
        return parse_timestamp(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a date: 2027-01-31T12:00:00Z", ctx, param) from error


_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--sse",),
        {
            "is_flag": False,
            "flag_value": "AES256",
            "type": click.Choice([*_MODES, *_MODES.values()]),
            "help": "Server-side mode of what is written, AES256 without a value. By default the one that the bucket's "
            "policy requires, or the bucket's own.",
        },
    ),
    (("--sse-kms-key-id", "--sse-kms-key"), {"metavar": "KEY", "help": "KMS key of that mode: ID, ARN or alias."}),
    (
        ("--bucket-key/--no-bucket-key", "--sse-bucket-key/--no-sse-bucket-key"),
        {"default": None, "help": "S3 Bucket Keys (aws:kms)."},
    ),
    (
        ("--sse-c",),
        {
            "is_flag": False,
            "flag_value": "AES256",
            "type": click.Choice(["AES256"]),
            "help": "A server-side key of your own, for objects that are read, too; needs --sse-c-key.",
        },
    ),
    (("--sse-c-key",), {"metavar": "FILE", "help": "File of 32 raw bytes (fileb://FILE as the AWS CLI has it)."}),
    (("--storage-class",), {"type": click.Choice(_CLASSES), "metavar": "CLASS", "help": "STANDARD_IA, GLACIER_IR, …"}),
    (
        ("--metadata",),
        {
            "multiple": True,
            "callback": _names,
            "metavar": "NAME=VALUE",
            "help": "User metadata, not encrypted. Repeatable, joined by commas, or a JSON object.",
        },
    ),
    (("--content-type",), {"metavar": "TYPE", "help": "Content-Type, instead of the one that the name suggests."}),
    (("--no-guess-mime-type",), {"is_flag": True, "help": "Derive no Content-Type from file names."}),
    (("--cache-control",), {"metavar": "TEXT", "help": "Cache-Control."}),
    (("--content-disposition",), {"metavar": "TEXT", "help": "Content-Disposition."}),
    (("--content-encoding",), {"metavar": "TEXT", "help": "Content-Encoding."}),
    (("--content-language",), {"metavar": "TEXT", "help": "Content-Language."}),
    (("--expires",), {"callback": _moment, "metavar": "DATE", "help": "Expires, as 2027-01-31T12:00:00Z."}),
    (("--acl",), {"type": click.Choice(_ACLS), "metavar": "ACL", "help": "A canned ACL: bucket-owner-full-control, …"}),
    (
        ("--tagging",),
        {"multiple": True, "callback": _tags, "metavar": "NAME=VALUE", "help": "Tags. Repeatable, or joined by &."},
    ),
)


class _WriteOption(click.Option):
    """An option that stands in its own section of the help page."""

    section = "What is written"


def write_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command receives a `Writing` as ``writing``."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        names = (
            *_HEADERS, *_OTHERS, "metadata", "tagging", "no_guess_mime_type",
            "sse", "sse_kms_key_id", "bucket_key", "sse_c", "sse_c_key",
        )  # fmt: skip
        return function(*args, writing=_writing({name: kwargs.pop(name) for name in names}), **kwargs)

    for names, attributes in reversed(_OPTIONS):
        wrapper = click.option(*names, cls=_WriteOption, **attributes)(wrapper)
    return wrapper


def _writing(values: Mapping[str, Any]) -> Writing:
    headers = {member: values[name] for name, member in _HEADERS.items() if values[name] is not None}
    if values["metadata"]:
        headers["Metadata"] = values["metadata"]
    others = {member: values[name] for name, member in _OTHERS.items() if values[name] is not None}
    if values["tagging"]:
        others["Tagging"] = values["tagging"]
    given = [f"--{name.replace('_', '-')}" for name, value in values.items() if value not in (None, False, {}, ())]
    # A key of one's own opens objects, too: it is of use in every direction.
    useless_on_reads = tuple(name for name in given if not name.startswith("--sse-c"))
    return Writing(
        headers=headers,
        others=others,
        mode=_mode(values),
        guess_type=not values["no_guess_mime_type"],
        given=useless_on_reads,
    )


def _mode(values: Mapping[str, Any]) -> ServerSideMode | None:
    name, key_id, bucket_key = values["sse"], values["sse_kms_key_id"], values["bucket_key"]
    context = click.get_current_context()
    if values["sse_c"] is not None or values["sse_c_key"] is not None:
        if name or key_id or bucket_key is not None:
            raise click.UsageError("--sse-c and --sse exclude each other", context)
        if values["sse_c_key"] is None:
            raise click.UsageError("--sse-c needs --sse-c-key FILE", context)
        return _sse_c(values["sse_c_key"])
    if name is None:
        if key_id or bucket_key is not None:
            raise click.UsageError("--sse-kms-key-id and --bucket-key need --sse aws:kms", context)
        return None
    return server_side.mode(_MODES.get(name, name), key_id, bucket_key)


def _sse_c(path: str) -> SseC:
    content = Path(path.removeprefix("fileb://")).read_bytes()
    try:
        return SseC(content)
    except ConfigurationError as error:
        raise ConfigurationError(f"--sse-c-key {path} holds {len(content)} bytes; a key has 32 raw ones") from error
