"""``s3://bucket/key`` and what stands for a local path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    _ParamType = click.ParamType["S3Url"]
else:
    # Generic for type checkers since click 8.2; at run time 8.1 must work too.
    _ParamType = click.ParamType

__all__ = ["S3_OBJECT", "S3_URL", "S3Url", "is_s3_url"]

_SCHEME = "s3://"
_MOST_KEY_BYTES = 1024
# Bucket names, and the ARNs that S3 takes in their place (access points, directory buckets).
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_ARN = re.compile(r"(arn:[^/]+[:/](?:accesspoint|bucket)[:/][^/]+)(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class S3Url:
    """A bucket and a key or prefix (which may be empty). Keys are taken as they are: nothing is decoded.

    Attributes:
        bucket: name or ARN.
        key: everything after the first slash.
    """

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> S3Url:
        """Read ``s3://bucket[/key]``.

        Raises:
            ValueError: the text is not such a URL.
        """
        # Schemes ignore case; bucket names and keys do not.
        if text[: len(_SCHEME)].lower() != _SCHEME:
            raise ValueError(f"{text!r} is not an S3 URL: s3://bucket or s3://bucket/key is wanted")
        rest = text[len(_SCHEME) :]
        if rest.startswith("arn:"):
            found = _ARN.fullmatch(rest)
            if not found:
                raise ValueError(f"{text!r} names no access point or bucket ARN")
            bucket, key = found[1], found[2] or ""
        else:
            bucket, _, key = rest.partition("/")
            if not _BUCKET.fullmatch(bucket):
                raise ValueError(f"{text!r} names no bucket: {bucket!r} cannot be one")
        _check_key(key)
        return cls(bucket, key)

    @property
    def folder(self) -> str:
        """The key as a folder: empty, or ending in one slash."""
        return self.key if not self.key or self.key.endswith("/") else f"{self.key}/"

    def with_key(self, key: str) -> S3Url:
        """Return the URL of another key in the same bucket."""
        return S3Url(self.bucket, key)

    def __str__(self) -> str:
        """The URL again."""
        return f"{_SCHEME}{self.bucket}/{self.key}" if self.key else f"{_SCHEME}{self.bucket}"


def _check_key(key: str) -> None:
    """Refuse what S3 can never have as a key.

    Raises:
        ValueError: it is not UTF-8, or longer than 1,024 bytes.
    """
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{key!r} cannot be a key: S3's keys are UTF-8") from None
    if length > _MOST_KEY_BYTES:
        raise ValueError(f"the key has {length:,} bytes; S3's keys have at most {_MOST_KEY_BYTES:,}")


def is_s3_url(text: str) -> bool:
    """True if the text means S3, however badly written."""
    return text.lower().startswith("s3:")


class _S3UrlType(_ParamType):
    """An S3 URL on the command line; with ``whole_key`` it must name an object."""

    name = "s3://bucket/key"

    def __init__(self, *, whole_key: bool) -> None:
        """Take whether a key is required."""
        self._whole_key = whole_key

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> S3Url:
        """Parse, or fail as bad usage."""
        if isinstance(value, S3Url):
            return value
        try:
            url = S3Url.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self._whole_key and not url.key:
            self.fail(f"{value} names a bucket; an object is wanted: s3://{url.bucket}/key", param, ctx)
        return url


S3_URL = _S3UrlType(whole_key=False)
S3_OBJECT = _S3UrlType(whole_key=True)
