"""upload_part_copy into an encrypted upload, as the synchronous client makes it: call by call, request by request."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec import AesKeyring, EncryptionClient
from s3ec.aio.wire import AsyncWire
from s3ec.errors import AuthenticationError
from s3ec.s3.flow import Deliver

from support.loops import on_loop
from support.lying_s3 import LyingS3, Stored

MiB = 1024 * 1024
TARGET = {"Bucket": "b", "Key": "target"}
LARGE = os.urandom(5 * MiB + 3)
SMALL = os.urandom(1000)
SMALL_SOURCE = {"CopySource": "b/small"}

Calls = list[tuple[str, dict[str, Any]]]


def copy(**more: Any) -> tuple[str, dict[str, Any]]:
    """One copy; by default of a source that becomes the second part."""
    return "upload_part_copy", {**TARGET, "PartNumber": 2, **SMALL_SOURCE, **more}


OBJECTS: Calls = [
    ("put_object", {"Bucket": "b", "Key": "large", "Body": LARGE}),
    ("put_object", {"Bucket": "b", "Key": "small", "Body": SMALL}),
    ("create_multipart_upload", TARGET),
]
REFUSED: Calls = [
    copy(CopySource="b/absent"),
    copy(CopySourceIfMatch='"another"'),
    copy(CopySourceRange="bytes=0-1000"),
    copy(CopySourceRange="bytes=1000-1000"),
    copy(CopySourceRange="bytes=99999-199999"),
    copy(CopySourceRange="bytes=5-"),
    copy(CopySourceRange="bytes=5-4"),
    copy(EncryptionContext={"team": "hr"}),
    copy(CopySource="b/plain", CopySourceRange="bytes=0-99"),
    copy(CopySource="none"),
    copy(PartNumber=10001),
    copy(Key="another"),
    copy(SSECustomerAlgorithm="AES256", SSECustomerKey=bytes(32)),
    copy(NoSuchParameter="x"),
]
COPIED: Calls = [
    copy(CopySourceRange="bytes=5-704"),
    copy(CopySourceRange="bytes=5-704"),
    copy(CopySourceRange="bytes=6-704"),
    copy(PartNumber=1, CopySource={"Bucket": "b", "Key": "large"}),
    copy(PartNumber=3, CopySourceRange="bytes=0-999"),
]


def told(answer: Any) -> Any:
    """What of an answer, or of an error, is the same for equal calls."""
    if isinstance(answer, Exception):
        return type(answer).__name__, type(answer).__mro__[-2].__name__, str(answer)
    kept = {name: value for name, value in answer.items() if name not in ("ETag", "LastModified", "ResponseMetadata")}
    if "CopyPartResult" in kept:
        kept["CopyPartResult"] = sorted(kept["CopyPartResult"])
    return kept


class Made:
    """The calls of one client, with the upload that it began."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.upload: dict[str, str] = {}
        self.etags: dict[int, str] = {}

    def parameters(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Those of the call, with the upload's ID."""
        return {**self.upload, **parameters} if name == "upload_part_copy" else parameters

    def heard(self, parameters: dict[str, Any], answer: Any) -> None:
        """Note an answer."""
        self.told.append(told(answer))
        if isinstance(answer, dict) and "UploadId" in answer:
            self.upload = {"UploadId": answer["UploadId"]}
        if isinstance(answer, dict) and "CopyPartResult" in answer:
            self.etags[parameters["PartNumber"]] = answer["CopyPartResult"]["ETag"]

    def completion(self) -> dict[str, Any]:
        """Parameters of the end."""
        parts = [{"PartNumber": number, "ETag": self.etags[number]} for number in sorted(self.etags)]
        return {**TARGET, **self.upload, "MultipartUpload": {"Parts": parts}}


def of_the_sync_client(server: LyingS3, calls: Calls, options: dict[str, Any]) -> tuple[Made, bytes]:
    """Have the synchronous client make the calls; returns the object too."""
    made = Made()
    client = EncryptionClient(**server.arguments(keyring=AesKeyring(bytes(32)), **options))
    for name, given in calls:
        parameters = made.parameters(name, given)
        try:
            made.heard(given, getattr(client, name)(**parameters))
        except Exception as error:  # noqa: BLE001 - each is compared
            made.heard(given, error)
    client.complete_multipart_upload(**made.completion())
    content = client.get_object(**TARGET)["Body"].read()
    client.close()
    return made, content


async def of_the_async_client(s3: Any, calls: Calls) -> tuple[Made, bytes]:
    """The same of the asynchronous one."""
    made = Made()
    for name, given in calls:
        parameters = made.parameters(name, given)
        try:
            made.heard(given, await getattr(s3, name)(**parameters))
        except Exception as error:  # noqa: BLE001 - each is compared
            made.heard(given, error)
    await s3.complete_multipart_upload(**made.completion())
    return made, await (await s3.get_object(**TARGET))["Body"].read()


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"unencrypted_objects": "allow", "verified_range_limit": 1}, marks=pytest.mark.slow)],
    ids=["defaults", "plaintext allowed"],
)
@on_loop
async def test_both_clients_copy_alike(options: dict[str, Any], connect: Callable[..., Any], server: LyingS3) -> None:
    """The same answers, the same errors with the same words, the same requests, the same object."""
    calls = [*OBJECTS, *REFUSED, *COPIED]
    if options:
        calls.append(copy(PartNumber=4, CopySource="b/plain"))
    plain = Stored(b"plaintext", {})
    server.state.objects["b/plain"] = plain
    theirs, content = of_the_sync_client(server, calls, options)
    asked = sorted(server.state.requests, key=repr)
    server.state.objects.clear()
    server.state.requests.clear()
    server.state.objects["b/plain"] = plain
    upload_of_theirs = theirs.upload["UploadId"]
    async with connect(**options) as s3:
        ours, same = await of_the_async_client(s3, calls)

    def unnamed(text: object, upload_id: str) -> str:
        return repr(text).replace(upload_id, "UPLOAD")

    assert [unnamed(answer, ours.upload["UploadId"]) for answer in ours.told] == [
        unnamed(answer, upload_of_theirs) for answer in theirs.told
    ]
    assert same == content == LARGE + SMALL[5:705] + SMALL + (b"plaintext" if options else b"")
    assert sorted(unnamed(request, ours.upload["UploadId"]) for request in server.state.requests) == sorted(
        unnamed(request, upload_of_theirs) for request in asked
    )
    refused = len(OBJECTS), len(OBJECTS) + len(REFUSED)
    assert all(isinstance(answer, tuple) for answer in ours.told[slice(*refused)])


@on_loop
async def test_a_tampered_source(connect: Callable[..., Any], server: LyingS3) -> None:
    """Nothing of a source that does not verify goes into the upload."""
    async with connect() as s3:
        await s3.put_object(Bucket="b", Key="small", Body=SMALL)
        upload = {**TARGET, "UploadId": (await s3.create_multipart_upload(**TARGET))["UploadId"]}
        sent = len(server.state.attempts)
        server.lies.tamper = lambda body: body[:-1] + bytes([body[-1] ^ 1])
        for more in ({}, {"CopySourceRange": "bytes=10-20"}):
            with pytest.raises(AuthenticationError):
                await s3.upload_part_copy(**upload, PartNumber=1, **SMALL_SOURCE, **more)
        assert len(server.state.attempts) == sent
        server.lies.tamper = None
        copied = await s3.upload_part_copy(**upload, PartNumber=1, **SMALL_SOURCE, CopySourceRange="bytes=10-20")
        parts = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]
        await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        assert await (await s3.get_object(**TARGET))["Body"].read() == SMALL[10:21]


@on_loop
async def test_an_upload_that_s3_no_longer_has(connect: Callable[..., Any], server: LyingS3) -> None:
    """It is let go of, as by any other part."""
    async with connect() as s3:
        await s3.put_object(Bucket="b", Key="large", Body=LARGE)
        upload = {**TARGET, "UploadId": (await s3.create_multipart_upload(**TARGET))["UploadId"]}
        server.state.uploads.clear()
        with pytest.raises(s3.exceptions.NoSuchUpload):
            await s3.upload_part_copy(**upload, PartNumber=1, CopySource="b/large")
        assert upload["UploadId"] not in s3._s3ec_uploads


@on_loop
async def test_a_copy_into_an_upload_of_others_passes(connect: Callable[..., Any], server: LyingS3) -> None:
    """S3 copies it: nothing is read here, and nothing is encrypted."""
    async with connect() as s3:
        await s3.put_object(Bucket="b", Key="small", Body=SMALL)
        before = len(server.state.requests)
        await s3.upload_part_copy(**TARGET, UploadId="another", PartNumber=1, **SMALL_SOURCE)
        assert len(server.state.requests) == before + 1
        assert "x-amz-copy-source" in {name.lower() for name in server.state.attempts[-1].headers}


@on_loop
async def test_the_source_is_closed(
    connect: Callable[..., Any], server: LyingS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied or refused: its connection is free again."""
    bodies: list[Any] = []
    perform = AsyncWire.perform

    async def performed(wire: AsyncWire, effect: Any) -> object:
        answer = await perform(wire, effect)
        if isinstance(effect, Deliver):
            bodies.append(answer)
        return answer

    async with connect() as s3:
        await s3.put_object(Bucket="b", Key="small", Body=SMALL)
        upload = {**TARGET, "UploadId": (await s3.create_multipart_upload(**TARGET))["UploadId"]}
        monkeypatch.setattr(AsyncWire, "perform", performed)
        with pytest.raises(ClientError, match="InvalidArgument"):
            await s3.upload_part_copy(**upload, PartNumber=1, **SMALL_SOURCE, CopySourceRange="bytes=0-1000")
        await s3.upload_part_copy(**upload, PartNumber=1, **SMALL_SOURCE)
        assert [body.closed for body in bodies] == [True, True]
        await s3.abort_multipart_upload(**upload)
