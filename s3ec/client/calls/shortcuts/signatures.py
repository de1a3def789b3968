"""The signature of a request to S3, made without reading its headers as those of a letter, and without a thread.

botocore has two signers for S3. The one in Python makes a letter of the headers that are signed, twice, and derives the
key of the day for each request. The one of awscrt makes objects of all that is in the request, is asked back about each
header, and waits for a thread of its own. What both sign is a text of a few lines, which `s3ec.exchanges.signature`
signs in a small part of the time.

That is done for the requests that a client makes by the thousand: ordinary headers, no query, and a body that is not
hashed or not there. Whether it is to be hashed, which headers are signed, and which come out of it and in which order,
is as the signer has it; every other request it signs itself.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
from dataclasses import dataclass
from typing import Any

from botocore import auth
from botocore.compat import HTTPHeaders
from botocore.signers import RequestSigner

from s3ec.exchanges.signature import authorization

__all__ = ["in_short", "sign_in_short"]

_LOG = logging.getLogger("botocore.auth")
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# What botocore makes of a bucket and a key; no query.
_REQUEST = re.compile(r"(?:DELETE|GET|HEAD|POST|PUT) (https?://[A-Za-z0-9.:_\[\]-]+)(/[A-Za-z0-9._~/%-]*)")
_NAME = (
    r"(?:x-amz-|amz-sdk-)[a-z0-9._-]+|cache-control|content-(?:disposition|encoding|language|length|md5|type)|expect"
    r"|expires|host|if-(?:match|none-match|modified-since|unmodified-since)|range|transfer-encoding|user-agent"
    r"|x-amzn-trace-id"
)
# Such that no signer changes them: ASCII, and no more than one space between two words.
_HEADERS = re.compile(rf"(?:(?:{_NAME}):(?:[!-~]+(?: [!-~]+)*)?\n)*")
# Of these a signer replaces what it finds, and it finds them where somebody has signed before.
_MADE = frozenset({"authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})
_OF_CONNECTION = "transfer-encoding"  # the signer of awscrt leaves it out of its own accord
_METHODS = (
    "add_auth",
    "canonical_headers",
    "canonical_request",
    "headers_to_sign",
    "signature",
    "string_to_sign",
    "_apply_signing_changes",
    "_crt_request_from_aws_request",
    "_modify_request_before_signing",
    "_should_add_content_sha256_header",
    "_should_sign_header",
)


class _InShort:
    """Stands before one of botocore's signers."""

    def add_auth(self, request: Any) -> None:
        """Sign a request."""
        if not _sign(self, request):
            signer: Any = super()
            signer.add_auth(request)


@dataclass(frozen=True)
class _Kind:
    """One of botocore's signers.

    Attributes:
        front: it, with ours before it.
        methods: as botocore wrote them.
        module: where it stands.
        of_crt: True for the one of awscrt.
    """

    front: type
    methods: tuple[Any, ...]
    module: Any
    of_crt: bool


def _methods(kind: type) -> tuple[Any, ...]:
    return tuple([getattr(kind, name, None) for name in _METHODS])


def _kinds() -> dict[type, _Kind]:
    kinds = {}
    for name, signer in (("botocore.auth", "S3SigV4Auth"), ("botocore.crt.auth", "CrtS3SigV4Auth")):
        module = sys.modules.get(name)  # the other one only where botocore uses it
        kind = getattr(module, signer, None)
        if kind is not None and hasattr(module, "SIGNED_HEADERS_BLACKLIST"):
            front = type(signer, (_InShort, kind), {})
            kinds[kind] = _Kind(front, _methods(kind), module, "crt" in name)
    return kinds


_KINDS = _kinds()
_KIND_OF = {kind.front: kind for kind in _KINDS.values()}


def sign_in_short(client: Any) -> None:
    """Have a client's requests signed in a shorter way; they are signed alike.

    Args:
        client: a client of boto3; one whose signer is not botocore's own is left alone.
    """
    signer = getattr(client, "_request_signer", None)
    if type(signer) is RequestSigner:
        # Looked up at each call, so that a later patch of the class's method takes effect.
        signer.get_auth_instance = functools.partial(_auth, signer)  # type: ignore[method-assign]


def _auth(signer: RequestSigner, *args: Any, **keywords: Any) -> Any:
    return in_short(type(signer).get_auth_instance(signer, *args, **keywords))


def in_short(signer: Any) -> Any:
    """Have what signs one request do so in a shorter way, where it is one of botocore's that nobody has patched."""
    kind = _KINDS.get(type(signer))
    if kind is not None and _methods(type(signer)) == kind.methods:
        signer.__class__ = kind.front
    return signer


def _sign(signer: Any, request: Any) -> bool:
    """Sign a request, if it is an ordinary one."""
    kind = _KIND_OF.get(type(signer)) or next(_KIND_OF[each] for each in type(signer).__mro__ if each in _KIND_OF)
    headers, by = request.headers, signer.credentials
    match = _REQUEST.fullmatch(f"{request.method} {request.url}")
    if match is None or by is None or request.params or type(headers) is not HTTPHeaders:
        return False
    pairs = headers.items()
    named: dict[str, Any] = {name.lower(): value for name, value in pairs}
    digest, unsigned = _digest(signer, request), kind.module.SIGNED_HEADERS_BLACKLIST
    if (
        digest is None
        or len(named) < len(pairs)
        or not _MADE.isdisjoint(named)
        or (_OF_CONNECTION in named and _OF_CONNECTION not in unsigned)
        or not {*map(type, named.values())} <= {str}
        or not _HEADERS.fullmatch("".join([f"{name}:{value}\n" for name, value in named.items()]))
        or _LOG.isEnabledFor(logging.DEBUG)
    ):
        return False
    moment = _moment(kind.module)
    made = _made(kind, by.token, moment, digest)
    if "host" not in named:
        named["host"] = _host(match[1])
        if kind.of_crt:
            made.insert(0, ("host", named["host"]))
    named.update([(name.lower(), value) for name, value in made])
    names = sorted(named.keys() - unsigned)
    listed = ";".join(names)
    lines = "".join([f"{name}:{named[name]}\n" for name in names])
    canonical = f"{request.method}\n{match[2]}\n\n{lines}\n{listed}\n{digest}"
    value = authorization(canonical, listed, moment, region=signer._region_name, by=by, service=signer._service_name)
    for name, header in (*made, ("Authorization", value)):
        headers[name] = header
    if not kind.of_crt:
        request.context["timestamp"] = moment
    return True


def _made(kind: _Kind, token: str | None, moment: str, digest: str) -> list[tuple[str, str]]:
    """The headers that a signer makes, in its order."""
    tokens = [("X-Amz-Security-Token", token)] if token else []
    if kind.of_crt:
        return [*tokens, ("X-Amz-Date", moment), ("x-amz-content-sha256", digest)]
    return [("X-Amz-Date", moment), *tokens, ("X-Amz-Content-SHA256", digest)]


def _digest(signer: Any, request: Any) -> str | None:
    """What is signed of the body; None where that is its hash."""
    if signer._is_streaming_checksum_payload(request):
        return auth.STREAMING_UNSIGNED_PAYLOAD_TRAILER
    if not signer._should_sha256_sign_payload(request):
        return auth.UNSIGNED_PAYLOAD
    return None if request.body else _EMPTY


def _moment(module: Any) -> str:
    """Now, by the clock that the signer looks at."""
    now = (
        module.get_current_datetime() if hasattr(module, "get_current_datetime") else module.datetime.datetime.utcnow()
    )
    return str(now.strftime(auth.SIGV4_TIMESTAMP))


@functools.lru_cache(maxsize=64)
def _host(url: str) -> str:
    """The header ``Host`` of requests to a place."""
    found: Any = auth
    return str(found._host_from_url(url))
