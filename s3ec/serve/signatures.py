"""Who sent a request: AWS Signature Version 4, in the header and in the query of a presigned URL.

The signature is computed again from the target and the headers as they arrived, and compared in constant time. It is
asked for always: every user of the machine, and every page in a browser on it, can reach loopback.
Source: Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)".
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, unquote, unquote_plus

from s3ec.serve.refusals import RefusedError
from s3ec.serve.requests import Request
from s3ec.serve.settings import LocalCredentials

__all__ = ["Signed", "verify"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_SKEW = timedelta(minutes=15)
_LONGEST = 7 * 24 * 3600
_HEADER = re.compile(
    rf"{_ALGORITHM} +Credential=([^,\s]+) *, *SignedHeaders=([^,\s]+) *, *Signature=([0-9a-f]{{64}})", re.ASCII
)
_SCOPE = re.compile(r"([A-Za-z0-9]{1,128})/(\d{8})/([A-Za-z0-9-]{1,64})/s3/aws4_request", re.ASCII)
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_UNRESERVED = "-_.~"
_USE_V4 = 'sign with version 4 (boto3: Config(signature_version="s3v4"); AWS CLI: s3.signature_version = s3v4)'


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that holds, with what signs the chunks of a body.

    Attributes:
        payload: ``x-amz-content-sha256`` as it was signed.
        date: ``x-amz-date``.
        scope: date, Region, service and terminator.
        signature: in hexadecimal.
        key: the day's signing key.
    """

    payload: str
    date: str
    scope: str
    signature: str
    key: bytes = field(repr=False)

    def sign(self, text: str) -> str:
        """Sign one more text with the same key."""
        return hmac.digest(self.key, text.encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says about its own signature."""

    credential: str
    names: list[str]
    signature: str
    date: str
    payload: str
    query: str


def verify(request: Request, credentials: LocalCredentials, now: datetime | None = None) -> Signed:
    """Believe a request, or refuse it before anything else is looked at.

    Args:
        request: as it arrived.
        credentials: the only ones that there are.
        now: the time, aware; the clock's by default.

    Raises:
        RefusedError: 403 (400 for what is not readable) with S3's own code.
    """
    now = now or datetime.now(timezone.utc)
    claim = _claimed(request, now)
    scope = _SCOPE.fullmatch(claim.credential)
    if scope is None or scope[2] != claim.date[:8]:
        raise RefusedError(
            400, "AuthorizationHeaderMalformed", "The credential must be KEY/DATE/REGION/s3/aws4_request"
        )
    _check_names(request, claim.names)
    key = _signing_key(credentials.secret_key, scope[2], scope[3])
    # One answer for an unknown key and for a wrong signature, after the same work.
    known = hmac.compare_digest(scope[1].encode(), credentials.access_key.encode())
    whole_scope = claim.credential.partition("/")[2]
    # Some clients sign the target as they send it, some as the specification spells it; both name the same resource.
    holds = [
        hmac.compare_digest(_signature(request, claim, key, whole_scope, path, query), claim.signature)
        for path in dict.fromkeys((request.path, quote(unquote(request.path), safe="/" + _UNRESERVED)))
        for query in dict.fromkeys(
            (_canonical_query(claim.query, unquote), _canonical_query(claim.query, unquote_plus))
        )
    ]
    if not (any(holds) and known):
        raise RefusedError(
            403,
            "SignatureDoesNotMatch" if known else "InvalidAccessKeyId",
            "The request is not signed with this endpoint's own credentials; s3ec serve prints them, or reads them "
            "from its --credentials file",
        )
    return Signed(claim.payload, claim.date, whole_scope, claim.signature, key)


def _claimed(request: Request, now: datetime) -> _Claim:
    header = request.headers.get("authorization")
    query = {name.lower(): unquote(value) for name, value in _pairs(request.query)}
    if header is not None and "x-amz-signature" in query:
        raise RefusedError(400, "InvalidArgument", "The request is signed twice, in its header and in its query")
    if header is not None:
        return _claimed_by_header(request, header, now)
    if "x-amz-signature" in query:
        return _claimed_by_query(request, query, now)
    if "signature" in query or "awsaccesskeyid" in query:
        raise RefusedError(403, "AccessDenied", f"Presigned URLs of signature version 2 are not taken: {_USE_V4}")
    raise RefusedError(403, "AccessDenied", "The request is not signed; every request to this endpoint must be")


def _claimed_by_header(request: Request, header: str, now: datetime) -> _Claim:
    if header.startswith("AWS "):
        raise RefusedError(403, "AccessDenied", f"Signature version 2 is not taken: {_USE_V4}")
    found = _HEADER.fullmatch(header.strip())
    if found is None:
        raise RefusedError(
            400, "AuthorizationHeaderMalformed", f"The Authorization header is not {_ALGORITHM}: {_USE_V4}"
        )
    date = request.headers.get("x-amz-date", "")
    if abs(_time(date) - now) > _SKEW:
        raise RefusedError(
            403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large"
        )
    payload = request.headers.get("x-amz-content-sha256")
    if payload is None:
        raise RefusedError(400, "MissingSecurityHeader", "x-amz-content-sha256 is missing")
    return _Claim(found[1], found[2].split(";"), found[3], date, payload, request.query)


def _claimed_by_query(request: Request, query: dict[str, str], now: datetime) -> _Claim:
    wanted = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders")
    if any(name not in query for name in wanted) or query["x-amz-algorithm"] != _ALGORITHM:
        raise RefusedError(
            400, "AuthorizationQueryParametersError", "A presigned URL has X-Amz-Algorithm (AWS4-HMAC-SHA256), "
            "X-Amz-Credential, X-Amz-Date, X-Amz-Expires and X-Amz-SignedHeaders"
        )  # fmt: skip
    lasting = query["x-amz-expires"]
    if not re.fullmatch(r"\d{1,6}", lasting, re.ASCII) or not 1 <= int(lasting) <= _LONGEST:
        raise RefusedError(400, "AuthorizationQueryParametersError", f"X-Amz-Expires must be 1 to {_LONGEST} seconds")
    start = _time(query["x-amz-date"])
    if start - now > _SKEW:
        raise RefusedError(403, "AccessDenied", "The request is not yet valid")
    if now > start + timedelta(seconds=int(lasting)):
        raise RefusedError(403, "AccessDenied", "Request has expired")
    payload = query.get("x-amz-content-sha256") or request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    rest = "&".join(pair for pair in request.query.split("&") if not pair.lower().startswith("x-amz-signature="))
    return _Claim(
        query["x-amz-credential"], query["x-amz-signedheaders"].split(";"), query["x-amz-signature"],
        query["x-amz-date"], payload, rest,
    )  # fmt: skip


def _time(date: str) -> datetime:
    found = _DATE.fullmatch(date)
    with suppress(ValueError):  # no such day or hour
        if found is not None:
            year, month, day, hour, minute, second = map(int, found.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    raise RefusedError(403, "AccessDenied", "The request's date (x-amz-date) is missing, or is not YYYYMMDDTHHMMSSZ")


def _check_names(request: Request, names: list[str]) -> None:
    """Headers that steer the request must be under the signature, or anyone on the way could add one."""
    signed = set(names)
    if "host" not in signed or not signed <= request.headers.keys():
        raise RefusedError(403, "AccessDenied", "The signed headers must be in the request, and host among them")
    left = sorted(name for name in request.headers if name.startswith("x-amz-") and name not in signed)
    if left:
        raise RefusedError(
            403, "AccessDenied", f"There were headers present in the request which were not signed: {', '.join(left)}"
        )


def _signature(request: Request, claim: _Claim, key: bytes, scope: str, path: str, query: str) -> str:
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in claim.names)
    canonical = "\n".join((request.method, path, query, headers, ";".join(claim.names), claim.payload))
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = "\n".join((_ALGORITHM, claim.date, scope, digest))
    return hmac.digest(key, text.encode(), "sha256").hex()


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)]


def _canonical_query(query: str, decode: Callable[[str], str]) -> str:
    encoded = [tuple(quote(decode(text), safe=_UNRESERVED) for text in pair) for pair in _pairs(query)]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


@functools.lru_cache(maxsize=8)  # one day's, in the Regions that clients name; as secret as what it is made of
def _signing_key(secret: str, date: str, region: str) -> bytes:
    key = ("AWS4" + secret).encode()
    for text in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, text.encode(), "sha256")
    return key
