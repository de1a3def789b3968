"""Every hook point of botocore on every way of writing: a handler's own content, encrypted, or a refusal.

Handlers on parameters change the plaintext request, as with plain boto3, and encryption comes after them. What changes
a request after that is refused, and nothing is stored. Generated, so that no combination is left out.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ParamValidationError

from s3ec import AesKeyring, EncryptionClient
from s3ec.client.bodies.sources import CHUNK_SIZE
from s3ec.client.calls.handlers import sending_view
from s3ec.errors import S3ECError, UnsupportedOperationError

from support.lying_s3 import LyingS3, lying_s3
from support.servers import write_certificate

SECRET = b"the content that the caller gives " * 8
LARGE = SECRET * (CHUNK_SIZE // len(SECRET) + 1)
KEY = bytes(range(32))
ORDERS = ("register_first", "register", "register_last")
IN_PARTS = TransferConfig(multipart_threshold=10, use_threads=False)


@pytest.fixture(scope="module")
def session(_aws_environment: None) -> boto3.Session:
    """One session for all clients."""
    return boto3.Session()


@pytest.fixture(scope="module", params=["http", "https"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LyingS3]:
    """A server over http and one over https, where botocore wraps bodies."""
    paths: tuple[str | None, str | None] = (None, None)
    if request.param == "https":
        folder = tmp_path_factory.mktemp("certificate")
        paths = str(write_certificate(folder, "public.crt", "private.key")), str(folder / "private.key")
    with lying_s3(certificate=paths[0], key_file=paths[1]) as running:
        yield running


@pytest.fixture
def make(server: LyingS3, session: boto3.Session) -> Iterator[Callable[..., Any]]:
    """Makes clients of the server, which is empty."""
    server.state.objects.clear()
    server.state.uploads.clear()
    server.state.attempts.clear()
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Any:
            client = EncryptionClient(keyring=AesKeyring(KEY), session=session, **server.arguments(**options))
            return stack.enter_context(contextlib.closing(client))

        yield make


def _in_parts(client: Any) -> None:
    upload = client.create_multipart_upload(Bucket="b", Key="k", Metadata={"own": "1"})
    place = {"Bucket": "b", "Key": "k", "UploadId": upload["UploadId"]}
    part = client.upload_part(**place, PartNumber=1, Body=SECRET)
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})


def _resource(client: Any, session: boto3.Session) -> Any:
    resource: Any = session.resource("s3", region_name="us-east-1")
    resource.meta.client = client
    return resource.Object("b", "k")


EXTRA = {"Metadata": {"own": "1"}}
WRITES: dict[str, Callable[[Any, boto3.Session], Any]] = {
    "put_object of bytes": lambda client, _: client.put_object(Bucket="b", Key="k", Body=SECRET, **EXTRA),
    "put_object of text": lambda client, _: client.put_object(Bucket="b", Key="k", Body=SECRET.decode(), **EXTRA),
    "put_object of a stream": lambda client, _: client.put_object(Bucket="b", Key="k", Body=iter([SECRET]), **EXTRA),
    "put_object of a large file": lambda client, _: client.put_object(
        Bucket="b", Key="k", Body=io.BytesIO(LARGE), **EXTRA
    ),
    "Object.put": lambda client, session: _resource(client, session).put(Body=SECRET, **EXTRA),
    "upload_fileobj": lambda client, _: client.upload_fileobj(io.BytesIO(SECRET), "b", "k", EXTRA),
    "Object.upload_fileobj": lambda client, session: _resource(client, session).upload_fileobj(
        io.BytesIO(SECRET), ExtraArgs=EXTRA
    ),
    "upload_fileobj in parts": lambda client, _: client.upload_fileobj(
        io.BytesIO(SECRET), "b", "k", EXTRA, Config=IN_PARTS
    ),
    "upload_part": lambda client, _: _in_parts(client),
}
BODY_OPERATIONS = ("PutObject", "UploadPart")
METADATA_OPERATIONS = ("PutObject", "CreateMultipartUpload")


def names(event: str, operations: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The names under which a handler may be registered: for all, for S3, for each operation."""
    yield (event,)
    yield (f"{event}.s3",)
    yield tuple(f"{event}.s3.{operation}" for operation in operations)


@contextlib.contextmanager
def registered(client: Any, order: str, where: tuple[str, ...], handler: Callable[..., Any]) -> Iterator[None]:
    """Have a handler called."""
    for name in where:
        getattr(client.meta.events, order)(name, handler)
    try:
        yield
    finally:
        for name in where:
            client.meta.events.unregister(name, handler)


def share(write: str, cases: Iterable[Any]) -> Iterator[Any]:
    """Every case for the two that a client itself is called for; for the others a fifth each, all of them together."""
    number = list(WRITES).index(write)
    every = 1 if write in ("put_object of bytes", "upload_part") else 5
    yield from itertools.islice(cases, number % every, None, every)


def operation(event_name: str) -> str:
    """The operation that an event is about."""
    return event_name.rpartition(".")[2]


# Before encryption.


def _read(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    data = b"".join(body) if not hasattr(body, "read") and not isinstance(body, bytes) else body
    return data.read() if hasattr(data, "read") else bytes(data)


def _transform_in_place(params: dict[str, Any], event_name: str, **_: Any) -> None:
    if operation(event_name) in BODY_OPERATIONS:
        params["Body"] = _read(params["Body"]).swapcase()
    if operation(event_name) in METADATA_OPERATIONS:
        params["Metadata"]["owner"] = "handler"


def _transform_anew(params: dict[str, Any], event_name: str, **_: Any) -> dict[str, Any] | None:
    changed = dict(params)
    if operation(event_name) in BODY_OPERATIONS:
        changed["Body"] = io.BytesIO(_read(params["Body"]).swapcase())
    if operation(event_name) in METADATA_OPERATIONS:
        changed["Metadata"] = {**params["Metadata"], "owner": "handler"}
    params.clear()
    params.update(changed)
    return params if event_name.startswith("provide") else None


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITES)
def test_what_a_handler_of_parameters_makes_is_what_is_encrypted(
    server: LyingS3, make: Callable[..., Any], session: boto3.Session, write: str
) -> None:
    """On both events, under every name, in every order: its content with its metadata, in ciphertext."""
    clients, reader = itertools.cycle([make(), make(instruction_file_writes=True)]), make()
    events = ("provide-client-params", "before-parameter-build")
    where = [list(names(event, (*BODY_OPERATIONS, "CreateMultipartUpload"))) for event in events]
    for case in share(
        write, itertools.product(itertools.chain(*where), ORDERS, (_transform_in_place, _transform_anew))
    ):
        server.state.objects.clear()
        client = next(clients)
        with registered(client, case[1], case[0], case[2]):
            WRITES[write](client, session)
        content = LARGE if "large" in write else SECRET
        answer = reader.get_object(Bucket="b", Key="k")
        assert answer["Body"].read() == content.swapcase(), case
        assert answer["Metadata"] == {"own": "1", "owner": "handler"}, case
        for stored in server.state.objects.values():
            assert SECRET[:20] not in stored.body, case
            assert SECRET[:20].swapcase() not in stored.body, case


def test_compressed_on_the_way(make: Callable[..., Any]) -> None:
    """The usual handler: gzip, with the header that says so."""
    client = make()

    def compress(params: dict[str, Any], **_: Any) -> None:
        params["Body"] = gzip.compress(_read(params["Body"]))
        params["ContentEncoding"] = "gzip"

    client.meta.events.register("provide-client-params.s3.PutObject", compress)
    client.upload_fileobj(io.BytesIO(SECRET), "b", "k")
    answer = client.get_object(Bucket="b", Key="k")
    assert gzip.decompress(answer["Body"].read()) == SECRET


def test_handlers_that_only_look(make: Callable[..., Any], session: boto3.Session) -> None:
    """A body that was read and put back is what it was; each handler hears of each request once."""
    client = make()
    seen: list[tuple[str, bytes]] = []

    def look(params: dict[str, Any], event_name: str, **_: Any) -> None:
        if "Body" in params:
            body = params["Body"]
            seen.append((event_name, body if isinstance(body, bytes) else body.read()))
            if not isinstance(body, bytes):
                body.seek(0)

    for event in ("provide-client-params.s3", "before-parameter-build.s3"):
        client.meta.events.register(event, look)
    for write in ("put_object of bytes", "upload_fileobj", "upload_fileobj in parts", "upload_part"):
        seen.clear()
        WRITES[write](client, session)
        # A part that was kept back is heard of again when it is sent, without its body.
        assert [body for _, body in seen if body] == [SECRET, SECRET], write
        assert client.get_object(Bucket="b", Key="k")["Body"].read() == SECRET


def test_the_same_context_as_ever(make: Callable[..., Any], server: LyingS3, session: boto3.Session) -> None:
    """What a handler keeps about a call is found by its later handlers, and botocore's own names are there."""
    kept: dict[str, list[Any]] = {}

    def keep(context: dict[str, Any], **_: Any) -> None:
        kept.setdefault("names", []).append(set(context))
        context["kept"] = "here"

    def find(context: dict[str, Any], **_: Any) -> None:
        kept.setdefault("found", []).append(context.get("kept"))

    plain = session.client("s3", **server.arguments())
    with contextlib.closing(plain):
        for client in (plain, make()):
            client.meta.events.register("provide-client-params.s3.PutObject", keep)
            for event in ("before-call", "after-call"):
                client.meta.events.register(f"{event}.s3.PutObject", find)
            client.put_object(Bucket="b", Key="k", Body=SECRET)
    assert kept["found"] == ["here"] * 4
    # A newer botocore may keep more there than this test's.
    assert kept["names"][0] <= kept["names"][1]


def test_a_call_is_sent_with_the_clients_own_parts(make: Callable[..., Any]) -> None:
    """The view that sends a call has all that its client has but the emitter, and leaves the client's alone."""
    client = make()
    meta, events = client.meta, client.meta.events
    view = sending_view(client, client._s3ec_sender, None, None)
    assert vars(view) is vars(client)
    assert client.meta is meta
    assert meta.events is events
    assert view.meta.events is not events
    assert type(view.meta) is type(meta)
    parts = [name for name in dir(meta) if not name.startswith("__") and name != "events"]
    assert {"config", "endpoint_url", "method_to_api_mapping", "partition", "region_name"} <= set(parts)
    for name in parts:
        assert getattr(view.meta, name) is getattr(meta, name), name


@pytest.mark.parametrize("write", ["put_object", "get_object", "head_object", "upload_part", "delete_object"])
def test_handlers_that_fill_in(make: Callable[..., Any], server: LyingS3, write: str) -> None:
    """Bucket and key may come from a handler, and a prefix is put in front once, also on instruction files."""
    client, reader = make(instruction_file_writes=True, buffer_size=1), make()

    def fill(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**params, "Bucket": "b", "Key": "tenant/" + params.get("Key", "k")}

    reader.put_object(Bucket="b", Key="tenant/k", Body=SECRET)
    client.meta.events.register("provide-client-params.s3", fill)
    if write == "put_object":
        client.put_object(Body=b"other")
    elif write == "upload_part":
        upload = client.create_multipart_upload()["UploadId"]
        part = client.upload_part(UploadId=upload, PartNumber=1, Body=b"other")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(UploadId=upload, MultipartUpload=parts)
    elif write == "get_object":
        assert client.get_object()["Body"].read() == SECRET
        assert client.get_object(Range="bytes=4-10")["Body"].read() == SECRET[4:11]
    elif write == "head_object":
        assert client.head_object(Key="k")["ContentLength"] == len(SECRET)
    else:
        client.delete_object(Key="k")
        assert server.state.objects == {}
    if write in ("put_object", "upload_part"):
        assert set(server.state.objects) == {"b/tenant/k", "b/tenant/k.instruction"}
        assert reader.get_object(Bucket="b", Key="tenant/k")["Body"].read() == b"other"


@pytest.mark.usefixtures("make")
def test_botocore_refuses_before_any_key_is_asked(server: LyingS3) -> None:
    """Its own handlers of parameters come first as well."""
    asked: list[int] = []

    class Counting(AesKeyring):
        def on_encrypt(self, *arguments: Any, **more: Any) -> Any:
            asked.append(1)
            return super().on_encrypt(*arguments, **more)

    counting = EncryptionClient(keyring=Counting(KEY), **server.arguments())
    refused: list[dict[str, Any]] = [
        {"Metadata": {"a": "ü"}},
        {"Metadata": {"ü": "a"}},
        {"Metadata": {"a": "one\nline: two"}},
        {"Metadata": {"a\r\n": "b"}},
        {"ChecksumAlgorithm": "ROT13"},
        {"ContentType": "text/plain\nX-Other: 1"},
        {"ACL": 5},
    ]
    with contextlib.closing(counting):
        for more in refused:
            request = {"Bucket": "b", "Key": "k", **more}
            for call in (
                lambda request=request: counting.put_object(**{**request, "Body": b"x"}),
                lambda request=request: counting.create_multipart_upload(**request),
                lambda more=more: counting.upload_fileobj(io.BytesIO(b"x" * 20), "b", "k", more, Config=IN_PARTS),
            ):
                with pytest.raises(Exception, match=r".") as refusal:  # noqa: PT011 - botocore's own, of several kinds
                    call()
                assert "botocore" in type(refusal.value).__module__ or isinstance(refusal.value, S3ECError), more
        with pytest.raises(ParamValidationError):
            counting.put_object(Bucket="no such name", Key="k", Body=b"x")
        assert asked == []
        assert server.state.attempts == []
        counting.put_object(Bucket="b", Key="k", Body=b"x")
        assert asked == [1]


# After encryption.


class _Wrapper:
    """A tracer's wrapper around a body."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)


PLAIN = b"what nobody may find in the bucket"


def _drop(headers: Any) -> None:
    for name in [name for name in headers if name.lower().startswith("x-amz-meta-x-amz-")]:
        del headers[name]


def _change(headers: Any) -> None:
    for name in [name for name in headers if name.lower() == "x-amz-meta-x-amz-i"]:
        del headers[name]
        headers[name] = "AAAA"


def _add(headers: Any) -> None:
    headers["X-Amz-Meta-X-Amz-Key-V2"] = "another"


CHANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "body": ("body", lambda _: PLAIN),
    "file": ("body", lambda _: io.BytesIO(PLAIN)),
    "wrapped": ("body", _Wrapper),
    "none": ("body", lambda _: b""),
    "dropped": ("headers", _drop),
    "changed": ("headers", _change),
    "added": ("headers", _add),
}


def tampering(change: str) -> Callable[..., None]:
    """A handler of any event after encryption that changes the requests with content."""
    kind, function = CHANGES[change]
    operations = BODY_OPERATIONS if kind == "body" else METADATA_OPERATIONS

    def handler(event_name: str, params: Any = None, request: Any = None, **_: Any) -> None:
        if operation(event_name) not in operations:
            return
        if kind == "headers":
            function(params["headers"] if request is None else request.headers)
        elif request is None:
            params["body"] = function(params["body"])
        elif hasattr(request, "data"):
            request.data = function(request.data)
        else:
            request.body = function(request.body)

    return handler


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITES)
def test_what_is_changed_after_encryption_is_refused(
    server: LyingS3, make: Callable[..., Any], session: boto3.Session, write: str
) -> None:
    """At every later event, under every name, in every order: an error that says so, and an empty bucket."""
    clients = itertools.cycle([make(), make(), make(instruction_file_writes=True)])
    events = ("before-call", "request-created", "before-sign", "before-send")
    cases = itertools.product(events, range(3), ORDERS, CHANGES)
    for case in share(write, cases):
        event, place, order, change = case
        headers = CHANGES[change][0] == "headers"
        where = list(names(event, METADATA_OPERATIONS if headers else BODY_OPERATIONS))[place]
        client = next(clients)
        with registered(client, order, where, tampering(change)):
            with pytest.raises(UnsupportedOperationError, match="after it was encrypted") as refusal:
                WRITES[write](client, session)
            assert event in str(refusal.value), case
        assert server.state.objects == {}, case
        assert all(PLAIN not in attempt.body and SECRET not in attempt.body for attempt in server.state.attempts)
        server.state.attempts.clear()


def test_what_is_written_into_the_body(make: Callable[..., Any], server: LyingS3) -> None:
    """The body itself must not hold plaintext either."""
    client = make()

    def write_into(request: Any, **_: Any) -> None:
        body = getattr(request.body, "_raw", request.body)
        body.seek(0)
        body.write(b"plain")

    client.meta.events.register("before-send.s3.PutObject", write_into)
    with pytest.raises(UnsupportedOperationError):
        client.put_object(Bucket="b", Key="k", Body=SECRET)
    assert server.state.objects == {}


def test_a_shorter_length_is_refused(make: Callable[..., Any], server: LyingS3) -> None:
    """S3 would store the beginning of the ciphertext, which nobody could open."""
    client = make()

    def shorten(request: Any, **_: Any) -> None:
        name = "X-Amz-Decoded-Content-Length" if "X-Amz-Decoded-Content-Length" in request.headers else "Content-Length"
        request.headers[name] = "5"

    client.meta.events.register("before-send.s3", shorten)
    with pytest.raises(UnsupportedOperationError):
        client.put_object(Bucket="b", Key="k", Body=SECRET)
    assert server.state.objects == {}


@pytest.mark.parametrize("event", ["before-call", "request-created", "before-sign", "before-send"])
def test_everything_else_is_anybodys(make: Callable[..., Any], server: LyingS3, event: str) -> None:
    """Tags, tracing, and one's own metadata may be added late, and a body may be looked at."""
    client = make()

    def add(params: Any = None, request: Any = None, **_: Any) -> None:
        headers = params["headers"] if request is None else request.headers
        headers["X-Amzn-Trace-Id"] = "Root=1"
        if event != "before-send":
            headers["x-amz-meta-late"] = "1"
        elif hasattr(request.body, "read"):
            request.body.read()

    client.meta.events.register(f"{event}.s3.PutObject", add)
    client.put_object(Bucket="b", Key="k", Body=SECRET)
    answer = client.get_object(Bucket="b", Key="k")
    assert answer["Body"].read() == SECRET
    assert answer["Metadata"] == ({} if event == "before-send" else {"late": "1"})
    assert "X-Amzn-Trace-Id" in server.state.attempts[0].headers


def test_a_retry_is_sealed_again(make: Callable[..., Any], server: LyingS3) -> None:
    """What was compared once is compared for each attempt."""
    client = make()
    attempts: list[int] = []

    def second(request: Any, **_: Any) -> None:
        attempts.append(1)
        if len(attempts) == 2:
            request.body = PLAIN

    server.lies.fail_after_body = 1
    client.meta.events.register("before-send.s3.PutObject", second)
    with pytest.raises(UnsupportedOperationError):
        client.put_object(Bucket="b", Key="k", Body=SECRET)
    assert len(attempts) == 2
    assert server.state.objects == {}
