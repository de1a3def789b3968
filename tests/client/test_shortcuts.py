"""Shortcuts around botocore: nothing that is sent or given back differs by them."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import UnknownEndpointResolutionBuiltInName
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import ResponseParserFactory
from botocore.regions import EndpointRulesetResolver
from botocore.useragent import UserAgentString
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from s3ec import AesKeyring
from s3ec import dates as shortcut
from s3ec.client.calls import shortcuts
from s3ec.client.calls.seals import SealedHeaders
from s3ec.client.calls.shortcuts.headers import _Factory
from s3ec.client.calls.shortcuts.requests import _look

from support.aws import REGION

KEYRING = AesKeyring(bytes(32))


def _sent_by(client: Any, call: Callable[[Any, str], object], bucket: str) -> list[str]:
    """The user agents of what a call sends, each with its features in order: botocore lists a set of them."""
    seen: list[str] = []

    def note(request: Any, **_: Any) -> None:
        value = request.headers["User-Agent"]
        text = value.decode() if isinstance(value, bytes) else value
        words = [f"m/{','.join(sorted(word[2:].split(',')))}" if word[:2] == "m/" else word for word in text.split()]
        seen.append(" ".join(words))

    client.meta.events.register_first("before-send.s3", note, unique_id="note")
    try:
        call(client, bucket)
    finally:
        client.meta.events.unregister("before-send.s3", unique_id="note")
    return seen


CALLS: dict[str, Callable[[Any, str], object]] = {
    "put_object": lambda client, bucket: client.put_object(Bucket=bucket, Key="k", Body=b"x"),
    "list_objects_v2": lambda client, bucket: client.list_objects_v2(Bucket=bucket),
    "paginator": lambda client, bucket: list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket)),
    "waiter": lambda client, bucket: client.get_waiter("bucket_exists").wait(Bucket=bucket),
}


@pytest.mark.parametrize("config", [{}, {"user_agent_extra": "mine/1.0"}, {"user_agent": "other/2"}], ids=str)
def test_the_user_agent_is_botocores(
    aws: dict[str, Any], make_client: Callable[..., Any], bucket: str, config: dict[str, str]
) -> None:
    """One client for all calls, one after another and again: what one call has used does not stick to the next."""
    options = {"config": aws.get("config", Config()).merge(Config(**config))}
    with contextlib.closing(boto3.client("s3", **{**aws, **options})) as plain:
        ours = make_client(keyring=KEYRING, **options)
        for _ in range(2):
            for name, call in CALLS.items():
                assert _sent_by(ours, call, bucket) == _sent_by(plain, call, bucket), name


def test_the_user_agent_is_built_once(
    make_client: Callable[..., Any], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one combination of features, however many requests are sent."""
    client = make_client(keyring=KEYRING)
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    built: list[object] = []
    build = UserAgentString._build_sdk_metadata
    monkeypatch.setattr(UserAgentString, "_build_sdk_metadata", lambda self: built.append(self) or build(self))
    for _ in range(3):
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert built == []


def test_a_user_agent_that_is_set_late(make_client: Callable[..., Any], bucket: str) -> None:
    """As some libraries do with a client that they are given."""
    client = make_client(keyring=KEYRING)
    call = CALLS["put_object"]
    assert not _sent_by(client, call, bucket)[0].endswith("late/1.0")
    client.meta.config.user_agent_extra = "late/1.0"
    assert _sent_by(client, call, bucket)[0].endswith("late/1.0")


def test_a_plain_client_keeps_its_own(aws: dict[str, Any], make_client: Callable[..., Any]) -> None:
    """Nothing is done to clients of the same session that are not ours."""
    session = boto3.Session()
    ours = make_client(keyring=KEYRING, session=session)
    with contextlib.closing(session.client("s3", **aws)) as plain:
        assert "to_string" not in vars(plain._user_agent_creator)
        assert plain._endpoint._response_parser_factory is not ours._endpoint._response_parser_factory
        assert plain._endpoint._response_parser_factory._defaults == {}


def test_a_botocore_that_is_made_otherwise() -> None:
    """Nothing is done where there is nothing to be quicker than."""
    for client in (object(), SimpleNamespace(_user_agent_creator=None, _endpoint=None)):
        shortcuts.take_shortcuts(client)


ARGUMENTS = [
    {"Bucket": "b", "Key": "k"},
    {"Bucket": "a.b", "Key": "k", "Prefix": "p", "CopySource": "b/k"},
    {"Bucket": f"arn:aws:s3:{REGION}:123456789012:accesspoint/mine", "Key": "k"},
    {"Bucket": "mine--use1-az4--x-s3", "Key": "k"},
    {},
]
CONFIGS = [{}, {"use_dualstack_endpoint": True}, {"s3": {"addressing_style": "path", "use_arn_region": True}}]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_endpoints_depend_on_the_same(
    aws: dict[str, Any], make_client: Callable[..., Any], config: dict[str, Any]
) -> None:
    """For every operation that botocore knows, the parameters and their order are botocore's own."""
    with contextlib.closing(boto3.client("s3", **{**aws, "config": Config(**config)})) as plain:
        ours = make_client(keyring=KEYRING, config=Config(**config))
        assert "_resolve_param_from_context" in vars(ours._ruleset_resolver)
        clients: list[Any] = [ours, plain]
        for operation in plain.meta.service_model.operation_names:
            model = plain.meta.service_model.operation_model(operation)
            for arguments in ARGUMENTS:
                found, expected = (
                    list(client._ruleset_resolver._get_provider_params(model, arguments, {}).items())
                    for client in clients
                )
                assert found == expected, (operation, arguments)


def test_an_endpoint_of_an_unknown_name_is_refused_as_ever(make_client: Callable[..., Any]) -> None:
    """In botocore's own words."""
    resolver = make_client(keyring=KEYRING)._ruleset_resolver
    with pytest.raises(UnknownEndpointResolutionBuiltInName):
        resolver._resolve_param_as_builtin("AWS::Unheard", {})
    assert resolver._resolve_param_as_builtin("AWS::Region", {"AWS::Region": lambda: "late"}) == "late"


def test_somebody_elses_endpoints_are_left_alone(make_client: Callable[..., Any]) -> None:
    """A resolver with a method of its own is asked by its own rules."""

    class Resolver(EndpointRulesetResolver):
        def _resolve_param_as_builtin(self, *_: Any) -> Any:
            raise AssertionError

    resolver = object.__new__(Resolver)
    shortcuts.take_shortcuts(SimpleNamespace(_user_agent_creator=None, _endpoint=None, _ruleset_resolver=resolver))
    assert vars(resolver) == {}


BODIES: list[Any] = [b"", b"abc", "text", io.BytesIO(b"abc"), {"a": ["1", "2"], "b": 3}, None]


@pytest.mark.parametrize("data", BODIES, ids=lambda data: f"{type(data).__name__}-{bool(data)}")
def test_a_body_that_is_looked_at_is_the_one_that_is_sent(data: Any) -> None:
    """Whatever botocore takes; preparing it does the rest as ever."""
    headers = {"A": "1", "B": "\xdc", "C": b"2"}
    requests = [AWSRequest("PUT", "https://b.example/k?q", headers, data, {"p": "1"}) for _ in range(2)]
    quick, plain = requests
    _look(quick)
    assert type(quick) is not AWSRequest
    assert quick.body == plain.body
    for request in requests:
        del request.headers["A"]
        request.headers = HTTPHeaders.from_pairs([*request.headers.items(), ("D", "3"), ("E", "\udcff")])
    assert [(name, str(value)) for name, value in quick.headers.items()] == [
        (name, str(value)) for name, value in plain.headers.items()
    ]
    prepared = [request.prepare() for request in requests]
    assert [vars(each)["body"] for each in prepared] == [data or None if data == b"" else plain.prepare().body] * 2
    assert prepared[0].url == prepared[1].url
    assert [(name, str(value)) for name, value in prepared[0].headers.items()] == [
        (name, str(value)) for name, value in prepared[1].headers.items()
    ]


def test_a_request_that_somebody_has_changed_is_left_alone() -> None:
    """A kind of their own, or a way of theirs to prepare it."""

    class Request(AWSRequest):
        pass

    other, patched = Request("GET", "https://b.example/k"), AWSRequest("GET", "https://b.example/k")
    vars(patched)["prepare"] = lambda: None
    for request in (other, patched):
        kind = type(request)
        _look(request)
        assert type(request) is kind


def test_a_small_put_is_prepared_once(make_client: Callable[..., Any], bucket: str) -> None:
    """Whatever the signer looks at; that is what the time is saved by."""
    client = make_client(keyring=KEYRING)
    kinds: list[type] = []
    client.meta.events.register_last("request-created", lambda request, **_: kinds.append(type(request)))
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert [issubclass(kind, AWSRequest) and kind is not AWSRequest for kind in kinds] == [True]


NAMES = ["ETag", "etag", "Last-Modified", "x-amz-meta-A", "X-Amz-Meta-b", "x-amz-version-id", "X-AMZ-DELETE-MARKER"]
NAMES += ["Content-Length", "content-range", "x-amz-missing-meta", "x-amz-unheard-of", "Expires", "x-amz-restore"]
VALUES = ["1", "true", "Sun, 29 Nov 2026 10:00:00 GMT", "text", ""]


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES)), st.sampled_from([200, 206, 304, 404]))
def test_answers_are_read_as_botocore_reads_them(headers: dict[str, str], status: int) -> None:
    """The members of every answer that a header may speak of, in botocore's order, and its refusals."""
    for shape in OUTPUTS:
        expected, found = (_read(factory, shape, headers, status) for factory in FACTORIES)
        assert found == expected


def _read(factory: Any, shape: Any, headers: dict[str, str], status: int) -> object:
    response = {"headers": HeadersDict(headers), "status_code": status, "body": b""}
    try:
        return list(factory.create_parser("rest-xml").parse(response, shape).items())
    except ValueError as error:
        return str(error)


def test_a_parser_is_made_once() -> None:
    """Until it is to have other defaults."""
    factory = _Factory(ResponseParserFactory())
    parser = factory.create_parser("rest-xml")
    assert factory.create_parser("rest-xml") is parser
    assert factory.create_parser("json") is not parser
    factory.set_parser_defaults(timestamp_parser=str)
    assert factory.create_parser("rest-xml") is not parser
    assert factory.create_parser("rest-xml")._timestamp_parser is str


MODEL = ServiceModel(Loader().load_service_model("s3", "service-2"))
OUTPUTS = [
    MODEL.operation_model(name).output_shape
    for name in ("GetObject", "HeadObject", "PutObject", "CopyObject", "DeleteObject", "UploadPart", "PutBucketAcl")
]
FACTORIES = [ResponseParserFactory(), _Factory(ResponseParserFactory())]


def test_headers_of_a_sealed_request_are_those_that_it_has() -> None:
    """In one go, with the names as they were given."""
    headers = SealedHeaders({"B": b"2", "a": "1"})
    assert list(headers.items()) == [("B", b"2"), ("a", "1")]
    assert ("a", "1") in headers.items()
    assert len(headers.items()) == 2
    assert dict(headers) == {"B": b"2", "a": "1"}


def _same(text: object) -> None:
    """Both readers give the same date, or the same refusal."""
    try:
        expected = parse_timestamp(text)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            shortcut.parse_date(text)
        return
    found = shortcut.parse_date(text)
    assert found == expected
    # Zones of different classes can be equal.
    assert (type(found.tzinfo), found.utcoffset()) == (type(expected.tzinfo), expected.utcoffset())


dates = st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31))  # noqa: DTZ001 - the forms below say the zone


@given(dates, st.sampled_from(["%a, %d %b %Y %H:%M:%S GMT", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.123Z"]))
def test_dates_are_botocores(date: datetime, form: str) -> None:
    """Every date of the forms that S3 writes."""
    _same(date.strftime(form))


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 21 Nov 2026 18:30:00 GMT",  # it was a Saturday
        "Sat, 21 Nov 2026 18:30:00 gmt",
        "Sat, 31 Feb 2026 18:30:00 GMT",
        "Sat, 21 Nov 2026 24:00:00 GMT",
        "Sat, 21 Nov 2026 18:30:60 GMT",
        "Sat, 21 Nov 0026 18:30:00 GMT",
        "Sat, 21 Nov 2026 18:30:00 +0100",
        "Sat, 21 Nov 2026 18:30:00 GMT\n",
        "Saturday, 21-Nov-26 18:30:00 GMT",
        "2026-11-21T18:30:00+01:00",
        "2026-11-21T18:30:00.123456Z",
        "2026-13-21T18:30:00Z",
        "2026-11-21",
        "\uff12\uff10\uff12\uff16-11-21T18:30:00Z",
        "1700000000",
        1700000000,
        1700000000.5,
        "never",
        "",
    ],
)
def test_what_is_no_such_date_is_left_to_botocore(text: object) -> None:
    """With its result and with its words."""
    _same(text)


def test_dates_in_answers(
    make_client: Callable[..., Any], plain_s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of headers and of listings, through the client, and none of them left to botocore."""
    read: list[str] = []
    quickly = shortcut.parse_date
    monkeypatch.setattr(shortcut, "parse_date", lambda text: read.append(text) or quickly(text))
    monkeypatch.setattr(shortcut, "parse_timestamp", lambda text: pytest.fail(f"{text} was guessed at"))
    client = make_client(keyring=KEYRING)
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    listed = plain_s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"]
    headed = plain_s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    assert client.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"] == listed
    assert client.head_object(Bucket=bucket, Key="k")["LastModified"] == headed
    assert client.get_object(Bucket=bucket, Key="k")["LastModified"] == headed
    assert len(read) == 3


def test_a_parser_of_the_callers_own_stays(aws: dict[str, Any], make_client: Callable[..., Any], bucket: str) -> None:
    """As the AWS command line sets one, to print dates as they came."""
    session = boto3.Session()
    session._session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    client = make_client(keyring=KEYRING, session=session)
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert isinstance(client.head_object(Bucket=bucket, Key="k")["LastModified"], str)
