"""A request that is being signed, looked at without preparing it, and without reading its headers as those of a letter.

The signer asks up to three times for the body, and each time botocore prepares the request as if it were sent: address,
headers and all. Only the body of it is looked at, which none of the rest has a part in. And the headers are those of
Python's module for mail, which looks for bytes in each value whenever it is read. What is ASCII has none.
"""

from __future__ import annotations

from email.policy import Compat32
from typing import Any

from botocore.awsrequest import AWSRequest, AWSRequestPreparer

__all__ = ["sign_quickly"]

_BODY: Any = vars(AWSRequest).get("body")
_PREPARE: Any = vars(AWSRequestPreparer).get("_prepare_body")


class _Policy(Compat32):
    """The policy that headers have anyway."""

    def header_fetch_parse(self, name: str, value: Any) -> Any:
        """See `Compat32`, which gives back such values as they are."""
        return value if type(value) is str and value.isascii() else super().header_fetch_parse(name, value)


_POLICY = _Policy()


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
            headers.policy = _POLICY


def sign_quickly(client: Any) -> None:
    """Have a client's requests looked at in a shorter way while they are signed; what is found is the same.

    Args:
        client: a botocore client, or what is none.
    """
    if _BODY is not None and _PREPARE is not None and hasattr(client, "meta"):
        # Before the signer, which is asked about requests of S3 alone.
        client.meta.events.register_first("request-created.s3", _look, unique_id="s3ec-quick-request")


def _look(request: Any, **_: Any) -> None:
    # Neither is anyone's patch: it would not be asked any more.
    plain = type(request) is AWSRequest and "prepare" not in vars(request)
    if plain and vars(AWSRequest)["body"] is _BODY and type(request._request_preparer) is AWSRequestPreparer:
        request.__class__ = _Request
        request.headers = request.headers
