"""Server-side encryption through the encrypting client: what reaches the wire, on each operation that takes it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

import s3ec
from s3ec import DsseKms, EncryptionClient, KmsKeyring, SseC, SseKms, SseS3
from s3ec.errors import ConfigurationError

ARN = "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"
KEY = bytes(range(32))
CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
PREFIX = "x-amz-server-side-encryption"

MODES = [
    pytest.param(SseS3(), {PREFIX: b"AES256"}, id="s3"),
    pytest.param(SseKms(), {PREFIX: b"aws:kms"}, id="kms"),
    pytest.param(
        SseKms(ARN, context={"team": "hr"}, bucket_key=True),
        {
            PREFIX: b"aws:kms",
            f"{PREFIX}-aws-kms-key-id": ARN.encode(),
            f"{PREFIX}-context": b"eyJ0ZWFtIjoiaHIifQ==",
            f"{PREFIX}-bucket-key-enabled": b"true",
        },
        id="kms-all",
    ),
    pytest.param(DsseKms(ARN), {PREFIX: b"aws:kms:dsse", f"{PREFIX}-aws-kms-key-id": ARN.encode()}, id="dsse"),
]


class Sent:
    """The server-side headers of each request that a client sends, and how many requests there were."""

    def __init__(self, client: Any) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        client.meta.events.register("before-send.s3", self._record)

    def _record(self, request: Any, event_name: str, **_: Any) -> None:
        headers = {
            # Older versions of botocore write "True".
            name: b"true" if value == b"True" else value
            for name, value in request.headers.items()
            if "server-side-encryption" in name.lower()
        }
        self.requests.append((event_name.rpartition(".")[2], headers))

    def of(self, operation_name: str) -> list[dict[str, Any]]:
        """The server-side headers of every request of one operation."""
        return [headers for name, headers in self.requests if name == operation_name]


@pytest.mark.parametrize(("mode", "headers"), MODES)
def test_the_default_goes_where_objects_are_made(
    make_client: Callable[..., Any], bucket: str, mode: Any, headers: dict[str, bytes]
) -> None:
    """Puts and copies carry the client's mode; reads, deletes and listings carry nothing, and the object opens."""
    client = make_client(server_side_encryption=mode)
    sent = Sent(client)
    client.put_object(Bucket=bucket, Key="k", Body=b"content")
    client.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})
    assert client.get_object(Bucket=bucket, Key="c")["Body"].read() == b"content"
    client.head_object(Bucket=bucket, Key="c")
    client.list_objects_v2(Bucket=bucket)
    client.delete_object(Bucket=bucket, Key="c")
    assert sent.of("PutObject") == [headers]
    assert sent.of("CopyObject") == [headers]
    others = [found for name, found in sent.requests if name not in {"PutObject", "CopyObject"}]
    assert others
    assert not any(others)


def test_a_mode_of_the_request_wins_on_the_wire(make_client: Callable[..., Any], bucket: str) -> None:
    """Nothing of the default goes beside a mode that the request names."""
    client = make_client(server_side_encryption=SseKms(ARN, bucket_key=True))
    sent = Sent(client)
    client.put_object(Bucket=bucket, Key="k", Body=b"content", ServerSideEncryption="AES256")
    assert sent.of("PutObject") == [{PREFIX: b"AES256"}]


def test_the_instruction_file_is_stored_in_the_same_mode(make_client: Callable[..., Any], bucket: str) -> None:
    """What opens the object is protected as the object itself, by default and per request."""
    client = make_client(server_side_encryption=SseKms(ARN), instruction_file_writes=True)
    sent = Sent(client)
    client.put_object(Bucket=bucket, Key="k", Body=b"content")
    client.put_object(Bucket=bucket, Key="l", Body=b"content", ServerSideEncryption="aws:kms:dsse")
    kms = {PREFIX: b"aws:kms", f"{PREFIX}-aws-kms-key-id": ARN.encode()}
    assert sent.of("PutObject") == [kms, kms, {PREFIX: b"aws:kms:dsse"}, {PREFIX: b"aws:kms:dsse"}]


BAD: list[Any] = [
    pytest.param({"ServerSideEncryption": "aws:kms:dsse", "BucketKeyEnabled": True}, id="dsse-with-bucket-key"),
    pytest.param({"BucketKeyEnabled": True}, id="bucket-key-alone"),
    pytest.param({"SSEKMSKeyId": "k"}, id="key-without-a-mode"),
    pytest.param({"ServerSideEncryption": "AES256", "SSEKMSKeyId": "k"}, id="key-with-sse-s3"),
    pytest.param({"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": "e30"}, id="context-no-base64"),
    pytest.param({"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": "WzFd"}, id="context-no-map"),
    pytest.param(
        {"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": "eyJhIjoxfQ=="}, id="context-no-strings"
    ),
    pytest.param({"ServerSideEncryption": "rot13"}, id="unknown-mode"),
    pytest.param({**CUSTOMER, "ServerSideEncryption": "aws:kms"}, id="sse-c-with-kms"),
    pytest.param({**CUSTOMER, "SSECustomerKey": b"short"}, id="sse-c-short-key"),
    pytest.param({**CUSTOMER, "SSECustomerKeyMD5": "AAAA"}, id="sse-c-wrong-digest"),
    pytest.param(CUSTOMER, id="sse-c-over-http"),
]


@pytest.mark.parametrize("members", BAD)
@pytest.mark.parametrize("default", [None, SseKms(ARN)])
def test_bad_combinations_reach_neither_wire_nor_kms(
    make_client: Callable[..., Any], kms: Any, kms_key: str, bucket: str, members: dict[str, Any], default: Any
) -> None:
    """A bad combination is refused before S3 or the keyring hears of the request, on put, copy and create."""
    calls: list[str] = []
    kms.meta.events.register("before-send.kms", lambda event_name, **_: calls.append(event_name))
    client = make_client(keyring=KmsKeyring(kms_key, client=kms), server_side_encryption=default)
    sent = Sent(client)
    with pytest.raises(ConfigurationError):
        client.put_object(Bucket=bucket, Key="k", Body=b"content", **members)
    with pytest.raises(ConfigurationError):
        client.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"}, **members)
    with pytest.raises(ConfigurationError):
        client.create_multipart_upload(Bucket=bucket, Key="m", **members)
    assert not sent.requests
    assert not calls


@pytest.mark.parametrize("method", ["get_object", "head_object"])
@pytest.mark.parametrize(
    "members", [{"ServerSideEncryption": "AES256"}, {"SSEKMSKeyId": "k"}, {"BucketKeyEnabled": True}]
)
def test_reads_name_no_mode(make_client: Callable[..., Any], bucket: str, method: str, members: dict[str, Any]) -> None:
    """S3 answers 400 to a mode on a read; the client says so first."""
    client = make_client()
    sent = Sent(client)
    with pytest.raises(ConfigurationError, match="takes no"):
        getattr(client, method)(Bucket=bucket, Key="k", **members)
    assert not sent.requests


@pytest.mark.slow
@pytest.mark.parametrize("method", ["get_object", "head_object", "put_object", "delete_object"])
def test_a_customer_key_default_never_goes_over_http(make_client: Callable[..., Any], bucket: str, method: str) -> None:
    """With SSE-C as the default every request that would carry the key is refused over http; others work."""
    client = make_client(server_side_encryption=SseC(KEY), instruction_file_reads=False)
    sent = Sent(client)
    if method == "delete_object":
        client.delete_object(Bucket=bucket, Key="k")
        assert sent.of("DeleteObject") == [{}]
        return
    with pytest.raises(ConfigurationError, match="plain http"):
        getattr(client, method)(Bucket=bucket, Key="k")
    assert not sent.requests


def test_the_key_of_the_default_is_not_in_the_clients_repr(make_client: Callable[..., Any]) -> None:
    """Nothing that shows a client shows its SSE-C key."""
    client = make_client(server_side_encryption=SseC(KEY))
    options = type(client)._s3ec_options
    assert "SseC(key=<secret>)" in repr(options)
    assert repr(KEY) not in repr(options)


def test_a_post_form_carries_the_default(make_client: Callable[..., Any], bucket: str) -> None:
    """The fields and the signed policy of a presigned POST name the client's mode."""
    client = make_client(server_side_encryption=SseKms(ARN), presigned_uploads="allow")
    form = client.generate_presigned_post(bucket, "k")
    assert form["fields"][PREFIX] == "aws:kms"
    assert form["fields"][f"{PREFIX}-aws-kms-key-id"] == ARN


@pytest.mark.parametrize("signature", ["s3", "s3v4"])
def test_a_presigned_put_is_bound_to_the_default(make_client: Callable[..., Any], bucket: str, signature: str) -> None:
    """The mode is part of what a presigned upload's signature covers; a bad mode is refused when the URL is made."""
    client = make_client(
        server_side_encryption=SseKms(ARN), presigned_uploads="allow", config=Config(signature_version=signature)
    )
    place = {"Bucket": bucket, "Key": "k"}
    assert f"{PREFIX}-aws-kms-key-id" in client.generate_presigned_url("put_object", Params=place)
    assert PREFIX not in client.generate_presigned_url("get_object", Params=place)
    with pytest.raises(ConfigurationError):
        client.generate_presigned_url("put_object", Params={**place, "BucketKeyEnabled": True})


def test_a_silent_server_is_noticed(
    make_client: Callable[..., Any], bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A put whose answer does not name the mode asked for is a warning of the logger s3ec."""
    client = make_client(server_side_encryption=SseS3())
    client.put_object(Bucket=bucket, Key="k", Body=b"content")
    assert not [record for record in caplog.records if record.name == "s3ec" and record.levelname == "WARNING"]

    def drop(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        parsed.pop("ServerSideEncryption", None)

    client.meta.events.register("after-call.s3.PutObject", drop)
    client.put_object(Bucket=bucket, Key="k", Body=b"content")
    assert [record.levelname for record in caplog.records if record.name == "s3ec"] == ["WARNING"]
    assert isinstance(client, EncryptionClient)


@pytest.mark.slow
def test_transfers_carry_the_mode_on_every_request(make_client: Callable[..., Any], bucket: str) -> None:
    """An upload in parts and a managed copy name the default's mode where they begin, bucket key included."""
    mode = SseKms(ARN, bucket_key=True)
    client = make_client(server_side_encryption=mode)
    config = TransferConfig(multipart_threshold=5 * 1024**2, multipart_chunksize=5 * 1024**2)
    sent = Sent(client)
    client.upload_fileobj(io.BytesIO(bytes(6 * 1024**2)), bucket, "k", Config=config)
    client.copy({"Bucket": bucket, "Key": "k"}, bucket, "c", Config=config)
    wanted = {
        PREFIX: b"aws:kms",
        f"{PREFIX}-aws-kms-key-id": ARN.encode(),
        f"{PREFIX}-bucket-key-enabled": b"true",
    }
    assert sent.of("CreateMultipartUpload") == [wanted, wanted]
    assert not any(headers for name, headers in sent.requests if name != "CreateMultipartUpload")


@pytest.mark.parametrize("bad", [{"SSEKMSKeyId": "k"}, CUSTOMER], ids=["key-alone", "sse-c-over-http"])
@pytest.mark.parametrize("size", [10, 9 * 1024**2])
def test_bad_modes_stop_transfers(make_client: Callable[..., Any], bucket: str, bad: dict[str, Any], size: int) -> None:
    """A bad combination in ExtraArgs is refused before an upload or a copy has sent anything."""
    client = make_client()
    client.put_object(Bucket=bucket, Key="k", Body=b"content")
    sent = Sent(client)
    with pytest.raises(ConfigurationError):
        client.upload_fileobj(io.BytesIO(bytes(size)), bucket, "u", ExtraArgs=bad)
    with pytest.raises(ConfigurationError):
        client.copy({"Bucket": bucket, "Key": "k"}, bucket, "c", ExtraArgs=bad)
    assert not sent.requests


@pytest.mark.parametrize("size", [1, 100, 1024**2, 1024**2 + 1])
def test_small_uploads_report_their_progress(
    make_client: Callable[..., Any], bucket: str, tmp_path: Path, size: int
) -> None:
    """A body that is encrypted at once is counted when it is sent, in plaintext bytes."""
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    counted: list[int] = []
    make_client().upload_file(str(path), bucket, "k", Callback=counted.append)
    assert sum(counted) == size


def test_a_change_minds_no_default(make_client: Callable[..., Any], bucket: str) -> None:
    """An object's mode is changed by what the call says; the client's own default is neither read nor mixed in."""
    client = make_client(server_side_encryption=SseKms(ARN, bucket_key=True))
    client.put_object(Bucket=bucket, Key="k", Body=b"content")
    sent = Sent(client)
    change = s3ec.change_server_side_encryption(client, Bucket=bucket, Key="k", mode=SseS3())
    assert (change.before.name, change.after.name) == ("SSE-KMS", "SSE-S3")
    assert sent.of("CopyObject") == [{PREFIX: b"AES256"}]
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"
