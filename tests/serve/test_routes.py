"""Each of S3's operations finds its way, and what is none of them finds none: nothing is relayed that nobody knows."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from s3ec import AesKeyring, EncryptionClient
from s3ec.client.calls.operations import DESTRUCTIVE_ELSEWHERE, PASSED, REFUSED
from s3ec.serve import Server, ServeSettings
from s3ec.serve.assembly import make_server
from s3ec.serve.doors import Door, OneDoor
from s3ec.serve.refusals import RefusedError
from s3ec.serve.requests import Request, parse_target
from s3ec.serve.routes import Routes

from support.aws import REGION, client_arguments
from support.lying_s3 import LyingS3, lying_s3
from support.serving import CREDENTIALS, Raw, converse, running, status_and_code

MODEL = botocore.session.Session().get_service_model("s3")
SAME_PLACE = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}
"""Operations that HTTP cannot tell from another one, which is treated alike."""


def request(method: str, target: str, headers: dict[str, str] | None = None) -> Request:
    """A request as the connection would make it."""
    path, _, query = target.partition("?")
    return Request(method, path, query, headers or {}, io.BytesIO(), False, *parse_target(path, query))


def typical(name: str) -> Request:
    """The request that botocore makes of an operation, with all that it requires."""
    operation = MODEL.operation_model(name)
    path, _, query = operation.http["requestUri"].partition("?")
    members = operation.input_shape.members if operation.input_shape else {}
    required = operation.input_shape.required_members if operation.input_shape else []
    arguments, headers = [query] if query else [], {}
    for member in required:
        place = members[member].serialization
        if place.get("location") == "querystring":
            arguments.append(f"{place['name']}=1")
        elif place.get("location") == "header":
            headers[place["name"].lower()] = "1"
    path = path.replace("{Bucket}", "bucket").replace("{Key+}", "some/key")
    return request(operation.http["method"], f"{path}?{'&'.join(arguments)}", headers)


@pytest.mark.parametrize("name", sorted(MODEL.operation_names))
def test_every_operation_has_its_route(name: str):
    """Its own, or that of one which is treated in the same way."""
    routes = Routes.of_s3()
    if name == "WriteGetObjectResponse":  # of an endpoint of its own
        with pytest.raises(RefusedError):
            routes.find(typical(name))
        return
    found = routes.find(typical(name))
    alike = {name, SAME_PLACE.get(name, name), *(key for key, value in SAME_PLACE.items() if value == name)}
    assert found in alike
    if found != name:
        assert {found, name} <= PASSED


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("PUT", "/b/k?something-new", {}),
        ("PUT", "/b/k?ACL", {}),
        ("PUT", "/b/k?uploadId=1", {}),
        ("PUT", "/b/k?partNumber=1", {}),
        ("PUT", "/b/k?append&position=0", {}),
        ("PUT", "/b?x-id=1&something-new=1", {}),
        ("POST", "/b/k", {}),
        ("POST", "/b", {}),
        ("POST", "/b?uploads", {}),
        ("POST", "/b/k?uploads=1&select", {}),
        ("PATCH", "/b/k", {}),
        ("OPTIONS", "/b/k", {}),
        ("get", "/b/k", {}),
        ("PUT", "/", {}),
        ("DELETE", "/", {}),
        ("PUT", "/b/k?tagging", {"x-amz-copy-source": "b/other"}),
        ("PUT", "/b/k?uploadId=1", {"x-amz-copy-source": "b/other"}),
        ("PUT", "/b", {"x-amz-copy-source": "b/other"}),
        ("GET", "/b/k", {"x-amz-copy-source": "b/other"}),
        ("PUT", "/b/k?partNumber=1&uploadId=1", {"x-amz-rename-source": "b/other"}),
        ("PUT", "/b/k?partNumber=1&uploadId=1", {"x-amz-write-offset-bytes": "1"}),
    ],
)
def test_what_is_not_known_finds_no_way(method: str, target: str, headers: dict[str, str]):
    """A server that ignores what it does not know would take some of these for a put of plaintext."""
    with pytest.raises(RefusedError) as caught:
        Routes.of_s3().find(request(method, target, headers))
    assert caught.value.refusal.status == 501


def test_what_is_refused_reaches_nobody(serve: Callable[..., Server], plain_s3: Any, bucket: str):
    """Operations of the table, form uploads, and those that give S3 away, with a body each."""
    server = serve()
    plain_s3.put_object(Bucket=bucket, Key="some/key", Body=b"before")
    names = {*REFUSED, *DESTRUCTIVE_ELSEWHERE, "CreateSession"} - {"WriteGetObjectResponse"}
    names &= set(MODEL.operation_names)  # an older botocore knows fewer
    for each in (*(typical(name) for name in sorted(names)), request("POST", f"/{bucket}")):
        path = each.path.replace("/bucket", f"/{bucket}") + (f"?{each.query}" if each.query else "")
        raw = Raw(server.url, each.method, path, "UNSIGNED-PAYLOAD", dict(each.headers))
        answer = converse(server.url, raw.head("Connection: close", "Content-Length: 5") + b"plain")
        assert status_and_code(answer) == (501, "NotImplemented"), each
    assert plain_s3.get_object(Bucket=bucket, Key="some/key")["Body"].read() == b"before"


WORDS = st.sampled_from(
    ["uploads", "uploadId=1", "uploadId=BEGUN", "partNumber=1", "tagging", "acl", "delete", "list-type=2", "append",
     "x-id=PutObject", "versionId=1", "encryption", "renameObject", "select&select-type=2", "annotation",
     "annotationName=a", "policy"]
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(
        ["x-amz-copy-source", "x-amz-rename-source", "x-amz-write-offset-bytes", "x-amz-meta-a", "content-type",
         "x-amz-website-redirect-location", "x-amz-object-lock-mode", "content-encoding"]
    ),
    st.sampled_from(["1", "bucket/source", "gzip"]),
    max_size=2,
)  # fmt: skip
DOCUMENTS = frozenset({"tagging", "acl", "policy", "encryption"})
"""Arguments under which a body is a setting, and no content."""
SECRET = b"this-is-plaintext-that-nobody-may-see"
CRC = base64.b64encode(zlib.crc32(SECRET).to_bytes(4, "big")).decode()
CHUNKED = {"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(SECRET))}


@pytest.fixture(scope="module")
def fuzzed(_aws_environment: None) -> Iterator[tuple[Server, LyingS3, EncryptionClient]]:
    """An endpoint in front of an S3 that keeps what arrived."""
    with lying_s3() as lies:
        arguments = {**client_arguments(lies.url), "config": Config(retries={"total_max_attempts": 1})}
        with contextlib.closing(EncryptionClient(keyring=AesKeyring(bytes(range(32))), **arguments)) as client:
            settings = ServeSettings(credentials=CREDENTIALS, port=0)
            session = boto3.Session("testing", "testing", region_name=REGION)
            with running(make_server(settings, session, client, OneDoor(Door(client)))) as server:
                yield server, lies, client


TARGETS = st.sampled_from(
    ["", "/k", "/k/%C3%A9", "//k", "/k.instruction", "/a%2Fb", "/a+b", "/a%20b", "/../up", "/./k", "/k/", "/k%00", "/%",
     "/" + "x" * 1024, "/" + "%C3%A9" * 600]
)  # fmt: skip


def unsigned(raw: Raw) -> bytes:
    """The body as it is."""
    return SECRET


MODES: dict[str, tuple[str, dict[str, str], Callable[[Raw], bytes]]] = {
    "unsigned": ("UNSIGNED-PAYLOAD", {}, unsigned),
    "hash": (hashlib.sha256(SECRET).hexdigest(), {}, unsigned),
    "another hash": ("0" * 64, {}, unsigned),
    "no mode": ("", {}, unsigned),
    "signed chunks": ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", CHUNKED, lambda raw: raw.chunks(SECRET[:5], SECRET[5:])),
    "trailer": (
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        {**CHUNKED, "x-amz-trailer": "x-amz-checksum-crc32"},
        lambda raw: raw.chunks(SECRET, trailer={"x-amz-checksum-crc32": CRC}, sign=False),
    ),
    "chunks of another mode": ("UNSIGNED-PAYLOAD", CHUNKED, lambda raw: raw.chunks(SECRET)),
}


@given(
    method=st.sampled_from(["PUT", "POST", "DELETE", "GET", "HEAD", "PATCH"]),
    target=TARGETS,
    words=st.lists(WORDS, unique=True, max_size=3),
    headers=HEADERS,
    mode=st.sampled_from(sorted(MODES)),
    chunked=st.booleans(),
)
def test_no_request_lets_plaintext_through(
    fuzzed: tuple[Server, LyingS3, EncryptionClient], method: str, target: str, words: list[str],
    headers: dict[str, str], mode: str, chunked: bool,
):  # fmt: skip
    """Whatever is asked for, with whatever beside it and however it is framed: S3 sees no byte that may be content."""
    server, lies, client = fuzzed
    query = "&".join(words)
    if "BEGUN" in query:
        upload_id = client.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
        query = query.replace("BEGUN", upload_id)
    before = len(lies.state.attempts)
    payload, more, make = MODES[mode]
    raw = Raw(server.url, method, f"/bucket{target}?{query}".rstrip("?"), payload, {**headers, **more})
    body = make(raw)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    answer = converse(server.url, raw.head("Connection: close", framing) + data)
    assert answer.startswith(b"HTTP/1.1 ")
    for attempt in lies.state.attempts[before:]:
        path, _, query = attempt.path.partition("?")
        is_setting = path in ("/bucket", "/bucket/") or not DOCUMENTS.isdisjoint(query.split("&"))
        assert is_setting or SECRET[5:] not in attempt.body, (attempt.method, attempt.path)
