"""Presigned requests: uploads that would store plaintext are refused, and the pair that does it right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

import s3ec
from s3ec import AesKeyring, PresignedUpload
from s3ec.errors import (
    ConfigurationError,
    EncryptionContextMismatchError,
    MultipartStateError,
    NotEncryptedError,
    UnsupportedOperationError,
)


@pytest.mark.parametrize("method", ["put_object", "upload_part", "create_multipart_upload", "select_object_content"])
def test_presigned_uploads_are_refused(make_client: Callable[..., Any], bucket: str, method: str) -> None:
    """Their holder would store plaintext where readers expect ciphertext."""
    with pytest.raises(UnsupportedOperationError):
        make_client().generate_presigned_url(method, Params={"Bucket": bucket, "Key": "k"})
    with pytest.raises(UnsupportedOperationError, match="presigned POST"):
        make_client().generate_presigned_post(bucket, "k")


def test_presigned_uploads_may_be_allowed(make_client: Callable[..., Any], bucket: str) -> None:
    """By an option with a name, and then they are boto3's."""
    client = make_client(presigned_uploads="allow")
    assert client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}).startswith("http")
    assert "url" in client.generate_presigned_post(bucket, "k")


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_the_holder_of_an_upload_encrypts(
    make_client: Callable[..., Any], plain_s3: Any, bucket: str, size: int
) -> None:
    """What is handed over as text uploads ciphertext, with the caller's metadata, that the client reads."""
    client = make_client()
    ticket = s3ec.presigned_upload(
        client, Bucket=bucket, Key="k", EncryptionContext={"team": "hr"}, Metadata={"mine": "1"}, ContentType="text/x"
    )
    body = b"s" * size
    etag = PresignedUpload.from_json(ticket.to_json()).send(body)
    raw = plain_s3.get_object(Bucket=bucket, Key="k")
    stored = raw["Body"].read()
    assert (len(stored), raw["ETag"], raw["ContentType"]) == (size + 16, etag, "text/x")
    assert size < 32 or b"s" * 32 not in stored
    answer = client.get_object(Bucket=bucket, Key="k", EncryptionContext={"team": "hr"})
    assert (answer["Body"].read(), answer["Metadata"]) == (body, {"mine": "1"})


def test_an_upload_is_used_once(make_client: Callable[..., Any], bucket: str) -> None:
    """Neither the object in hand nor a copy of it can store a second plaintext under the same key."""
    ticket = s3ec.presigned_upload(make_client(), Bucket=bucket, Key="k")
    copy = PresignedUpload.from_json(ticket.to_json())
    ticket.send(b"first")
    with pytest.raises(MultipartStateError, match="used already"):
        ticket.send(b"second")
    with pytest.raises(ClientError) as caught:
        copy.send(b"second")
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"


def test_a_ticket_shows_no_secret(make_client: Callable[..., Any], bucket: str) -> None:
    """Neither the key nor the signed URL is in its repr, and foreign text is refused."""
    ticket = s3ec.presigned_upload(make_client(), Bucket=bucket, Key="k")
    assert ticket.cipher.key.reveal().hex() not in repr(ticket)
    assert "Signature" not in repr(ticket)
    for text in ("", "{}", '{"url": 5}', "[]"):
        with pytest.raises(ConfigurationError):
            PresignedUpload.from_json(text)


def test_refusals_of_the_upload(make_client: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
    """A plain client, reserved metadata and instruction files are refused."""
    with pytest.raises(ConfigurationError, match="EncryptionClient"):
        s3ec.presigned_upload(plain_s3, Bucket=bucket, Key="k")
    with pytest.raises(ConfigurationError, match="reserved"):
        s3ec.presigned_upload(make_client(), Bucket=bucket, Key="k", Metadata={"x-amz-3": "a"})
    with pytest.raises(UnsupportedOperationError, match="instruction"):
        s3ec.presigned_upload(make_client(instruction_file_writes=True), Bucket=bucket, Key="k")


def test_a_presigned_download_is_decrypted_locally(make_client: Callable[..., Any], bucket: str) -> None:
    """The URL gives ciphertext; a keyring opens it, verified, with the context compared."""
    client = make_client(keyring=AesKeyring(b"k" * 32))
    data = b"plaintext" * 100_000
    client.put_object(Bucket=bucket, Key="k", Body=data)
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    with s3ec.decrypt_presigned(url, keyring=AesKeyring(b"k" * 32)) as body:
        assert body.read() == data
    with pytest.raises(TypeError, match="bogus"):
        s3ec.decrypt_presigned(url, keyring=AesKeyring(b"k" * 32), bogus=1)


def test_refusals_of_the_download(make_client: Callable[..., Any], plain_s3: Any, kms: Any, bucket: str) -> None:
    """A wrong context, an object that nobody encrypted and an absent one each have their own error."""
    client = make_client()
    client.put_object(Bucket=bucket, Key="k", Body=b"x", EncryptionContext={"team": "hr"})
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    keyring = client._s3ec_wire.options.keyring

    def url(key: str) -> str:
        return str(client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}))

    with pytest.raises(EncryptionContextMismatchError):
        s3ec.decrypt_presigned(url("k"), keyring=keyring)
    with pytest.raises(NotEncryptedError):
        s3ec.decrypt_presigned(url("plain"), keyring=keyring)
    with pytest.raises(ClientError) as caught:
        s3ec.decrypt_presigned(url("absent"), keyring=keyring)
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"


@pytest.mark.parametrize("event", ["provide-client-params", "before-parameter-build", "before-sign"])
def test_handlers_of_a_presigned_upload(make_client: Callable[..., Any], bucket: str, event: str) -> None:
    """Metadata of a handler goes beside content metadata; what would take that away is refused."""
    client = make_client()

    def replace(params: Any = None, request: Any = None, **_: Any) -> None:
        if request is None:
            params["Metadata"] = {"owner": "me"}
        else:
            del request.headers["x-amz-meta-x-amz-i"]

    client.meta.events.register(f"{event}.s3.PutObject", replace)
    if event == "before-sign":
        with pytest.raises(UnsupportedOperationError, match="x-amz-i"):
            s3ec.presigned_upload(client, Bucket=bucket, Key="k")
        return
    s3ec.presigned_upload(client, Bucket=bucket, Key="k").send(b"hello")
    answer = client.get_object(Bucket=bucket, Key="k")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"hello", {"owner": "me"})
