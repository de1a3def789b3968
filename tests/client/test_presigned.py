"""Presigned requests: uploads that would store plaintext are refused, and the pair that does it right."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    SourceChangedError,
    UnsupportedOperationError,
)

from support.forking import forks, refused_in_child


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


@pytest.mark.slow
def test_an_upload_is_used_once(make_client: Callable[..., Any], bucket: str) -> None:
    """The object in hand stores one plaintext, and S3 takes none from another process that has the text."""
    ticket = s3ec.presigned_upload(make_client(), Bucket=bucket, Key="k")
    script = "import s3ec, sys; s3ec.PresignedUpload.from_json(sys.stdin.read()).send(b'second')"
    text = ticket.to_json()
    used = PresignedUpload.from_json(text)
    used.send(b"first")
    with pytest.raises(MultipartStateError, match="used already"):
        used.send(b"second")
    ended = subprocess.run([sys.executable, "-c", script], input=text, capture_output=True, text=True, check=False)
    assert "(PreconditionFailed)" in ended.stderr


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
    """Metadata of a handler goes beside content metadata; what would take that away is refused.

    They know that the request is signed and not sent, as botocore has them know.
    """
    client = make_client()
    presigned: list[bool] = []

    def replace(params: Any = None, request: Any = None, context: Any = None, **_: Any) -> None:
        if request is None:
            presigned.append(context.get("is_presign_request", False))
            params["Metadata"] = {"owner": "me"}
        else:
            del request.headers["x-amz-meta-x-amz-i"]

    client.meta.events.register(f"{event}.s3.PutObject", replace)
    if event == "before-sign":
        with pytest.raises(UnsupportedOperationError, match="x-amz-i"):
            s3ec.presigned_upload(client, Bucket=bucket, Key="k")
        return
    s3ec.presigned_upload(client, Bucket=bucket, Key="k").send(b"hello")
    client.put_object(Bucket=bucket, Key="other", Body=b"")
    assert presigned == [True, False]
    answer = client.get_object(Bucket=bucket, Key="k")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"hello", {"owner": "me"})


class Meeting:
    """A body that waits in `tell` until another one is there too, as two threads that send at once."""

    def __init__(self, data: bytes, barrier: threading.Barrier) -> None:
        self._file, self._barrier = io.BytesIO(data), barrier

    def tell(self) -> int:
        """Wait for the other one, which may never come."""
        with contextlib.suppress(threading.BrokenBarrierError):
            self._barrier.wait(1)
        return self._file.tell()

    def seek(self, *place: int) -> int:
        """As a file."""
        return self._file.seek(*place)

    def read(self, size: int = -1) -> bytes:
        """As a file."""
        return self._file.read(size)


class TestOneUse:
    """No second body is encrypted under the key of a ticket, whichever way somebody comes by a second ticket."""

    @pytest.fixture
    def ticket(self, make_client: Callable[..., Any], bucket: str) -> PresignedUpload:
        """A ticket that S3 itself would take any number of times."""
        return s3ec.presigned_upload(make_client(), Bucket=bucket, Key="k", overwrite=True)

    @pytest.mark.slow
    def test_two_threads(self, ticket: PresignedUpload) -> None:
        """One is refused before its body is touched."""
        barrier = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            sent = [pool.submit(ticket.send, Meeting(data, barrier)) for data in (b"first one", b"other one")]
        assert sorted(type(each.exception()) for each in sent if each.exception()) == [MultipartStateError]

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"])
    def test_copies(self, ticket: PresignedUpload, copied: Callable[[Any], Any]) -> None:
        """Refused."""
        with pytest.raises(TypeError, match="used once"):
            copied(ticket)

    @pytest.mark.slow
    def test_another_object_of_the_same_key(self, ticket: PresignedUpload) -> None:
        """Refused, whether made by hand or read twice."""
        by_hand = PresignedUpload(ticket.url, ticket.headers, ticket.cipher)
        replaced = dataclasses.replace(ticket)
        text = ticket.to_json()
        read, again = PresignedUpload.from_json(text), PresignedUpload.from_json(text)
        read.send(b"first")
        for other in (by_hand, replaced, again):
            with pytest.raises(MultipartStateError, match="used already"):
                other.send(b"second")
            with pytest.raises(MultipartStateError, match="used already"):
                other.to_json()

    def test_text_after_use_and_use_after_text(self, make_client: Callable[..., Any], bucket: str) -> None:
        """Whoever has the text has the ticket."""
        used, given = (s3ec.presigned_upload(make_client(), Bucket=bucket, Key=key) for key in "ab")
        used.send(b"first")
        with pytest.raises(MultipartStateError, match="used already"):
            used.to_json()
        given.to_json()
        for use in (lambda: given.send(b"second"), given.to_json):
            with pytest.raises(MultipartStateError, match="handed over"):
                use()

    @forks
    @pytest.mark.parametrize("use", [lambda ticket: ticket.send(b"child"), lambda ticket: ticket.to_json()])
    def test_a_forked_process(self, ticket: PresignedUpload, use: Callable[[Any], Any]) -> None:
        """Belongs to the parent."""
        assert refused_in_child(lambda: use(ticket), MultipartStateError)
        ticket.send(b"parent")

    def test_a_refused_body_costs_nothing(self, ticket: PresignedUpload) -> None:
        """What is not a body encrypts nothing, and the ticket is still good."""
        with pytest.raises((TypeError, ValueError)):
            ticket.send(5)
        assert ticket.send(b"body")

    def test_a_source_that_shrinks(self, ticket: PresignedUpload) -> None:
        """Is our error, and the ticket is used up."""

        class Shrinking(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                return super().read(size) if self.tell() < 100_000 else b""

        with pytest.raises(SourceChangedError):
            ticket.send(Shrinking(bytes(70_000_000)))
        with pytest.raises(MultipartStateError, match="used already"):
            ticket.send(b"body")
