"""boto3's own second faces: the resource API and ``S3Transfer``."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import S3Transfer, TransferConfig
from botocore.exceptions import ClientError

from s3ec import EncryptionClient

pytestmark = pytest.mark.library

MIB = 1024 * 1024
LARGE = random.Random(1).randbytes(9 * MIB + 17)
SMALL = b"a few words that are nobody's business but ours"

AssertCiphertext = Callable[[str, bytes], None]


class TestResource:
    """``session.resource("s3")``."""

    def test_object_put_and_get(self, resource: Any, bucket: str, assert_ciphertext: AssertCiphertext) -> None:
        """``Object.put`` encrypts, ``Object.get`` decrypts, and attributes describe the plaintext."""
        entry = resource.Object(bucket, "note")
        entry.put(Body=SMALL, Metadata={"author": "me"}, ContentType="text/plain")
        assert_ciphertext("note", SMALL)
        assert entry.get()["Body"].read() == SMALL
        entry.reload()
        assert (entry.content_length, entry.metadata, entry.content_type) == (
            len(SMALL),
            {"author": "me"},
            "text/plain",
        )

    @pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
    def test_bucket_files(
        self, resource: Any, bucket: str, tmp_path: Path, content: bytes, assert_ciphertext: AssertCiphertext
    ) -> None:
        """``Bucket.upload_file`` and ``Bucket.download_file`` carry files of any size."""
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(content)
        resource.Bucket(bucket).upload_file(str(source), "file")
        assert_ciphertext("file", content)
        resource.Bucket(bucket).download_file("file", str(target))
        assert target.read_bytes() == content

    def test_object_file_objects(self, resource: Any, bucket: str, assert_ciphertext: AssertCiphertext) -> None:
        """``Object.upload_fileobj`` and ``download_fileobj`` do so with open files, and count plaintext bytes."""
        counted: list[int] = []
        resource.Object(bucket, "file").upload_fileobj(io.BytesIO(LARGE), Callback=counted.append)
        assert_ciphertext("file", LARGE)
        assert sum(counted) == len(LARGE)
        target = io.BytesIO()
        resource.Bucket(bucket).download_fileobj("file", target)
        assert target.getvalue() == LARGE

    def test_filter_and_delete(
        self, resource: Any, bucket: str, plain_s3: Any, assert_ciphertext: AssertCiphertext
    ) -> None:
        """``objects.filter(Prefix=...).delete()`` removes these objects and no others."""
        for key in ("old/1", "old/2", "new/1"):
            resource.Object(bucket, key).put(Body=SMALL)
            assert_ciphertext(key, SMALL)
        resource.Bucket(bucket).objects.filter(Prefix="old/").delete()
        assert [entry.key for entry in resource.Bucket(bucket).objects.all()] == ["new/1"]
        listed = plain_s3.list_objects_v2(Bucket=bucket)
        assert [entry["Key"] for entry in listed["Contents"]] == ["new/1"]

    def test_multipart_upload(self, resource: Any, bucket: str, assert_ciphertext: AssertCiphertext) -> None:
        """``initiate_multipart_upload`` and its ``Part`` objects make one encrypted object."""
        entry = resource.Object(bucket, "parts")
        upload = entry.initiate_multipart_upload()
        pieces = [LARGE[: 5 * MIB], LARGE[5 * MIB :]]
        parts = [
            {"PartNumber": number, "ETag": upload.Part(number).upload(Body=piece)["ETag"]}
            for number, piece in enumerate(pieces, 1)
        ]
        upload.complete(MultipartUpload={"Parts": parts})
        assert_ciphertext("parts", LARGE)
        assert entry.get()["Body"].read() == LARGE

    def test_copy(self, resource: Any, bucket: str, assert_ciphertext: AssertCiphertext) -> None:
        """``Object.copy_from`` leaves an object that opens under its new key."""
        resource.Object(bucket, "first").put(Body=SMALL)
        resource.Object(bucket, "second").copy_from(CopySource={"Bucket": bucket, "Key": "first"})
        assert_ciphertext("second", SMALL)
        assert resource.Object(bucket, "second").get()["Body"].read() == SMALL

    def test_missing(self, resource: Any, bucket: str) -> None:
        """A missing object raises boto3's own exceptions."""
        with pytest.raises(resource.meta.client.exceptions.NoSuchKey):
            resource.Object(bucket, "nothing").get()
        with pytest.raises(ClientError, match="404"):
            resource.Object(bucket, "nothing").load()

    def test_other_services_are_plain(self, session: boto3.Session, endpoint: str) -> None:
        """The session's clients of other services are boto3's."""
        other = session.client("kms", endpoint_url=endpoint)
        assert not isinstance(other, EncryptionClient)
        other.close()


class TestS3Transfer:
    """``boto3.s3.transfer.S3Transfer`` around the client."""

    def test_files(
        self, client: EncryptionClient, bucket: str, tmp_path: Path, assert_ciphertext: AssertCiphertext
    ) -> None:
        """Files above the multipart threshold travel both ways."""
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(LARGE)
        transfer = S3Transfer(client, TransferConfig(max_concurrency=4))
        transfer.upload_file(str(source), bucket, "file", extra_args={"Metadata": {"author": "me"}})
        assert_ciphertext("file", LARGE)
        transfer.download_file(bucket, "file", str(target))
        assert target.read_bytes() == LARGE
        assert client.head_object(Bucket=bucket, Key="file")["Metadata"] == {"author": "me"}
