"""An object that is bound to its place opens nowhere else, whichever door it is read through."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

import s3ec
from s3ec import STORED_CONTEXT, KmsKeyring
from s3ec.errors import ConfigurationError, EncryptionContextMismatchError, S3ECError, UnsupportedOperationError

MINE, OTHERS = "salary/alice", "salary/mallory"


@pytest.fixture
def swapped(bucket: str, make_client: Callable[..., Any], plain_s3: Any) -> Callable[..., Any]:
    """Two bound objects, of which somebody has put one in the other's place; gives a client that reads."""
    bound = make_client(bind_object=True)
    bound.put_object(Bucket=bucket, Key=OTHERS, Body=b"mallory: 1000000")
    plain_s3.copy_object(Bucket=bucket, Key=MINE, CopySource=f"{bucket}/{OTHERS}")
    return make_client


def through_get(client: Any, **place: Any) -> bytes:
    """get_object."""
    return client.get_object(**place)["Body"].read()


def through_range(client: Any, **place: Any) -> bytes:
    """A verified range."""
    return client.get_object(**place, Range="bytes=0-3")["Body"].read()


def through_open(client: Any, **place: Any) -> bytes:
    """A file on the object."""
    with s3ec.open(client, **place) as file:
        return file.read()


def through_download(client: Any, *, Bucket: str, Key: str, **extra: Any) -> bytes:  # noqa: N803 - boto3's names
    """A managed download."""
    target = io.BytesIO()
    client.download_fileobj(Bucket, Key, target, ExtraArgs=extra)
    return target.getvalue()


def through_url(client: Any, *, EncryptionContext: Any = None, **place: Any) -> bytes:  # noqa: N803 - the client's name
    """A presigned URL."""
    url = client.generate_presigned_url("get_object", Params=place)
    keyring = client._s3ec_wire.options.keyring
    return s3ec.decrypt_presigned(url, keyring=keyring, EncryptionContext=EncryptionContext, **place).read()


DOORS = [through_get, through_range, through_open, through_download, through_url]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("bind_object", [False, True])
def test_the_stored_context(
    door: Callable[..., bytes], bind_object: bool, swapped: Callable[..., Any], bucket: str, kms: Any
) -> None:
    """Taking the stored context as it is does not take another object's ARN; no key is asked for."""
    client = swapped(bind_object=bind_object)
    client.put_object(Bucket=bucket, Key="own", Body=b"alice: 1")
    calls: list[str] = []
    kms.meta.events.register("before-call.kms.Decrypt", lambda model, **_: calls.append(model.name))
    with pytest.raises(EncryptionContextMismatchError):
        door(client, Bucket=bucket, Key=MINE, EncryptionContext=STORED_CONTEXT)
    assert calls == []
    for key in ("own", OTHERS):
        assert door(client, Bucket=bucket, Key=key, EncryptionContext=STORED_CONTEXT)[:3] in (b"ali", b"mal")


def test_the_way_out(swapped: Callable[..., Any], bucket: str) -> None:
    """Who says the pair in person may read a moved object; the error says so."""
    client = swapped()
    with pytest.raises(EncryptionContextMismatchError, match=r"give its pairs as EncryptionContext, aws:s3:arn"):
        through_get(client, Bucket=bucket, Key=MINE, EncryptionContext=STORED_CONTEXT)
    context = {"aws:s3:arn": f"arn:aws:s3:::{bucket}/{OTHERS}"}
    assert through_get(client, Bucket=bucket, Key=MINE, EncryptionContext=context) == b"mallory: 1000000"


@pytest.mark.parametrize(
    ("stored", "opens"),
    [
        ("arn:aws:s3:::{bucket}/k", True),
        ("arn:aws-cn:s3:::{bucket}/k", True),
        ("arn:aws:s3:::{bucket}/k/", False),
        ("arn:aws:s3:::{bucket}/other", False),
        ("arn:aws:s3:::another/k", False),
        ("arn:aws:s3:us-east-1:123456789012:accesspoint/pay/object/k", False),
        ("arn:aws:s3:::{bucket}", True),
        ("arn:aws:s3:::{bucket}/", True),
        ("arn:aws:s3:us-east-1:123456789012:accesspoint/pay", True),
        ("somebody's own", True),
        ("", True),
    ],
)
def test_shapes(stored: str, opens: bool, bucket: str, make_client: Callable[..., Any]) -> None:
    """ARNs of objects are compared, whichever partition they name; other values of the pair mean other things."""
    client = make_client()
    client.put_object(
        Bucket=bucket, Key="k", Body=b"x", EncryptionContext={"aws:s3:arn": stored.format(bucket=bucket), "team": "hr"}
    )
    if opens:
        assert through_get(client, Bucket=bucket, Key="k", EncryptionContext=STORED_CONTEXT) == b"x"
        return
    with pytest.raises(EncryptionContextMismatchError):
        through_get(client, Bucket=bucket, Key="k", EncryptionContext=STORED_CONTEXT)


class TestPresigned:
    """Who reads through a URL alone."""

    @pytest.mark.slow
    def test_bind_object(self, swapped: Callable[..., Any], bucket: str, kms_key: str, kms: Any) -> None:
        """It needs the place, and holds it."""
        client = swapped(bind_object=True)
        client.put_object(Bucket=bucket, Key="own", Body=b"alice: 1")
        url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "own"})
        options: dict[str, Any] = {"keyring": KmsKeyring(kms_key, client=kms), "bind_object": True}
        for place in ({}, {"Bucket": bucket}, {"Key": "own"}):
            with pytest.raises(ConfigurationError, match="Bucket and Key"):
                s3ec.decrypt_presigned(url, **place, **options)
        assert s3ec.decrypt_presigned(url, Bucket=bucket, Key="own", **options).read() == b"alice: 1"
        url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": MINE})
        for context in (None, STORED_CONTEXT):
            with pytest.raises(EncryptionContextMismatchError):
                s3ec.decrypt_presigned(url, Bucket=bucket, Key=MINE, EncryptionContext=context, **options)

    def test_without_the_place(self, swapped: Callable[..., Any], bucket: str, kms_key: str, kms: Any) -> None:
        """The stored context of a bound object is not taken on trust; that of another object is."""
        client, keyring = swapped(), KmsKeyring(kms_key, client=kms)
        client.put_object(Bucket=bucket, Key="plain", Body=b"x", EncryptionContext={"team": "hr"})
        urls = [
            client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
            for key in (OTHERS, "plain")
        ]
        with pytest.raises(EncryptionContextMismatchError, match="Bucket and Key"):
            s3ec.decrypt_presigned(urls[0], keyring=keyring, EncryptionContext=STORED_CONTEXT)
        assert s3ec.decrypt_presigned(urls[1], keyring=keyring, EncryptionContext=STORED_CONTEXT).read() == b"x"

    @pytest.mark.parametrize(
        "option",
        [
            {"unencrypted_objects": "allow"},
            {"enable_unauthenticated_ranges": True},
            {"verified_range_limit": 1},
            {"instruction_file_reads": False},
            {"instruction_file_writes": True},
            {"presigned_uploads": "allow"},
            {"server_side_encryption": s3ec.SseS3()},
            {"algorithm_suite": s3ec.AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY},
        ],
        ids=lambda option: next(iter(option)),
    )
    def test_options_without_effect(self, option: dict[str, Any]) -> None:
        """What this door does not do is refused by name, before any request."""
        with pytest.raises(ConfigurationError, match=next(iter(option))):
            s3ec.decrypt_presigned("http://127.0.0.1:9/b/k", keyring=s3ec.AesKeyring(bytes(32)), **option)

    @pytest.mark.slow
    def test_a_long_refusal(self) -> None:
        """Of an answer that says no, only the beginning is read."""
        sent = []

        class Endless(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
                self.send_response(403)
                self.send_header("Content-Length", str(2**40))
                self.end_headers()
                try:
                    self.wfile.write(b"<Error><Code>AccessDenied</Code>")
                    while True:
                        sent.append(self.wfile.write(bytes(2**16)))
                except OSError:
                    pass

            do_PUT = do_GET  # noqa: N815 - the name is http.server's

            def log_message(self, *_: Any) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Endless) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            with pytest.raises(ClientError, match="AccessDenied"):
                s3ec.decrypt_presigned(
                    f"http://127.0.0.1:{server.server_address[1]}/b/k", keyring=s3ec.AesKeyring(bytes(32))
                )
            server.shutdown()
            thread.join()
        assert sum(sent) < 64 * 2**20


@pytest.fixture
def in_file(bucket: str, make_client: Callable[..., Any]) -> Any:
    """A client that keeps the data keys of its bound objects in instruction files."""
    client = make_client(bind_object=True, instruction_file_writes=True)
    client.put_object(Bucket=bucket, Key="a", Body=b"x")
    return client


def test_copies_of_an_object_with_an_instruction_file(bucket: str, in_file: Any, plain_s3: Any) -> None:
    """The copy would open for nobody: refused, with nothing left behind; onto itself it is allowed."""
    source = {"Bucket": bucket, "Key": "a"}
    for copy in (
        lambda: in_file.copy_object(Bucket=bucket, Key="b", CopySource=source),
        lambda: in_file.copy(source, bucket, "b"),
    ):
        with pytest.raises(UnsupportedOperationError, match="bound to its name"):
            copy()
    assert [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "a.instruction"]
    in_file.copy_object(Bucket=bucket, Key="a", CopySource=source, MetadataDirective="REPLACE", Metadata={"own": "1"})
    assert through_get(in_file, Bucket=bucket, Key="a") == b"x"


def test_an_instruction_file_of_another_place(bucket: str, in_file: Any, plain_s3: Any, make_client: Any) -> None:
    """Copied along by somebody, both do not open."""
    for suffix in ("", ".instruction"):
        plain_s3.copy_object(Bucket=bucket, Key=f"b{suffix}", CopySource=f"{bucket}/a{suffix}")
    for client in (in_file, make_client()):
        with pytest.raises(S3ECError) as refused:
            through_get(client, Bucket=bucket, Key="b", EncryptionContext=STORED_CONTEXT)
        assert isinstance(refused.value, EncryptionContextMismatchError)
