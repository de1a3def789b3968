"""Managed transfers of both clients, with their own engines: the same effects of the same flows, in the same order."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

import s3ec
import s3ec.aio
from s3ec import AesKeyring, EncryptionClient
from s3ec.aio import driver as aio_driver
from s3ec.client.calls import driver
from s3ec.errors import S3ECError
from s3ec.s3.flow import CloseBody, Effect, Flow, ReadBody

from support.flows import written_down
from support.lying_s3 import Lies, LyingS3

MiB = 2**20
DATA = bytes(range(256)) * 4 * 1024 * 6
ONE_BY_ONE = TransferConfig(multipart_threshold=5 * MiB, multipart_chunksize=5 * MiB, use_threads=False)
Call = Callable[[Any, Path], Any]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of either driver; how a body is read is an engine's own."""
    asked: list[str] = []
    run, run_on_loop = driver.run, aio_driver.run

    def note(effect: Effect) -> None:
        if not isinstance(effect, (ReadBody, CloseBody)):
            asked.append(written_down(effect).replace("SentParts", "Parts").replace("PartsInOrder", "Parts"))

    def noting(flow: Flow[Any], perform: Callable[[Effect], object]) -> Any:
        def performing(effect: Effect) -> object:
            note(effect)
            return perform(effect)

        return run(flow, performing)

    async def noting_on_loop(flow: Flow[Any], perform: Callable[[Effect], Awaitable[object]]) -> Any:
        async def performing(effect: Effect) -> object:
            note(effect)
            return await perform(effect)

        return await run_on_loop(flow, performing)

    monkeypatch.setattr(driver, "run", noting)
    monkeypatch.setattr(aio_driver, "run", noting_on_loop)
    return asked


def upload(body: bytes, **extra: Any) -> Call:
    """A managed upload."""
    return lambda s3, _: s3.upload_fileobj(io.BytesIO(body), "b", "new", ExtraArgs=extra or None, Config=ONE_BY_ONE)


def download(key: str = "k") -> Call:
    """A managed download into a file."""
    return lambda s3, folder: s3.download_file("b", key, str(folder / "file"), Config=ONE_BY_ONE)


def into_object(s3: Any, _: Path) -> Any:
    """One into an object."""
    return s3.download_fileobj("b", "k", io.BytesIO(), Config=ONE_BY_ONE)


def of_kind(s3: Any, ours: Any, theirs: Any) -> Any:
    """What is there for both kinds of clients."""
    return theirs if isinstance(s3, EncryptionClient) else ours


def hand_over(s3: Any, _: Path) -> Any:
    """An upload that somebody else makes."""
    return of_kind(s3, s3ec.aio.presigned_upload, s3ec.presigned_upload)(s3, Bucket="b", Key="new", Metadata={"a": "b"})


def copy_part(s3: Any, _: Path) -> Any:
    """A part that is read of an object."""
    new = {"Bucket": "b", "Key": "new"}

    def copy(upload_id: str) -> Any:
        return s3.upload_part_copy(**new, UploadId=upload_id, PartNumber=1, CopySource="b/k")

    async def wait() -> None:
        await copy((await s3.create_multipart_upload(**new))["UploadId"])

    return wait() if of_kind(s3, True, False) else copy(s3.create_multipart_upload(**new)["UploadId"])


CASES: dict[str, tuple[Call, dict[str, Any]]] = {
    "upload at once": (upload(b"text"), {}),
    "upload in parts": (upload(DATA), {}),
    "upload over an object": (upload(DATA, IfNoneMatch="*"), {}),
    "upload of another size": (upload(DATA, MpuObjectSize=7), {}),
    "upload with a wrong checksum": (upload(DATA, ChecksumSHA256="A" * 43 + "="), {}),
    "download": (download(), {}),
    "download of nothing": (download("none"), {}),
    "download of a plaintext": (download("plain"), {}),
    "download of a forgery": (download(), {"tamper": lambda body: body[:-1] + bytes([body[-1] ^ 1])}),
    "download of another range": (download(), {"wrong_range": 16}),
    "download to an object": (into_object, {}),
    "upload to hand over": (hand_over, {}),
    "part of an object": (copy_part, {}),
}
HEARD = {
    "upload at once": ["PutObject"],
    "upload in parts": ["CreateMultipartUpload", "UploadPart", "UploadPart"],
    "upload to hand over": ["PutObject"],
    "part of an object": ["UploadPartCopy"],
}
"""What handlers are asked about by a flow; of a call as such the client itself asks them."""


@pytest.mark.parametrize("name", CASES)
def test_both_clients(
    server: LyingS3, connect: Callable[..., Any], asked: list[str], tmp_path: Path, name: str
) -> None:
    """And the same is left on the disk, and at S3."""
    call, lies = CASES[name]
    found = []
    for world in (_in_threads, _on_loop):
        server.state.objects.clear()
        server.state.lies = Lies()
        with contextlib.closing(EncryptionClient(**server.arguments(keyring=AesKeyring(bytes(32))))) as client:
            client.put_object(Bucket="b", Key="k", Body=DATA)
            if "over" in name:
                client.put_object(Bucket="b", Key="new", Body=b"before")
            client._s3ec_view.put_object(Bucket="b", Key="plain", Body=b"text")
        server.state.lies = Lies(**lies)
        asked.clear()
        error = world(server, connect, call, tmp_path)
        left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        stored = {key: len(object.body) for key, object in server.state.objects.items()}
        found.append((list(asked), error, left, stored))
        for path in tmp_path.iterdir():
            path.unlink()
    assert found[0] == found[1]
    if name in HEARD:
        heard = [effect.split() for effect in found[0][0] if effect.startswith("Hear ")]
        assert [operation for _, operation, *_ in heard] == HEARD[name]
    assert found[0][0] or found[0][1], "neither a request nor a refusal"


def _in_threads(server: LyingS3, _: Any, call: Call, folder: Path) -> Any:
    with contextlib.closing(EncryptionClient(**server.arguments(keyring=AesKeyring(bytes(32))))) as client:
        try:
            call(client, folder)
        except (S3ECError, ClientError, ValueError) as error:
            return type(error), str(error)
    return None


def _on_loop(_: LyingS3, connect: Callable[..., Any], call: Call, folder: Path) -> Any:
    async def calling() -> Any:
        async with connect() as client:
            try:
                await call(client, folder)
            except (S3ECError, ClientError, ValueError) as error:
                return type(error), str(error)
        return None

    return asyncio.run(calling())
