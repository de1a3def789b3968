"""What S3 would say: errors under its own codes, answers to parts that wait, uploads of several clients."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import s3ec
from s3ec import AesKeyring, EncryptionClient, SseC, SseKms
from s3ec.errors import MultipartStateError

from support.lying_s3 import LyingS3, lying_s3

PLACE = {"Bucket": "b", "Key": "k"}
KEY = bytes(range(32))


def begun(client: Any, **create: Any) -> dict[str, Any]:
    """An upload."""
    return {**PLACE, "UploadId": client.create_multipart_upload(**PLACE, **create)["UploadId"]}


def listed(*answers: dict[str, Any]) -> dict[str, Any]:
    """The list of parts that completes an upload."""
    return {"Parts": [{"PartNumber": number, "ETag": answer["ETag"]} for number, answer in enumerate(answers, 1)]}


class TestCodes:
    """Errors that S3 has a code for are S3's own, with the caller's operation in them."""

    @pytest.mark.parametrize(
        ("parts", "code"),
        [
            ([(1, "real"), (2, "real"), (3, "made up")], "InvalidPart"),
            ([(1, "real"), (2, "another")], "InvalidPart"),
            ([(2, "real"), (1, "real")], "InvalidPartOrder"),
            ([(1, "real"), (1, "real"), (2, "real")], "InvalidPartOrder"),
            ([(None, "real"), (2, "real")], "MalformedXML"),
        ],
        ids=["never given", "foreign etag", "order", "twice", "no number"],
    )
    def test_lists(self, make: Callable[..., Any], parts: list[tuple[int | None, str]], code: str) -> None:
        """A list that S3 would refuse; the right one completes the upload afterwards."""
        client = make()
        upload = begun(client)
        answers = [client.upload_part(**upload, PartNumber=number, Body=b"%d" % number) for number in (1, 2)]
        wrong = []
        for number, etag in parts:
            known = answers[number - 1]["ETag"] if number in (1, 2) else answers[0]["ETag"]
            part = {"PartNumber": number, "ETag": known if etag == "real" else '"0123"'}
            wrong.append({name: value for name, value in part.items() if value is not None})
        with pytest.raises(ClientError) as refused:
            client.complete_multipart_upload(**upload, MultipartUpload={"Parts": wrong})
        assert refused.value.response["Error"]["Code"] == code
        assert refused.value.operation_name == "CompleteMultipartUpload"
        assert isinstance(refused.value, MultipartStateError)
        client.complete_multipart_upload(**upload, MultipartUpload=listed(*answers))
        assert client.get_object(**PLACE)["Body"].read() == b"12"

    def test_an_upload_that_this_client_did_not_begin(self, make: Callable[..., Any], http_liar: LyingS3) -> None:
        """Its parts and its end are S3's NoSuchUpload, and nothing of it is sent."""
        client = make()
        upload = begun(make())
        before = len(http_liar.state.attempts)
        for call in (
            lambda: client.upload_part(**upload, PartNumber=1, Body=b"secret"),
            lambda: client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]}
            ),
        ):
            with pytest.raises(client.exceptions.NoSuchUpload, match="did not begin") as refused:
                call()
            assert isinstance(refused.value, MultipartStateError)
        assert len(http_liar.state.attempts) == before

    def test_after_an_abort(self, make: Callable[..., Any]) -> None:
        """An upload that was given up is gone."""
        client = make()
        upload = begun(client)
        client.abort_multipart_upload(**upload)
        with pytest.raises(client.exceptions.NoSuchUpload):
            client.upload_part(**upload, PartNumber=1, Body=b"late")

    def test_an_abort_under_another_name(self, make: Callable[..., Any]) -> None:
        """It is about another upload, and this one goes on."""
        client = make()
        upload = begun(client)
        client.abort_multipart_upload(**{**upload, "Key": "another"})
        client.upload_part(**upload, PartNumber=1, Body=b"1")

    def test_completed_again(self, make_client: Callable[..., Any], bucket: str) -> None:
        """The same list is for S3 to answer: it says what it said, or that the upload is gone. The object stays."""
        client, place = make_client(instruction_file_writes=True), {"Bucket": bucket, "Key": "k"}
        upload = {**place, "UploadId": client.create_multipart_upload(**place)["UploadId"]}
        parts = listed(client.upload_part(**upload, PartNumber=1, Body=b"content"))
        sent: list[str] = []
        client.meta.events.register("before-call.s3", lambda model, **_: sent.append(model.name))
        client.complete_multipart_upload(**upload, MultipartUpload=parts)
        with suppress(client.exceptions.NoSuchUpload):
            client.complete_multipart_upload(**upload, MultipartUpload=parts)
        assert sent.count("CompleteMultipartUpload") == 2
        with pytest.raises(client.exceptions.NoSuchUpload):
            client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "another"}]}
            )
        assert client.get_object(**place)["Body"].read() == b"content"


class TestPartsThatWait:
    """A part that is kept back is answered as S3 would answer it."""

    @pytest.mark.slow
    def test_the_mode_on_the_server(self, make_client: Callable[..., Any], kms_key: str, bucket: str) -> None:
        """A short part's answer has the fields of a long one's."""
        client = make_client(server_side_encryption=SseKms(kms_key, bucket_key=True))
        place = {"Bucket": bucket, "Key": "k"}
        upload = {**place, "UploadId": client.create_multipart_upload(**place)["UploadId"]}
        short = client.upload_part(**upload, PartNumber=2, Body=b"short")
        assert short["ServerSideEncryption"] == "aws:kms"
        assert short["SSEKMSKeyId"] == kms_key
        assert short["ResponseMetadata"]["HTTPHeaders"]["x-amz-server-side-encryption"] == "aws:kms"
        assert short["ResponseMetadata"]["HTTPHeaders"]["etag"] == short["ETag"]

    @pytest.mark.parametrize(
        ("created", "given", "words"),
        [
            (KEY, None, "must include the appropriate encryption parameters"),
            (KEY, bytes(32), "did not match the ones used originally"),
            (None, KEY, "did not request encryption"),
        ],
        ids=["missing", "another", "unasked for"],
    )
    def test_customer_keys(
        self,
        certificate: tuple[str, str],
        lied_to: Callable[..., Any],
        created: bytes | None,
        given: bytes | None,
        words: str,
    ) -> None:
        """A part under another SSE-C key than its upload's is refused at once, also where it would wait."""
        with lying_s3(certificate=certificate[0], key_file=certificate[1]) as server:
            client = lied_to(server)
            of = lambda key: {} if key is None else {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}  # noqa: E731
            upload = begun(client, **of(created))
            before = len(server.state.attempts)
            with pytest.raises(ClientError, match=words) as refused:
                client.upload_part(**upload, PartNumber=1, Body=b"short", **of(given))
            assert refused.value.response["Error"]["Code"] == "InvalidRequest"
            assert len(server.state.attempts) == before
            answer = client.upload_part(**upload, PartNumber=1, Body=b"short", **of(created))
            if created is not None:
                assert answer["SSECustomerAlgorithm"] == "AES256"
                assert answer["SSECustomerKeyMD5"] == SseC(created).key_md5

    def test_checksums_that_a_part_asks_for(self, make: Callable[..., Any]) -> None:
        """They are those of the plaintext, and may be listed."""
        client = make()
        upload = begun(client)
        answer = client.upload_part(**upload, PartNumber=1, Body=b"123456789", ChecksumAlgorithm="CRC32")
        assert answer["ChecksumCRC32"] == "y/Q5Jg=="
        part = {"PartNumber": 1, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]}
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
        assert client.get_object(**PLACE)["Body"].read() == b"123456789"


class TestOneUploadAnyClient:
    """Clients of one session that encrypts share their uploads; others do not."""

    @pytest.mark.slow
    def test_a_client_for_each_step(self, http_liar: LyingS3) -> None:
        """Begun, given its parts and completed by clients of their own, as programs with a client a thread do."""
        arguments = http_liar.arguments()
        session = s3ec.Session(keyring=AesKeyring(KEY), **_of_session(arguments))
        new = lambda: session.client("s3", **_of_client(arguments))  # noqa: E731
        upload = begun(new())
        answers = {number: new().upload_part(**upload, PartNumber=number, Body=b"%d" % number) for number in (2, 1)}
        new().complete_multipart_upload(**upload, MultipartUpload=listed(answers[1], answers[2]))
        assert new().get_object(**PLACE)["Body"].read() == b"12"
        upload = begun(new())
        new().abort_multipart_upload(**upload)
        client = new()
        with pytest.raises(client.exceptions.NoSuchUpload):
            client.upload_part(**upload, PartNumber=1, Body=b"late")

    def test_an_installed_session(self, http_liar: LyingS3) -> None:
        """The same for a session that encrypts since `s3ec.install`."""
        arguments = http_liar.arguments()
        session = boto3.Session(**_of_session(arguments))
        s3ec.install(session, keyring=AesKeyring(KEY))
        upload = begun(session.client("s3", **_of_client(arguments)))
        session.client("s3", **_of_client(arguments)).upload_part(**upload, PartNumber=1, Body=b"1")

    def test_those_that_do_not_share(self, http_liar: LyingS3) -> None:
        """Another session, other options, another endpoint, other credentials: the upload is not known there."""
        arguments = http_liar.arguments()
        session = s3ec.Session(keyring=AesKeyring(KEY), **_of_session(arguments))
        upload = begun(session.client("s3", **_of_client(arguments)))
        same_options = s3ec.Session(keyring=AesKeyring(KEY), **_of_session(arguments))
        elsewhere = {
            **_of_client(arguments),
            "endpoint_url": arguments["endpoint_url"].replace("127.0.0.1", "localhost"),
        }
        for client in (
            same_options.client("s3", **_of_client(arguments)),
            EncryptionClient(session=session, keyring=AesKeyring(bytes(32)), **_of_client(arguments)),
            session.client("s3", **elsewhere),
            session.client("s3", **_of_client(arguments), aws_access_key_id="another", aws_secret_access_key="one"),
        ):
            with pytest.raises(client.exceptions.NoSuchUpload):
                client.upload_part(**upload, PartNumber=1, Body=b"1")

    def test_the_same_credentials_by_name(self, http_liar: LyingS3) -> None:
        """Programs that name the credentials on every client share as well."""
        session = s3ec.Session(keyring=AesKeyring(KEY))
        upload = begun(session.client("s3", **http_liar.arguments()))
        session.client("s3", **http_liar.arguments()).upload_part(**upload, PartNumber=1, Body=b"1")

    @pytest.mark.slow
    def test_nothing_outlives_the_session(self, http_liar: LyingS3) -> None:
        """An upload that nobody ends goes with its session and clients."""
        arguments = http_liar.arguments()
        session = s3ec.Session(keyring=AesKeyring(KEY), **_of_session(arguments))
        client = session.client("s3", **_of_client(arguments))
        state = weakref.ref(client._s3ec_uploads.find(begun(client)["UploadId"]))
        client.close()
        del session, client
        gc.collect()
        assert state() is None


def _of_session(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name.startswith("aws_") or name == "region_name"}


def _of_client(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in ("endpoint_url", "config", "verify")}


def test_large_answers_have_no_checksum_of_ciphertext(make_client: Callable[..., Any], bucket: str) -> None:
    """S3's checksum of what was sent is not the caller's: not in the answer, and not in its headers."""
    client, place = make_client(), {"Bucket": bucket, "Key": "k"}
    upload = {**place, "UploadId": client.create_multipart_upload(**place)["UploadId"]}
    answer = client.upload_part(**upload, PartNumber=1, Body=os.urandom(5 * 1024 * 1024))
    assert not [name for name in answer if name.startswith("Checksum")]
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert not [name for name in headers if name.startswith("x-amz-checksum")]
