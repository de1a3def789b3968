"""One request as it arrived: the target exactly as it was sent, since that is what was signed.

A framework's path would be decoded and tidied: keys with ``//``, ``%2F`` or ``+`` would become others.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote, unquote_plus

from s3ec.serve.refusals import RefusedError

__all__ = ["Answer", "Body", "Request", "climbs_out", "is_signing", "parse_target", "with_hoisted", "without_chunks"]

_SIGNING = frozenset(
    {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
     "x-amz-security-token", "x-amz-content-sha256", "x-amz-user-agent", "x-id"}
)  # fmt: skip

# Amazon S3 User Guide, "Bucket naming rules", with the older ones that some buckets in us-east-1 have; "-" is ours.
_BUCKET = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}", re.ASCII)


class Body(Protocol):
    """The bytes of a request, as the framing of HTTP ends them."""

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Write the next bytes into a buffer; gives back how many, 0 at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: in capitals.
        path: raw, still encoded, without the query.
        query: raw, without the question mark.
        headers: by lower-case name; a name that came twice is joined by commas.
        body: what follows; read once.
        secure: True if it came over TLS.
        bucket: decoded, or None for the service itself.
        key: decoded, or None for the bucket itself.
        arguments: the query by decoded name, without what belongs to the signature.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Body
    secure: bool = False
    bucket: str | None = None
    key: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_length(self) -> int | None:
        """``Content-Length``, which h11 has checked; None where the body is chunked or absent."""
        value = self.headers.get("content-length")
        return None if value is None else int(value)

    @property
    def has_body(self) -> bool:
        """True if a body follows."""
        return "transfer-encoding" in self.headers or bool(self.content_length)


@dataclass(slots=True)
class Answer:
    """What is sent back.

    Attributes:
        status: HTTP's.
        headers: pairs; the connection adds those of the framing.
        body: bytes, or something with ``read(size)`` and ``close()``.
        length: bytes of the body; for HEAD those that GET would have. None where only the end will tell.
    """

    status: int
    headers: list[tuple[str, str]]
    body: object = b""
    length: int | None = None

    def __post_init__(self) -> None:
        """Bytes know their own length."""
        if self.length is None and isinstance(self.body, bytes):
            self.length = len(self.body)


def parse_target(path: str, query: str) -> tuple[str | None, str | None, dict[str, str]]:
    """Bucket, key and arguments of a raw target.

    What is relayed goes on as it came, so its bucket must be the one that S3 finds in it: ``//bucket/key``,
    ``/./bucket/key`` and ``/bucket%2Fkey`` name none, but to a server that tidies paths they name another one.

    Raises:
        RefusedError: it is not UTF-8, its bucket cannot be one, or it names an argument twice: servers differ in which
            of the two they believe.
    """
    bucket, _, key = path.removeprefix("/").partition("/")
    try:
        names = unquote(bucket, errors="strict"), unquote(key, errors="strict")
        pairs = [pair.partition("=") for pair in query.split("&") if pair]
        decoded = [
            (unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")) for name, _, value in pairs
        ]
    except UnicodeDecodeError:
        raise RefusedError(400, "InvalidURI", "The request's target is not UTF-8") from None
    arguments: dict[str, str] = {}
    for name, value in decoded:
        if name in arguments:
            raise RefusedError(400, "InvalidArgument", "The query names an argument twice")
        arguments[name] = value
    if not (_BUCKET.fullmatch(names[0]) or path in ("", "/")):
        raise RefusedError(400, "InvalidBucketName", "The specified bucket is not valid.")
    kept = {name: value for name, value in arguments.items() if not is_signing(name)}
    return names[0] or None, names[1] or None, kept


def climbs_out(key: str) -> bool:
    """True for a key whose ``..`` lead out of its bucket, which S3 refuses and a server that tidies paths follows.

    Source: Amazon S3 User Guide, "Naming Amazon S3 objects", relative path elements.
    """
    depth = 0
    for step in key.split("/"):
        # Empty steps and "." are folders to S3, and nothing to a server that tidies paths.
        depth += {"..": -1, ".": 0, "": 0}.get(step, 1)
        if depth < 0:
            return True
    return False


def is_signing(name: str) -> bool:
    """True for an argument of the query that belongs to the signature, or that an SDK adds for its own use."""
    return name.lower() in _SIGNING


def with_hoisted(request: Request) -> Request:
    """A presigned request with the headers that its SDK put into the query as headers again, which is what they mean.

    Raises:
        RefusedError: one is stated twice.
    """
    if not any(pair.lower().startswith("x-amz-signature=") for pair in request.query.split("&")):
        return request
    hoisted = {name.lower(): value for name, value in request.arguments.items() if name.lower().startswith("x-amz-")}
    if any(request.headers.get(name, value) != value for name, value in hoisted.items()):
        raise RefusedError(400, "InvalidArgument", "A header and the query state different values")
    arguments = {name: value for name, value in request.arguments.items() if name.lower() not in hoisted}
    return dataclasses.replace(request, headers={**request.headers, **hoisted}, arguments=arguments)


def without_chunks(encoding: str) -> str:
    """``Content-Encoding`` without ``aws-chunked``, which is not the object's: S3 would keep it."""
    kept = (each.strip() for each in encoding.split(","))
    return ",".join(each for each in kept if each and each.lower() != "aws-chunked")
