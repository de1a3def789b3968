"""Requests that are signed and made ready in a shorter way: what leaves is botocore's, to the last header."""

from __future__ import annotations

import contextlib
import copy
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.endpoint import Endpoint
from botocore.signers import RequestSigner
from hypothesis import given
from hypothesis import strategies as st

from s3ec import AesKeyring
from s3ec.client.calls.header_map import Headers
from s3ec.client.calls.shortcuts import signatures
from s3ec.client.calls.shortcuts.headers import parse_answers_quickly
from s3ec.client.calls.shortcuts.requests import _Encoder, _look
from s3ec.client.calls.shortcuts.signatures import in_short, sign_in_short

KEYRING = AesKeyring(bytes(32))
NOON = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
SIGNERS = list(signatures._KINDS)
TRAILER = {"algorithm": "crc32", "in": "trailer", "name": "x-amz-checksum-crc32"}
NAMES = ["User-Agent", "Expect", "Transfer-Encoding", "x-amz-meta-a", "X-Amz-Meta-A_b.c", "Content-Encoding", "Range"]
NAMES += ["If-Match", "Host", "Content-MD5", "Content-Length", "amz-sdk-request", "X-Amzn-Trace-Id", "X-Odd", "Date"]
NAMES += ["Authorization", "X-Amz-Date", "x-amz-checksum-crc32", "x-amz-meta-\xe9"]
VALUES = ["a", "a b", "", '{"x":1,"y":"="}', "bytes=0-5", "a  b", " a", "b\tc", "\xe9", "1"]


class _Noon(datetime):
    """A clock for botocore's signers of both times: older ones ask the module `datetime`."""

    @classmethod
    def utcnow(cls) -> Any:
        return NOON.replace(tzinfo=None)


def _now(remove_tzinfo: bool = True) -> datetime:  # noqa: FBT001, FBT002 - botocore's own
    return NOON.replace(tzinfo=None) if remove_tzinfo else NOON


@contextlib.contextmanager
def _at_noon(kind: type) -> Iterator[None]:
    module = sys.modules[kind.__module__]
    asked = hasattr(module, "get_current_datetime")
    name, clock = (
        ("get_current_datetime", _now) if asked else ("datetime", SimpleNamespace(datetime=_Noon, timezone=timezone))
    )
    with mock.patch.object(module, name, clock):
        yield


def _signed(signer: Any, request: Any) -> object:
    """The headers of a request that is signed, in order, or the error."""
    with _at_noon(next(kind for kind in type(signer).__mro__ if kind.__module__.startswith("botocore."))):
        try:
            signer.add_auth(request)
        except Exception as error:  # noqa: BLE001 - whatever botocore makes of such a request
            return repr(error)
    return [(name, str(value)) for name, value in request.headers.items()], request.context.get("timestamp")


@pytest.mark.parametrize("token", [None, "session/token=="])
@given(
    headers=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=7),
    first=st.sampled_from(["GET", "PUT", "HEAD", "put"]),
    place=st.sampled_from(
        ["https://s3.example:9000", "https://S3.example", "http://[::1]:80", "https://b.s3.example:443", "ftp://a"]
    ),
    path=st.sampled_from(["/", "/b/k%20x", "/b//c/../d~", "/k%C3%A9", "/b/k?x=1&a", "/b/k#f", "", "/a+b"]),
    context=st.sampled_from([{}, {"checksum": {"request_algorithm": TRAILER}}, {"has_streaming_input": True}]),
    data=st.sampled_from([b"", b"", b"abc"]),
)
def test_signatures_are_botocores(  # noqa: PLR0913, PLR0917 - what a signature depends on
    token: str | None, headers: dict[str, str], first: str, place: str, path: str, context: dict[str, Any], data: bytes
) -> None:
    """Those of both of its signers: the same headers in the same order, or the same error."""
    by = Credentials("AKIDEXAMPLE", "secret/+", token).get_frozen_credentials()
    for kind in SIGNERS:
        found = []
        for quick in (True, False):
            signer, request = kind(by, "s3", "eu-west-1"), AWSRequest(first, place + path, headers, data)
            request.context.update(context)
            found.append(_signed(in_short(signer) if quick else signer, request))
        assert found[0] == found[1]


ORDINARY = {"User-Agent": "a/1 b/2", "x-amz-meta-x-amz-c": "115", "amz-sdk-request": "attempt=1", "Content-MD5": "1B2M"}


@pytest.mark.parametrize("kind", SIGNERS, ids=lambda kind: kind.__name__)
def test_ordinary_requests_are_signed_here(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore's signers are not asked; their headers, and those that are not signed, are theirs all the same."""
    by = Credentials("AKIDEXAMPLE", "secret").get_frozen_credentials()
    for method in ("GET", "PUT"):
        request, other = (AWSRequest(method, "https://s3.example/b/k", ORDINARY) for _ in range(2))
        for each in (request, other):
            each.context["checksum"] = {"request_algorithm": TRAILER} if method == "PUT" else {}
        expected = _signed(kind(by, "s3", "eu-west-1"), other)
        signer = in_short(kind(by, "s3", "eu-west-1"))
        with monkeypatch.context() as patched:
            patched.setattr(kind, "add_auth", None)
            assert _signed(signer, request) == expected


@pytest.mark.parametrize("kind", SIGNERS, ids=lambda kind: kind.__name__)
def test_a_signer_that_somebody_has_changed_is_left_alone(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of their own, or a method in botocore's: it is asked."""
    own: Any = type("Own", (kind,), {})
    assert type(in_short(own(None, "s3", "eu-west-1"))) is own
    assert type(in_short(object())) is object
    monkeypatch.setattr(kind, "_modify_request_before_signing", lambda *_: None)
    assert type(in_short(kind(None, "s3", "eu-west-1"))) is kind


def test_what_is_signed_is_logged_by_botocore(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log of signatures finds each."""
    by = Credentials("AKIDEXAMPLE", "secret").get_frozen_credentials()
    with caplog.at_level(logging.DEBUG, "botocore.auth"):
        _signed(
            in_short(auth.S3SigV4Auth(by, "s3", "eu-west-1")), AWSRequest("GET", "https://s3.example/b/k", ORDINARY)
        )
    assert "CanonicalRequest" in caplog.text


def test_headers_that_nobody_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some put more of them on botocore's list, for a proxy that changes them."""
    monkeypatch.setattr(auth, "SIGNED_HEADERS_BLACKLIST", [*auth.SIGNED_HEADERS_BLACKLIST, "x-amz-meta-x-amz-c"])
    by = Credentials("AKIDEXAMPLE", "secret").get_frozen_credentials()
    quick, plain = (
        _signed(signer, AWSRequest("GET", "https://s3.example/b/k", ORDINARY))
        for signer in (in_short(auth.S3SigV4Auth(by, "s3", "r")), auth.S3SigV4Auth(by, "s3", "r"))
    )
    assert quick == plain


def test_somebody_elses_signer_is_left_alone() -> None:
    """And a client without one."""

    class Signer(RequestSigner):
        pass

    signer = object.__new__(Signer)
    sign_in_short(SimpleNamespace(_request_signer=signer))
    sign_in_short(object())
    assert vars(signer) == {}


class _Model:
    """The same done to our map and to botocore's."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.maps: list[Any] = [Headers(pairs), HeadersDict(pairs)]

    def same(self, do: Callable[[Any], Any]) -> None:
        """Compare what it gives, and what is left."""
        results = []
        for each in self.maps:
            try:
                results.append(do(each))
            except KeyError:
                results.append(KeyError)
        assert results[0] == results[1]
        assert [*map(list, (each.items() for each in self.maps))] == [list(self.maps[1].items())] * 2
        assert list(self.maps[0]) == list(self.maps[1])
        assert (len(self.maps[0]), repr(self.maps[0])) == (len(self.maps[1]), repr(self.maps[1]))


_DONE: list[Callable[[Any, str], Any]] = [
    lambda headers, name: headers[name],
    lambda headers, name: headers.get(name),
    lambda headers, name: headers.get(name, 5),
    lambda headers, name: name in headers,
    lambda headers, name: headers.__setitem__(name, "new"),
    lambda headers, name: headers.__delitem__(name),
    lambda headers, name: headers.pop(name, None),
    lambda headers, name: headers.setdefault(name, "set"),
    lambda headers, name: headers.update({name: "updated"}),
    lambda headers, name: headers.copy().pop(name, None),
    lambda headers, name: dict(copy.deepcopy(headers)) == dict(headers),
    lambda headers, name: (list(headers.keys()), list(headers.values()), (name, "1") in headers.items()),
    lambda headers, name: headers == {name: "1"},
]
_CASES = st.sampled_from(["a", "A", "b-C", "B-c", "D"])


@given(
    st.lists(st.tuples(_CASES, st.sampled_from("12"))),
    st.lists(st.tuples(st.sampled_from(_DONE), _CASES), max_size=12),
)
def test_a_map_of_headers_is_botocores(
    pairs: list[tuple[str, str]], steps: list[tuple[Callable[[Any, str], Any], str]]
) -> None:
    """Whatever is done to it."""
    model = _Model(pairs)
    assert list(Headers.of(pairs).items()) == list(HeadersDict(pairs).items())
    for step, name in steps:
        model.same(lambda headers, step=step, name=name: step(headers, name))  # type: ignore[misc]  # its type is known


@given(
    st.lists(st.tuples(_CASES, st.sampled_from(["1", "\xdc", b"2", "\udcff"])), max_size=6),
    st.sampled_from(["GET", "PUT"]),
    st.sampled_from([b"", b"abc", None]),
    st.sampled_from([None, "Transfer-Encoding", "Content-Length"]),
)
def test_headers_are_made_ready_as_botocore_makes_them(
    pairs: list[tuple[str, Any]], method: str, data: Any, length: str | None
) -> None:
    """With bytes for values, once for each name, and a length where one is sent."""
    found: list[object] = []
    for quick in (True, False):
        request = AWSRequest(method, "https://b.example/k", {}, data)
        request.headers = HTTPHeaders.from_pairs(pairs)
        endpoint: Any = object.__new__(Endpoint)
        if quick:
            endpoint._encode_headers = _Encoder(endpoint)
            _look(request)
        if length is not None:
            request.headers[length] = "7"
        try:
            prepared = endpoint.prepare_request(request)
        except UnicodeEncodeError as error:
            found.append(str(error))
            continue
        assert isinstance(prepared.headers, Headers) == quick
        found.append([(name, value) for name, value in prepared.headers.items()])
    assert found[0] == found[1]


def test_headers_of_answers_are_looked_up_here(make_client: Callable[..., Any], bucket: str) -> None:
    """By a map that is botocore's to whoever gets it."""
    client = make_client(keyring=KEYRING)
    seen: list[Any] = []
    client.meta.events.register("after-call.s3", lambda http_response, **_: seen.append(http_response.headers))
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    client.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert [type(headers) for headers in seen] == [Headers] * 2
    assert isinstance(seen[1], HeadersDict)
    assert seen[1]["Content-Length"] == seen[1]["content-LENGTH"] == str(1 + 16)


def test_a_session_of_the_callers_own_stays(aws: dict[str, Any]) -> None:
    """What gives answers in another way is asked as it is."""
    plain: Any
    with contextlib.closing(boto3.client("s3", **aws)) as plain:
        session = plain._endpoint.http_session = SimpleNamespace(close=lambda: None)
        parse_answers_quickly(plain)
        assert plain._endpoint.http_session is session
