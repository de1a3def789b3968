"""Signature Version 4 of one request whose headers and body are known, and its key remembered for the day.

Source: Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Protocol

__all__ = ["Credentials", "authorization", "signed"]

_UNSIGNED = frozenset({"user-agent", "content-length", "x-amzn-trace-id"})
"""Which a proxy may change on the way."""


class Credentials(Protocol):
    """What botocore calls frozen credentials."""

    access_key: str
    secret_key: str
    token: str | None


def signed(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    region: str,
    by: Credentials,
    service: str = "s3",
) -> dict[str, str]:
    """The headers of a request with those that sign it.

    Args:
        method: HTTP's.
        path: percent-encoded as it is sent.
        query: canonical: sorted, percent-encoded, each name with its ``=``.
        headers: lower-case names, ``host`` among them.
        body: the content.
        region: of the bucket.
        by: whose signature.
        service: as signatures name it. S3 alone wants the digest of the body as a header too.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    digest = hashlib.sha256(body).hexdigest()
    sent = {**headers, "x-amz-date": moment}
    if service == "s3":
        sent["x-amz-content-sha256"] = digest
    if by.token:
        sent["x-amz-security-token"] = by.token
    names = sorted(sent.keys() - _UNSIGNED)
    lines = "".join(f"{name}:{' '.join(sent[name].split())}\n" for name in names)
    listed = ";".join(names)
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{listed}\n{digest}"
    sent["authorization"] = authorization(canonical, listed, moment, region=region, by=by, service=service)
    return sent


def authorization(canonical: str, listed: str, moment: str, *, region: str, by: Credentials, service: str) -> str:
    """The value of ``Authorization``.

    Args:
        canonical: the request in the form that is signed.
        listed: names of the headers in it, with ``;`` between them.
        moment: when it is signed, as ``X-Amz-Date`` has it.
        region: of the bucket or key.
        by: whose signature.
        service: as signatures name it.
    """
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(_key(by.secret_key, moment[:8], region, service), text.encode(), "sha256").hex()
    return f"AWS4-HMAC-SHA256 Credential={by.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"


@functools.lru_cache(maxsize=8)
def _key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
