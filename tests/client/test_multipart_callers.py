"""Multipart uploads as boto3's own layers and common libraries drive them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import ProgressCallbackInvoker
from botocore.config import Config
from botocore.exceptions import ClientError
from s3transfer.manager import TransferConfig, TransferManager

import s3ec
from s3ec import AesKeyring
from s3ec.errors import MultipartStateError

from support.lying_s3 import LyingS3
from support.model import skip_unless_known
from support.one_shot import one_shot, sent_parts

MiB = 1024 * 1024
WRAPPING_KEY = bytes(range(32))


def stored_is(server: LyingS3, plaintext: bytes) -> None:
    """The object is what one call of AES-GCM gives."""
    stored = server.state.objects["b/k"]
    assert stored.body == one_shot(stored.metadata, WRAPPING_KEY, plaintext)


@pytest.mark.slow
@pytest.mark.parametrize("failures", [0, 2], ids=["at once", "with retries"])
@pytest.mark.parametrize("kind", ["file", "BytesIO", "stream"])
def test_transfer_manager(liar: LyingS3, lied_to: Callable[..., Any], tmp_path: Path, kind: str, failures: int) -> None:
    """s3transfer's manager, used directly: threads, retries, and progress that adds up to the plaintext exactly."""
    data = os.urandom(17 * MiB + 3)
    (tmp_path / "file").write_bytes(data)

    class Stream:
        def __init__(self) -> None:
            self._rest = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self._rest.read(size)

    body: Any = {"file": str(tmp_path / "file"), "BytesIO": io.BytesIO(data), "stream": Stream()}[kind]
    client = lied_to(liar, config=Config(retries={"mode": "standard", "max_attempts": 5}))
    liar.lies.fail_after_body = failures
    progress: list[int] = []
    with TransferManager(client, TransferConfig(max_request_concurrency=4)) as manager:
        manager.upload(body, "b", "k", subscribers=[ProgressCallbackInvoker(progress.append)]).result()
    stored_is(liar, data)
    assert sum(progress) == len(data)
    bodies: dict[int, set[bytes]] = {}
    for number, sent in sent_parts(liar.state, "upload-1"):
        bodies.setdefault(number, set()).add(sent)
    assert all(len(different) == 1 for different in bodies.values())


def test_progress_of_parts_that_wait(http_liar: LyingS3, lied_to: Callable[..., Any], tmp_path: Path) -> None:
    """A file whose last part is short: the part is held back, and counted all the same."""
    (tmp_path / "file").write_bytes(os.urandom(6 * MiB))
    progress: list[int] = []
    with TransferManager(lied_to(http_liar), TransferConfig(multipart_threshold=1, multipart_chunksize=5 * MiB)) as m:
        m.upload(str(tmp_path / "file"), "b", "k", subscribers=[ProgressCallbackInvoker(progress.append)]).result()
    assert sum(progress) == 6 * MiB
    stored_is(http_liar, (tmp_path / "file").read_bytes())


@pytest.mark.slow
def test_a_transfer_that_fails_is_aborted(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """s3transfer aborts what it could not finish; nothing of it stays, here or in S3."""
    client = lied_to(http_liar, config=Config(retries={"total_max_attempts": 1}))
    http_liar.lies.fail_after_body = 1
    with TransferManager(client) as manager, pytest.raises(ClientError, match="InternalError"):
        manager.upload(io.BytesIO(os.urandom(17 * MiB)), "b", "k").result()
    assert http_liar.state.uploads == {}
    assert "upload-1" not in client._s3ec_uploads


def test_the_resource(http_liar: LyingS3) -> None:
    """boto3's object-oriented way: initiate_multipart_upload, Part().upload, complete."""
    arguments = http_liar.arguments()
    credentials = {name: arguments.pop(name) for name in ("aws_access_key_id", "aws_secret_access_key", "region_name")}
    session = s3ec.Session(keyring=AesKeyring(WRAPPING_KEY), **credentials)
    upload = session.resource("s3", **arguments).Object("b", "k").initiate_multipart_upload()
    data = os.urandom(6 * MiB)
    parts = [
        {"PartNumber": number, "ETag": upload.Part(number).upload(Body=piece)["ETag"]}
        for number, piece in enumerate((data[: 5 * MiB + 1], data[5 * MiB + 1 :]), start=1)
    ]
    upload.complete(MultipartUpload={"Parts": parts})
    stored_is(http_liar, data)


@pytest.mark.parametrize("size", [0, 10, 5 * MiB - 1, 5 * MiB, 12 * MiB + 1])
def test_a_writer_that_buffers(http_liar: LyingS3, lied_to: Callable[..., Any], size: int) -> None:
    """The calls of smart_open: BytesIO bodies one after the other, each tried again on an error, a last short one."""
    client = lied_to(http_liar, config=Config(retries={"total_max_attempts": 1}))
    data = os.urandom(size)
    place = {"Bucket": "b", "Key": "k"}
    place["UploadId"] = client.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, begin in enumerate(range(0, max(size, 1), 5 * MiB), start=1):
        http_liar.lies.fail_after_body = 1
        for _ in range(2):
            try:
                body = io.BytesIO(data[begin : begin + 5 * MiB])
                answer = client.upload_part(**place, PartNumber=number, Body=body)
                break
            except ClientError:
                continue
        parts.append({"ETag": answer["ETag"], "PartNumber": number})
    http_liar.lies.fail_after_body = 0
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    stored_is(http_liar, data)


def test_foreign_copies(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """A managed copy by a foreign TransferManager, in parts: each is read, verified, and encrypted again."""
    client = lied_to(http_liar)
    data = os.urandom(2 * MiB)
    client.put_object(Bucket="b", Key="source", Body=data)
    config = TransferConfig(multipart_threshold=MiB, multipart_chunksize=MiB)
    with TransferManager(client, config) as manager:
        manager.copy({"Bucket": "b", "Key": "source"}, "b", "k").result()
    stored_is(http_liar, data)
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == data


class TestOnMoto:
    """What moto knows and the lying server does not: small parts, conditions, checksums, listings."""

    def _upload(self, client: Any, bucket: str, sizes: list[int], **create: Any) -> tuple[dict[str, Any], bytes]:
        place = {"Bucket": bucket, "Key": "k"}
        place["UploadId"] = client.create_multipart_upload(**place, **create)["UploadId"]
        pieces = [os.urandom(size) for size in sizes]
        parts = []
        for number, piece in enumerate(pieces, start=1):
            answer = client.upload_part(**place, PartNumber=number, Body=piece)
            assert not [name for name in answer if name.startswith("Checksum")]
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        return {**place, "MultipartUpload": {"Parts": parts}}, b"".join(pieces)

    @pytest.mark.parametrize("algorithm", [None, "CRC32", "SHA256"])
    def test_the_answer(self, make_client: Callable[..., Any], bucket: str, algorithm: str | None) -> None:
        """The answer speaks of plaintext: no checksum of ciphertext, and what the object is."""
        client = make_client()
        create = {"EncryptionContext": {"team": "hr"}} | ({"ChecksumAlgorithm": algorithm} if algorithm else {})
        request, data = self._upload(client, bucket, [5 * MiB, 7], **create)
        answer = client.complete_multipart_upload(**request)
        assert not [name for name in answer if name.startswith("Checksum")]
        assert answer["ResponseMetadata"]["ClientSideEncryption"]["encryption_context"] == {"team": "hr"}
        read = client.get_object(Bucket=bucket, Key="k", EncryptionContext={"team": "hr"})
        assert read["Body"].read() == data
        assert read["ETag"] == answer["ETag"]

    def test_small_parts_in_the_middle(self, make_client: Callable[..., Any], bucket: str) -> None:
        """A short part that is not the last is S3's to refuse, when the upload is completed."""
        client = make_client()
        request, _ = self._upload(client, bucket, [10, 5 * MiB])
        with pytest.raises(ClientError, match="EntityTooSmall"):
            client.complete_multipart_upload(**request)

    def test_conditions(self, make_client: Callable[..., Any], bucket: str) -> None:
        """IfNoneMatch reaches S3, and its 412 reaches the caller as it is; without it the upload still completes."""
        skip_unless_known("CompleteMultipartUpload", "IfNoneMatch")
        client = make_client()
        client.put_object(Bucket=bucket, Key="k", Body=b"there already")
        request, data = self._upload(client, bucket, [5 * MiB, 10])
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.complete_multipart_upload(**request, IfNoneMatch="*")
        assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"there already"
        client.complete_multipart_upload(**request)
        assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == data

    @pytest.mark.slow
    def test_a_list_from_list_parts(self, make_client: Callable[..., Any], bucket: str) -> None:
        """The parts as S3 lists them may be given too, with the checksums that S3 answers there."""
        client = make_client()
        request, data = self._upload(client, bucket, [5 * MiB, 5 * MiB])
        place = {name: request[name] for name in ("Bucket", "Key", "UploadId")}
        names = ("PartNumber", "ETag")
        listed = [
            {name: value for name, value in part.items() if name in names or name.startswith("Checksum")}
            for part in client.list_parts(**place)["Parts"]
        ]
        client.complete_multipart_upload(**place, MultipartUpload={"Parts": listed})
        assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == data

    @pytest.mark.slow
    def test_another_client(self, make_client: Callable[..., Any], bucket: str, aws: dict[str, Any]) -> None:
        """An upload that a plain client began gets no part from us, nor one of ours from it."""
        client, plain = make_client(), boto3.client("s3", **aws)
        place = {"Bucket": bucket, "Key": "k"}
        theirs = plain.create_multipart_upload(**place)["UploadId"]
        with pytest.raises(MultipartStateError):
            client.upload_part(**place, UploadId=theirs, PartNumber=1, Body=b"plaintext")
        assert "Parts" not in plain.list_parts(**place, UploadId=theirs)
        plain.close()
