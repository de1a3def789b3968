"""Seals: what was encrypted leaves as it was encrypted, or not at all.

botocore lets handlers change a request until the last moment (``before-call``, ``request-created``, ``before-sign``,
``before-send``). One that replaces the body would store plaintext under the name of an encrypted object, and one that
takes content metadata away an object that cannot be opened. A seal knows the body and the content metadata of one
request, which is compared with it when it is prepared, and refuses to be changed from then on. Everything else about a
request may be changed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from botocore.httpchecksum import AwsChunkedWrapper

from s3ec import formats
from s3ec.client.calls.header_map import Headers
from s3ec.errors import UnsupportedOperationError
from s3ec.formats.keys import RESERVED

__all__ = ["SEAL", "Seal", "SealedBytes", "SealedRequest", "check_at_last", "watch"]

SEAL = "s3ec-seal"
"""Where the context of a call keeps its seal."""

_PREFIX = "x-amz-meta-"
_COPIES = {
    "MetadataDirective": "x-amz-metadata-directive",
    "CopySourceIfMatch": "x-amz-copy-source-if-match",
}
_SEALED = frozenset({*(f"{_PREFIX}{name}" for name in RESERVED), *_COPIES.values()})
_REFUSED = _SEALED | {"content-length", "x-amz-decoded-content-length"}
_BEFORE_CALL = "before-call"
_BEFORE_SENDING = "before-call, request-created or before-sign"
_AT_LAST = "before-send"


class SealedBytes(io.BytesIO):
    """A small body of ciphertext, of a known length."""

    def __init__(self, ciphertext: bytes) -> None:
        """Take the bytes, which are shared and not copied."""
        super().__init__(ciphertext)
        self._ciphertext = ciphertext

    def __len__(self) -> int:
        return len(self._ciphertext)

    def __bool__(self) -> bool:
        return True

    @property
    def intact(self) -> bool:
        """True if it has not been written into."""
        return self.getvalue() == self._ciphertext


class Seal:
    """What must not change about one request.

    Attributes:
        body: the body that was made for it, or None for one that has none.
    """

    __slots__ = ("_expected", "_operation_name", "body")

    def __init__(self, operation_name: str, parameters: Mapping[str, Any]) -> None:
        """Take a request that is ready for botocore, with its content metadata among ``Metadata``."""
        self._operation_name = operation_name
        self.body = parameters.get("Body")
        expected = {
            f"{_PREFIX}{name.lower()}": str(value)
            for name, value in (parameters.get("Metadata") or {}).items()
            if formats.is_content_metadata_key(name)
        }
        if operation_name == "CopyObject":
            expected |= {header: str(parameters[name]) for name, header in _COPIES.items() if name in parameters}
        self._expected = expected

    def __repr__(self) -> str:
        return f"<seal of a {self._operation_name}>"

    def check(self, body: Any, headers: Mapping[str, Any], phase: str) -> None:
        """Compare.

        Args:
            body: body of the request as it is now.
            headers: headers of the request as it is now.
            phase: the events whose handlers may have changed it, for the error.

        Raises:
            UnsupportedOperationError: the body is another one, or content metadata was changed.
        """
        self.check_body(body, phase)
        found = {name: _text(value) for key, value in headers.items() if (name := key.lower()) in _SEALED}
        if found != self._expected:
            names = found.keys() | self._expected.keys()
            changed = sorted(name for name in names if found.get(name) != self._expected.get(name))
            raise self._refusal(f"content metadata was changed, added or taken away ({', '.join(changed)})", phase)
        self._check_length(headers, phase)

    def check_body(self, body: Any, phase: str) -> None:
        """Compare the body alone.

        Raises:
            UnsupportedOperationError: it is another one.
        """
        if not self._is_body(body):
            raise self._refusal("the body is another one, or in a foreign wrapper", phase)

    def check_header(self, name: str, former: Any, value: Any) -> None:
        """Look at a header that is about to be changed.

        Raises:
            UnsupportedOperationError: to something else.
        """
        if value is None or former is None or _text(former) != _text(value):
            raise self._refusal(f"the header {name} is not to be changed", _AT_LAST)

    def _is_body(self, body: Any) -> bool:
        if self.body is None:
            return not body
        if isinstance(body, AwsChunkedWrapper):
            # s3transfer looks behind this wrapper by the same attribute.
            body = getattr(body, "_raw", None)
        return body is self.body and (not isinstance(body, SealedBytes) or body.intact)

    def _check_length(self, headers: Mapping[str, Any], phase: str) -> None:
        """A shorter length makes S3 store the beginning of the body."""
        if self.body is None:
            return
        stated = headers.get("X-Amz-Decoded-Content-Length") or headers.get("Content-Length")
        if stated is not None and _text(stated) != str(len(self.body)):
            raise self._refusal(f"the length is {_text(stated)} instead of {len(self.body)} bytes", phase)

    def _refusal(self, what: str, phase: str) -> UnsupportedOperationError:
        return UnsupportedOperationError(
            f"a handler of botocore's events ({phase}) changed this {self._operation_name} after it was encrypted: "
            f"{what}. Nothing was sent. Change Body and Metadata in provide-client-params or before-parameter-build: "
            "there they are plaintext, and encryption comes after them"
        )


class SealedHeaders(Headers):
    """The headers of a sealed request: content metadata and lengths are fixed, all others may change."""

    seal: Seal

    def __setitem__(self, key: str, value: Any) -> None:
        """See `dict`."""
        if key.lower() in _REFUSED:
            self.seal.check_header(key, self.get(key), value)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        """See `dict`."""
        if key.lower() in _REFUSED:
            self.seal.check_header(key, self.get(key), None)
        super().__delitem__(key)


class SealedRequest(AWSPreparedRequest):
    """A prepared request whose body and content metadata are refused to be changed, on the spot.

    However late a handler of ``before-send`` comes, nothing of ours has to come after it.
    """

    seal: Seal

    @classmethod
    def of(cls, prepared: Any, seal: Seal) -> SealedRequest:
        """Make a prepared request a sealed one: the same object, as botocore made it."""
        prepared.__class__ = cls
        prepared.seal = seal
        headers: Any = prepared.__dict__["headers"]
        if type(headers) is not Headers:
            headers = prepared.__dict__["headers"] = Headers.of(headers.items())
        headers.__class__ = SealedHeaders
        headers.seal = seal
        request: SealedRequest = prepared
        return request

    @property
    def body(self) -> Any:
        """What is sent."""
        return self.__dict__["body"]

    @body.setter
    def body(self, body: Any) -> None:
        self.seal.check_body(body, _AT_LAST)
        self.__dict__["body"] = body

    @property
    def headers(self) -> Any:
        """The headers that are sent."""
        return self.__dict__["headers"]

    @headers.setter
    def headers(self, headers: Any) -> None:
        self.seal.check(self.body, headers, _AT_LAST)
        self.__dict__["headers"] = headers

    def frame(self, body: Any, length: int) -> None:
        """Put a frame of ours around the body.

        Args:
            body: the frame.
            length: bytes of the frame.
        """
        self.__dict__["body"] = body
        Headers.__setitem__(self.headers, "Content-Length", str(length))


def watch(events: Any) -> None:
    """Have a client's requests compared with their seals.

    Args:
        events: the client's emitter.
    """
    events.register_last("before-call", _at_call, unique_id="s3ec-seal-at-call")
    events.register_last("request-created", _at_request, unique_id="s3ec-seal-at-request")


def _at_call(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    seal = context.get(SEAL)
    if seal is not None:
        seal.check_body(params["body"], _BEFORE_CALL)


def _at_request(request: Any, **_: Any) -> None:
    seal = request.context.get(SEAL)
    if seal is not None:
        # What is sent is made of this by a method of botocore's that does not know what call it is of.
        request.prepare = _Preparing(request, seal)


class _Preparing:
    """Prepares a request once: it is compared, and sealed."""

    __slots__ = ("_request", "_seal")

    def __init__(self, request: Any, seal: Seal) -> None:
        self._request = request
        self._seal = seal

    def __call__(self) -> Any:
        request = self._request
        # Request and method hold each other: without this the body would stay until the garbage is collected.
        request.__dict__.pop("prepare", None)
        prepared = request.prepare()
        self._seal.check(prepared.body, prepared.headers, _BEFORE_SENDING)
        return SealedRequest.of(prepared, self._seal)


def check_at_last(request: Any) -> None:
    """Compare for the last time, and send all of the body, wherever a handler that looked at it has left it.

    Raises:
        UnsupportedOperationError: the request is not what was encrypted.
    """
    if isinstance(request, SealedRequest):
        seal = request.seal
        seal.check_body(request.body, _AT_LAST)
        if seal.body is not None and seal.body.tell():
            request.body.seek(0)


def _text(value: Any) -> str:
    """A header's value; prepared requests have them as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
