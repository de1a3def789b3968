"""Small requests to S3 with botocore's knowledge, but without what it does around each of them.

A request to S3 costs botocore two milliseconds of one core, most of it spent on what was the same the time before: the
endpoint is resolved, the user agent put together, a dozen hooks are called, a parser for e-mail reads the headers. A
bucket job makes four such requests for an object of ten kilobytes, an endpoint one for each read, and the core is what
limits both. Here the same parameters become the same headers by botocore's own service model, the same signature, and
the same answer.

It is done only where no one could tell the difference. Address and Region are those of a request that botocore has sent
for the same bucket; proxies, other signatures, other authorities and whoever listens to the client keep botocore's way.
Whatever S3 does not answer with yes, "not there" or "not the one you meant" is asked again by botocore, which knows how
to wait, to follow and to explain; after trouble, for a while only botocore asks.
"""

from __future__ import annotations

import functools
import logging
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.client import BaseClient
from botocore.httpsession import get_cert_path

from s3ec.direct.messages import Operation, crc32, error_of, headers_of, metadata_of, read
from s3ec.exchanges.signature import Credentials, signed
from s3ec.exchanges.wire import Address, Connections, WireError

__all__ = ["MOST", "DirectRequests"]

MOST = 2**20
"""Bytes of a body that is sent or received this way; above, it is the bytes that cost."""
_PAUSE = 30.0  # seconds
_PATIENCE = 8  # failures of one bucket's requests without a success between them
_REST = 600.0  # seconds without further attempts then
_SLOW = 5.0  # seconds: an attempt that fails after longer is trouble
_MOST_BUCKETS = 4096  # whose ways are remembered
_METHODS = {"get_object": "GET", "head_object": "HEAD", "put_object": "PUT", "get_object_tagging": "GET"}
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,]+)/\d{8}/([a-z0-9-]+)/s3/aws4_request, .*")
# To these S3 would say the same again: (status, code).
_FINAL = frozenset({(404, "NoSuchKey"), (412, "PreconditionFailed")})


@dataclass(frozen=True, slots=True)
class _Way:
    """How the objects of one bucket are reached, as botocore has done it.

    Attributes:
        address: where to connect to.
        host: the ``Host`` header.
        path: what stands before each key, percent-encoded, with a slash at its end.
        region: which is signed for.
        user_agent: botocore's.
    """

    address: Address
    host: str
    path: str
    region: str
    user_agent: str


class DirectRequests:
    """Sends requests for one client; threads share it."""

    def __init__(self, client: Any, credentials: Any, *, kept: int | None = None) -> None:
        """Take a client of one's own, to which nobody else listens yet, and the credentials of its session.

        Args:
            client: a plain client.
            credentials: its session's.
            kept: bytes of content that are in memory at once; what is longer is given out as
                `s3ec.exchanges.wire.Stream`, without a look at its checksum. None: there is no longer content.

        Raises:
            AttributeError, KeyError: botocore is not made as expected.
        """
        self._client = client
        self._kept = kept
        self._credentials = credentials
        self._operations = {
            method: Operation(client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]))
            for method in _METHODS
        }
        self._connections = Connections()
        self._ways: dict[str, _Way | None] = {}
        self._tls: ssl.SSLContext | None = None
        self._not_before = 0.0
        self._failures: Counter[str] = Counter()
        self._rests: dict[str, float] = {}
        self._asked = threading.local()
        self._emitter = client.meta.events._emitter
        for name in ("GetObject", "HeadObject"):
            client.meta.events.register(f"before-send.s3.{name}", self._learn)
        # The emitter starts a new cache whenever a handler comes or goes.
        self._nobody_else = self._emitter._lookup_cache

    @classmethod
    def of(cls, client: Any, credentials: Any, *, kept: int | None = None) -> DirectRequests | None:
        """Return what sends requests for this client, or None if the client is not as expected."""
        if credentials is None or not _is_plain(client):
            return None
        try:
            return cls(client, credentials, kept=kept)
        except (AttributeError, KeyError):
            return None

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    @property
    def is_alone(self) -> bool:
        """True if nobody has begun to listen to the client since."""
        return self._emitter._lookup_cache is self._nobody_else

    def prepared(self, operation: str, parameters: Mapping[str, Any]) -> Callable[[], dict[str, Any] | None] | None:
        """Make a request ready to be sent, or return None if it is one for botocore.

        Args:
            operation: the method of the client.
            parameters: its arguments.

        Returns:
            Sends the request, and returns what the client's method would return; None where botocore is to be asked.
            It raises `botocore.exceptions.ClientError` where S3 says "not there" or "not the one you meant".
        """
        bucket = parameters["Bucket"]
        way = self._ways.get(bucket)
        if way is None or not self.is_alone or time.monotonic() < max(self._not_before, self._rests.get(bucket, 0.0)):
            return None
        model = self._operations.get(operation)
        headers = None if model is None else headers_of(model, parameters)
        body = parameters.get("Body", b"")
        if model is None or headers is None or type(body) is not bytes or len(body) > MOST:
            return None
        path = _path_of(way, parameters["Key"])
        if path is None:
            return None
        query = "tagging=" if operation == "get_object_tagging" else ""
        headers |= {"host": way.host, "user-agent": way.user_agent}
        if operation == "put_object":
            headers["content-length"] = str(len(body))
            if headers.get("x-amz-sdk-checksum-algorithm") == "CRC32":
                headers["x-amz-checksum-crc32"] = crc32(body)
        by: Credentials = self._credentials.get_frozen_credentials()
        method = _METHODS[operation]
        sent = signed(method, path, query, headers, body, region=way.region, by=by)
        target = f"{path}?tagging" if query else path
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        request = f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body
        return lambda: self._send(model, bucket, way, method, request)

    def _send(self, model: Operation, bucket: str, way: _Way, method: str, request: bytes) -> dict[str, Any] | None:
        begun = time.monotonic()
        at_most = MOST + 2**10 if self._kept is None else self._kept
        try:
            answer = self._connections.exchange(
                way.address, request, has_body=method != "HEAD", at_most=at_most, streamed=self._kept is not None
            )
        except WireError:
            self._failed(bucket)
            if time.monotonic() - begun > _SLOW:
                # It waited as long as botocore will wait: not each request is to wait twice.
                self._not_before = time.monotonic() + _PAUSE
            return None
        if answer.status in (200, 206):  # a part only where one was asked for
            self._failures[bucket] = 0
            return read(model, answer)
        error = error_of(answer, method)
        if (answer.status, error.get("Code")) in _FINAL or (method, answer.status) == ("HEAD", 412):
            parsed = {"Error": error, "ResponseMetadata": metadata_of(answer)}
            raise self._client.exceptions.from_code(error["Code"])(parsed, model.name)
        if answer.status in (429, 500, 502, 503, 504):
            self._not_before = time.monotonic() + _PAUSE
        elif answer.status not in (403, 404, 416):
            # Another Region, another address, credentials that have run out: botocore's next request will show.
            self._ways.pop(bucket, None)
            self._failed(bucket)
        return None

    def _failed(self, bucket: str) -> None:
        self._failures[bucket] += 1
        if self._failures[bucket] >= _PATIENCE:
            # It does not understand us, or we do not understand it: each object would pay for another attempt.
            self._failures[bucket] = 0
            self._rests[bucket] = time.monotonic() + _REST

    @contextmanager
    def watching(self, operation: str, parameters: Mapping[str, Any]) -> Iterator[None]:
        """Learn, from what botocore sends in this thread meanwhile, how the bucket is reached."""
        if operation in ("get_object", "head_object") and parameters["Bucket"] not in self._ways:
            self._asked.now = (parameters["Bucket"], parameters["Key"])
        try:
            yield
        finally:
            self._asked.now = None

    def _learn(self, request: AWSPreparedRequest, **_: Any) -> None:
        asked = getattr(self._asked, "now", None)
        if asked is not None:
            bucket, key = asked
            if len(self._ways) >= _MOST_BUCKETS:
                for known in (self._ways, self._failures, self._rests):
                    known.clear()
            try:
                self._ways[bucket] = self._way(request, key)
            except (AttributeError, OSError, ValueError):
                # botocore is not made as expected, or trusts its authorities in a way of its own.
                self._ways[bucket] = None

    def _way(self, request: AWSPreparedRequest, key: str) -> _Way | None:
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        scope = _SCOPE.fullmatch(headers.get("authorization", ""))
        url, quoted = urlsplit(request.url), _quoted(key)
        if scope is None or "x-amz-s3session-token" in headers or url.query or not url.path.endswith(f"/{quoted}"):
            return None
        session = self._client._endpoint.http_session
        if url.hostname is None or session._proxy_config.proxy_url_for(request.url) or session._cert_file:
            return None
        tls = None
        if url.scheme == "https":
            if not session._verify:
                return None
            if self._tls is None:
                self._tls = ssl.create_default_context(cafile=get_cert_path(session._verify))
            tls = self._tls
        config, default = self._client.meta.config, 443 if tls else 80
        address = Address(url.hostname, url.port or default, tls, config.connect_timeout, config.read_timeout)
        host = url.hostname if ":" not in url.hostname else f"[{url.hostname}]"
        return _Way(
            address=address,
            host=host if address.port == default else f"{host}:{address.port}",
            path=url.path[: -len(quoted)],
            region=scope[2],
            user_agent=headers.get("user-agent", ""),
        )


def _is_plain(client: Any) -> bool:
    """True if the client is botocore's own, and neither a tracer nor a log of requests stands before its calls."""
    own = {name: getattr(BaseClient, name, None) for name in ("_make_api_call", "_make_request")}
    return (
        isinstance(client, BaseClient)
        and all(getattr(getattr(client, name), "__func__", None) is method for name, method in own.items())
        # Its very type and where it was written: what wraps a function copies its name, but not its globals.
        and all(
            type(method) is FunctionType and str(method.__globals__.get("__name__")).startswith("botocore.")
            for method in own.values()
        )
        and not logging.getLogger("botocore.endpoint").isEnabledFor(logging.DEBUG)
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _path_of(way: _Way, key: str) -> str | None:
    """None for keys that somebody on the way may take for a path and shorten."""
    if key.startswith("/") or "//" in key or any(part in (".", "..") for part in key.split("/")):
        return None
    return way.path + _quoted(key)


@functools.lru_cache(maxsize=512)
def _quoted(key: str) -> str:
    return quote(key, safe="/~")
