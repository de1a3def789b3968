"""A request that is being signed, looked at without preparing it, and without reading its headers as those of a letter.

The signer asks up to three times for the body, and each time botocore prepares the request as if it were sent: address,
headers and all. Only the body of it is looked at, which none of the rest has a part in. And the headers are those of
Python's module for mail, which looks for bytes in each value whenever it is read. What is ASCII has none.

When it is sent, botocore makes bytes of each header and puts them behind those that are there, since a letter may have
one of a name twice; of all of them it makes a map, in which the later one counts. Here the map is made once.
"""

from __future__ import annotations

from email.policy import Compat32
from typing import Any, ClassVar

from botocore.awsrequest import AWSRequest, AWSRequestPreparer
from botocore.compat import HTTPHeaders
from botocore.endpoint import Endpoint

from s3ec.client.calls.header_map import Headers
from s3ec.exchanges.heads import PLAIN

__all__ = ["sign_quickly"]

_BODY: Any = vars(AWSRequest).get("body")
_PREPARE: Any = vars(AWSRequestPreparer).get("_prepare_body")
_HEADERS: Any = vars(AWSRequestPreparer).get("_prepare_headers")
_ENCODE: Any = vars(Endpoint).get("_encode_headers")


class _Request(AWSRequest):
    """A request as botocore makes it."""

    @property
    def body(self) -> Any:
        """What would be sent."""
        body = _PREPARE(self._request_preparer, self)  # type: ignore[attr-defined]  # the stubs leave it out
        return body.encode("utf-8") if isinstance(body, str) else body

    @property
    def headers(self) -> Any:
        """The headers; one signer puts others in their place."""
        return self.__dict__["headers"]

    @headers.setter
    def headers(self, headers: Any) -> None:
        self.__dict__["headers"] = headers
        if type(getattr(headers, "policy", None)) is Compat32:
            headers.policy = PLAIN


class _Preparer(AWSRequestPreparer):
    """Prepares a request as botocore does."""

    def _prepare_headers(self, original: Any, prepared_body: Any = None) -> Any:
        headers = Headers.of(original.headers.items())
        if "Transfer-Encoding" not in headers and "Content-Length" not in headers:
            # Whether a length is added, and which, is botocore's to say.
            headers.update(_HEADERS(self, _Bare(original.method), prepared_body))
        return headers


class _Bare:
    """A request without headers."""

    __slots__ = ("method",)
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, method: Any) -> None:
        self.method = method


class _Encoder:
    """Makes bytes of the headers of a client's requests."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def __call__(self, headers: Any) -> None:
        """See `Endpoint`, which puts the bytes behind the texts."""
        kept = vars(headers).get("_headers") if type(headers) is HTTPHeaders and headers.policy is PLAIN else None
        if type(kept) is list and not [name for name, value in kept if type(value) is not str or not value.isascii()]:
            kept[:] = [(name, value.encode()) for name, value in kept]
        else:
            type(self._endpoint)._encode_headers(self._endpoint, headers)


def sign_quickly(client: Any) -> None:
    """Have a client's requests looked at in a shorter way while they are signed; what is found is the same.

    Args:
        client: a botocore client, or what is none.
    """
    if _BODY is not None and _PREPARE is not None and hasattr(client, "meta"):
        # Before the signer, which is asked about requests of S3 alone.
        client.meta.events.register_first("request-created.s3", _look, unique_id="s3ec-quick-request")
        endpoint: Any = getattr(client, "_endpoint", None)
        if _ENCODE is not None and getattr(type(endpoint), "_encode_headers", None) is _ENCODE:
            endpoint._encode_headers = _Encoder(endpoint)


def _look(request: Any, **_: Any) -> None:
    # Neither is anyone's patch: it would not be asked any more.
    plain = type(request) is AWSRequest and "prepare" not in vars(request)
    if plain and vars(AWSRequest)["body"] is _BODY and type(request._request_preparer) is AWSRequestPreparer:
        request.__class__ = _Request
        request.headers = request.headers
        if _HEADERS is not None and vars(AWSRequestPreparer)["_prepare_headers"] is _HEADERS:
            request._request_preparer.__class__ = _Preparer
