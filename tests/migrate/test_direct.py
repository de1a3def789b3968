"""Small requests go the short way, and no one can tell the difference: same answers, same guarantees, same failures."""

from __future__ import annotations

import contextlib
import datetime
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from s3ec import AesKeyring, EncryptionClient
from s3ec.exchanges.signature import signed
from s3ec.exchanges.wire import Address, Connections, WireError
from s3ec.migrate import KeyringSpec, MigrationContext, Outcome, Result, Task, migrate_one

from .conftest import Settings
from support.proxy import Answer, Proxy, Request, proxy
from support.servers import write_certificate

Open = Callable[..., MigrationContext]
KEY = bytes(range(32))
BODY = b"an ordinary text, " * 100


@pytest.fixture
def lying(endpoint: str) -> Iterator[Proxy]:
    """A proxy before moto."""
    with proxy(endpoint) as made:
        yield made


@pytest.fixture
def context(lying: Proxy, settings: Settings, open_context: Open, tmp_path: Any) -> MigrationContext:
    """A context whose requests all pass the proxy."""
    (tmp_path / "key").write_bytes(KEY)
    job = settings(keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "key")))
    return open_context(replace(job, connection=replace(job.connection, endpoint_url=lying.url)))


@pytest.fixture
def opened(context: MigrationContext, lying: Proxy, bucket: str, plain_s3: Any) -> MigrationContext:
    """The same, with the way to the bucket known from a first object."""
    rules: Any = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    plain_s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    plain_s3.put_object(Bucket=bucket, Key="first", Body=b"x")
    assert _do(context, plain_s3, bucket, "first").result is Result.DONE
    lying.seen.clear()
    return context


def _do(context: MigrationContext, plain_s3: Any, bucket: str, key: str) -> Outcome:
    head = plain_s3.head_object(Bucket=bucket, Key=key)
    task = Task(bucket=bucket, key=key, etag=head["ETag"], size=head["ContentLength"], has_instruction_file=False)
    return migrate_one(task, context=context)


def _by_botocore(request: Request) -> bool:
    return "amz-sdk-invocation-id" in request.headers


def _content(bucket: str, key: str, endpoint: str) -> bytes:
    reader = EncryptionClient(keyring=AesKeyring(KEY), endpoint_url=endpoint, region_name="us-east-1")
    return bytes(reader.get_object(Bucket=bucket, Key=key)["Body"].read())


def test_after_the_first_object_three_requests_are_enough(
    opened: MigrationContext, lying: Proxy, bucket: str, plain_s3: Any, endpoint: str
) -> None:
    """What the first object has shown of the bucket and its folder is not asked of the next one."""
    plain_s3.put_object(Bucket=bucket, Key="k +%ü~", Body=BODY, Metadata={"a": "b"}, ContentType="text/x")
    outcome = _do(opened, plain_s3, bucket, "k +%ü~")
    assert outcome.requests == {"get_object": 1, "head_object": 1, "put_object": 1}
    assert [request.method for request in lying.seen] == ["GET", "HEAD", "PUT"]
    assert not any(map(_by_botocore, lying.seen))
    head = plain_s3.head_object(Bucket=bucket, Key="k +%ü~")
    assert (head["Metadata"]["a"], head["ContentType"]) == ("b", "text/x")
    assert _content(bucket, "k +%ü~", endpoint) == BODY


def test_bytes_that_could_be_ciphertext_cost_one_request_more(
    opened: MigrationContext, lying: Proxy, bucket: str, plain_s3: Any, endpoint: str
) -> None:
    """The file that would open them is asked for, whatever the list says; none that nobody writes now."""
    body = os.urandom(1000)
    plain_s3.put_object(Bucket=bucket, Key="k", Body=body)
    outcome = _do(opened, plain_s3, bucket, "k")
    assert (outcome.result, outcome.requests) == (Result.DONE, {"get_object": 2, "head_object": 1, "put_object": 1})
    assert [request.path.rpartition("/")[2] for request in lying.seen] == ["k", "k.instruction", "k", "k"]
    assert _content(bucket, "k", endpoint) == body


def test_answers_are_those_of_botocore(opened: MigrationContext, bucket: str, plain_s3: Any) -> None:
    """Whatever S3 keeps of an object is read the same, byte for byte and type for type."""
    assert opened.direct is not None
    until = datetime.datetime(2031, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    plain_s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=BODY,
        Metadata={"One": "1 2  3", "empty": ""},
        CacheControl="no-store",
        ContentDisposition='attachment; filename="Ü"',
        ContentEncoding="gzip",
        ContentLanguage="de",
        Expires=until,
        StorageClass="STANDARD_IA",
        ServerSideEncryption="AES256",
        WebsiteRedirectLocation="/x",
        Tagging="a=b&c=%C3%BC",
        ChecksumAlgorithm="SHA256",
    )
    where = {"Bucket": bucket, "Key": "k"}
    for operation, more in (
        ("get_object", {"ChecksumMode": "ENABLED"}),
        ("get_object", {"Range": "bytes=0-9"}),
        ("head_object", {}),
        ("get_object_tagging", {}),
    ):
        send = opened.direct.prepared(operation, {**where, **more})
        assert send is not None
        mine, theirs = send(), getattr(opened.s3, operation)(**where, **more)
        assert mine is not None
        for answer in (mine, theirs):
            assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == (206 if "Range" in more else 200)
            if "Body" in answer:
                answer["Body"] = answer["Body"].read()
        assert mine == theirs


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [("get_object", {"Key": "absent"}), ("get_object", {"Key": "first", "IfMatch": '"other"'}),
     ("head_object", {"Key": "first", "IfMatch": '"other"'}),
     ("put_object", {"Key": "first", "Body": b"x", "IfMatch": '"other"'}),
     ("get_object_tagging", {"Key": "absent"})],
)  # fmt: skip
def test_refusals_are_those_of_botocore(
    operation: str, parameters: dict[str, Any], opened: MigrationContext, lying: Proxy, bucket: str
) -> None:
    """S3 says "not there" or "not the one you meant" by the same errors, at the price of one request."""
    assert opened.direct is not None
    send = opened.direct.prepared(operation, {"Bucket": bucket, **parameters})
    assert send is not None
    with pytest.raises(ClientError) as mine:
        send()
    assert len(lying.seen) == 1
    with pytest.raises(ClientError) as theirs:
        getattr(opened.s3, operation)(Bucket=bucket, **parameters)
    assert type(mine.value) is type(theirs.value)
    for error in (mine.value, theirs.value):
        assert error.operation_name == opened.s3.meta.method_to_api_mapping[operation]
    code, status = (mine.value.response["Error"]["Code"], mine.value.response["ResponseMetadata"]["HTTPStatusCode"])
    theirs_said = theirs.value.response
    assert (code, status) == (theirs_said["Error"]["Code"], theirs_said["ResponseMetadata"]["HTTPStatusCode"])


@pytest.mark.parametrize(
    "parameters",
    [{"Key": "a//b"}, {"Key": "a/../b"}, {"Key": "k", "Metadata": {"a": "ü"}}, {"Key": "k", "ContentType": "a\r\nb: c"},
     {"Key": "k", "Body": bytes(2**20 + 1)}, {"Key": "k", "ObjectLockRetainUntilDate": datetime.datetime(2031, 1, 1)},
     {"Key": "k", "Metadata": {"a b": "c"}}, {"Key": "k", "Invented": "x"}],
    ids=["slashes", "dots", "beyond ASCII", "line end", "large", "date", "name", "unknown"],
)  # fmt: skip
def test_what_needs_more_than_writing_down_is_left_to_botocore(
    parameters: dict[str, Any], opened: MigrationContext, bucket: str
) -> None:
    """No request is made of it at all."""
    assert opened.direct is not None
    assert opened.direct.prepared("put_object", {"Bucket": bucket, "Body": b"", **parameters}) is None


def test_whoever_listens_hears_everything(opened: MigrationContext, lying: Proxy, bucket: str, plain_s3: Any) -> None:
    """A handler that comes later still sees each request."""
    heard: list[str] = []
    opened.s3.meta.events.register("before-send.s3", lambda event_name, **_: heard.append(event_name))
    plain_s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    assert _do(opened, plain_s3, bucket, "k").result is Result.DONE
    assert len(heard) == len(lying.seen) == 3
    assert all(map(_by_botocore, lying.seen))


def _status(number: int) -> Callable[[Answer], Answer | None]:
    body = b"<Error><Code>SlowDown</Code><Message>x</Message></Error>"
    return lambda answer: Answer(number, {"content-type": "application/xml"}, body)


def _flipped(answer: Answer) -> Answer:
    return replace(answer, body=bytes([answer.body[0] ^ 1]) + answer.body[1:]) if answer.body else answer


FAULTS: dict[str, Callable[[Answer], Answer | None]] = {
    "503": _status(503),
    "400": _status(400),
    "reset": lambda answer: None,
    "cut": lambda answer: replace(answer, cut_at=max(0, len(answer.body) - 5)) if answer.body else None,
    "flipped": _flipped,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_trouble_is_left_to_botocore(
    fault: str, method: str, opened: MigrationContext, lying: Proxy, bucket: str, plain_s3: Any, endpoint: str
) -> None:
    """One attempt that fails is made good by botocore, and what was half sent or half received is never used."""
    if (fault, method) in (("flipped", "HEAD"), ("flipped", "PUT")):
        pytest.skip("there is no body to flip")
    hit = False

    def once(request: Request, ask: Callable[[], Answer]) -> Answer | None:
        nonlocal hit
        if hit or request.method != method:
            return ask()
        hit = True
        assert not _by_botocore(request)
        return FAULTS[fault](ask())

    plain_s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm="CRC32")
    lying.fault = once
    outcome = _do(opened, plain_s3, bucket, "k")
    lying.fault = None
    assert hit
    assert sum(outcome.requests.values()) == len(lying.seen)
    if method == "PUT":
        # The write was carried out and its answer lost: the condition refuses it the second time.
        assert outcome.result is Result.CHANGED
    else:
        assert outcome.result is Result.DONE
    assert _content(bucket, "k", endpoint) == BODY


def test_after_trouble_botocore_asks_alone(opened: MigrationContext, lying: Proxy, bucket: str, plain_s3: Any) -> None:
    """A service that is slow to answer is not asked any faster than botocore asks it."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    plain_s3.put_object(Bucket=bucket, Key="l", Body=BODY)
    faults = [_status(503)]
    lying.fault = lambda request, ask: faults.pop()(ask()) if faults else ask()
    _do(opened, plain_s3, bucket, "k")
    lying.seen.clear()
    _do(opened, plain_s3, bucket, "l")
    assert all(map(_by_botocore, lying.seen))


@pytest.mark.parametrize("moment", ["HEAD", "PUT"])
@pytest.mark.parametrize("change", ["metadata", "content", "deleted"])
def test_another_writer_wins(
    moment: str, change: str, opened: MigrationContext, lying: Proxy, bucket: str, plain_s3: Any
) -> None:
    """Between our requests somebody changes the object; only metadata alone, right before the write, has no guard."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=BODY, Metadata={"state": "old"})
    writes: dict[str, Callable[[], Any]] = {
        "metadata": lambda: plain_s3.put_object(Bucket=bucket, Key="k", Body=BODY, Metadata={"state": "NEW"}),
        "content": lambda: plain_s3.put_object(Bucket=bucket, Key="k", Body=b"other", Metadata={"state": "NEW"}),
        "deleted": lambda: plain_s3.delete_object(Bucket=bucket, Key="k"),
    }

    def first(request: Request, ask: Callable[[], Answer]) -> Answer:
        if request.method == moment and not _by_botocore(request):
            lying.fault = None
            writes[change]()
        return ask()

    lying.fault = first
    outcome = _do(opened, plain_s3, bucket, "k")
    if (change, moment) == ("metadata", "PUT"):
        assert any("no versions are kept" in note for note in outcome.notes)
        return
    assert outcome.result is (Result.GONE if change == "deleted" else Result.CHANGED)
    if change != "deleted":
        assert plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"state": "NEW"}


@pytest.mark.slow
def test_a_tag_that_was_added_meanwhile_is_seen(
    opened: MigrationContext, lying: Proxy, bucket: str, plain_s3: Any
) -> None:
    """Where a server counts tags in the answer to HEAD, the last look sees another number of them."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=BODY)

    def counted(request: Request, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        return (
            replace(answer, headers={**answer.headers, "x-amz-tagging-count": "1"})
            if request.method == "HEAD"
            else answer
        )

    lying.fault = counted
    outcome = _do(opened, plain_s3, bucket, "k")
    assert (outcome.result, "tags" in outcome.message) == (Result.CHANGED, True)


@pytest.mark.parametrize("token", [None, "session/token=="])
def test_the_signature_is_that_of_botocore(token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signature Version 4, compared with botocore's for the same request at the same second."""
    by = Credentials("AKIDEXAMPLE", "secret/+", token).get_frozen_credentials()
    headers = {
        "host": "bucket.s3.eu-west-1.amazonaws.com",
        "if-match": '"e"',
        "x-amz-meta-a": "b   c ",
        "x-amz-meta-e": "",
    }
    request = AWSRequest("PUT", "https://bucket.s3.eu-west-1.amazonaws.com/a%20b/~c", data=b"body", headers=headers)
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(by, "s3", "eu-west-1").add_auth(request)
    moment = time.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    monkeypatch.setattr("s3ec.exchanges.signature.time.gmtime", lambda: moment)
    sent = signed("PUT", "/a%20b/~c", "", headers, b"body", region="eu-west-1", by=by)
    assert sent["authorization"] == request.headers["Authorization"]
    assert sent.get("x-amz-security-token") == token


ANSWERS = {
    "another version": b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no header": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\n\r\nabc",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "too long": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(1000),
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "cut in its head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a cut chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "an odd chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nab",
    "a long chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
}


@contextlib.contextmanager
def _saying(*answers: bytes, certificate: Path | None = None) -> Iterator[Address]:
    """A server that gives each connection one of these answers, or several; https with a certificate.

    At ``CUT`` an answer is sent in two writes, which a connection of TLS makes a record each.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    client_tls = None
    if certificate is not None:
        server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_tls.load_cert_chain(certificate, certificate.with_suffix(".key"))
        listening = server_tls.wrap_socket(listening, server_side=True)
        client_tls = ssl.create_default_context(cafile=certificate)

    def serve() -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            for group in answers:
                connection, _ = listening.accept()
                connection.settimeout(30)
                opened.enter_context(connection)
                for answer in group.split(b"NEXT"):
                    connection.recv(2**16)
                    for piece in answer.split(b"CUT"):
                        connection.sendall(piece)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Address("127.0.0.1", listening.getsockname()[1], client_tls, 30, 30)
    finally:
        listening.close()
        # Wakes an accept that waits for a request that a failed test never sent.
        thread.join(30)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_not_understood_is_none(answer: bytes) -> None:
    """It ends the connection, and nothing of it is used."""
    connections = Connections()
    with _saying(answer) as address, pytest.raises(WireError):
        connections.exchange(address, b"GET / HTTP/1.1\r\n\r\n", at_most=100)
    assert not any(connections._idle.values())


def test_chunks_and_a_kept_connection() -> None:
    """Errors of S3 come in chunks; what is understood leaves the connection for the next request."""
    chunked = (
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n"
    )
    plain = b"HTTP/1.1 200 OK\r\nX-Amz-Meta-A:  b\r\nX-Amz-Meta-a: c\r\nContent-Length: 2\r\n\r\nok"
    connections = Connections()
    with _saying(chunked + b"NEXT" + plain) as address:
        first = connections.exchange(address, b"GET / HTTP/1.1\r\n\r\n")
        assert (first.status, first.body) == (404, b"abcde")
        second = connections.exchange(address, b"GET / HTTP/1.1\r\n\r\n")
        assert (second.named["x-amz-meta-a"], second.body) == ("b, c", b"ok")
    connections.close()


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system has no forks")
def test_a_forked_child_uses_connections_of_its_own() -> None:
    """Two processes on one connection would read each other's answers."""
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
    connections = Connections()
    with _saying(one) as address:
        connections.exchange(address, b"GET / HTTP/1.1\r\n\r\n")
        assert any(connections._idle.values())
        child = os.fork()
        if not child:
            os._exit(int(any(connections._idle.values())))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    connections.close()


@pytest.mark.parametrize("cut", [b"", b"CUT"], ids=["one write", "two writes"])
@pytest.mark.parametrize("length", [1, io.DEFAULT_BUFFER_SIZE, 12_000])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_bytes_that_nobody_asked_for_end_the_connection(tls: bool, length: int, cut: bytes, tmp_path: Path) -> None:
    """A second answer to one request would else be taken for the answer to the next request.

    It waits in the buffer that the first answer is read with, in TLS's record, or in the system's buffer.
    """

    def answer(letter: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s" % (length, cut, letter * length)

    certificate = write_certificate(tmp_path, "server.crt", "server.key") if tls else None
    surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"
    with _saying(answer(b"1") + surplus, answer(b"3"), certificate=certificate) as address:
        connections = Connections()
        assert connections.exchange(address, b"GET / HTTP/1.1\r\n\r\n").body == b"1" * length
        assert connections.exchange(address, b"GET / HTTP/1.1\r\n\r\n").body == b"3" * length
    connections.close()
