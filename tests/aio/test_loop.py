"""What the loop is held by: nothing large is encrypted, hashed or summed on its thread, however fast the machine."""

from __future__ import annotations

import asyncio
import cProfile
import hashlib
import io
import multiprocessing
import os
import threading
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.compat import HAS_CRT
from botocore.credentials import Credentials
from botocore.httpchecksum import _CHECKSUM_CLS

import s3ec.aio
from s3ec import AesKeyring
from s3ec.aio.ciphertext import StoredCiphertext
from s3ec.aio.spool import Spool
from s3ec.aio.sums import _SIGNED, _knowing
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.crypto import content
from s3ec.crypto.own.mac import ChunkMac
from s3ec.crypto.own.sealing import Sealer

from support.loops import on_loop
from support.lying_s3 import LyingS3, lying_s3, serve

MiB = 1024 * 1024
MOST = 256 * 1024
"""Bytes that take well under a millisecond, on any machine."""

BODY = os.urandom(3 * MiB + 5)
WORKERS: list[tuple[type, str]] = [
    (content._Stream, "update"),
    (content._Stream, "update_into"),
    (content.ContentCipher, "encrypt"),
    (content.ContentCipher, "decrypt"),
    (ChunkMac, "of"),
    (Sealer, "seal"),
    (Sealer, "open"),
    (PlaintextClaims, "update"),
    (StoredCiphertext, "read"),
    (StoredCiphertext, "_sum_from"),
    *((kind, "update") for kind in {*_CHECKSUM_CLS.values()}),
]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What large work was done on this thread, which runs the loop; and what was done at all."""
    found: list[tuple[str, int]] = []
    loops = threading.get_ident()

    def watch(kind: type, name: str) -> None:
        plain: Callable[..., Any] = getattr(kind, name)

        def watched(self: Any, *args: Any, **keywords: Any) -> Any:
            answer = plain(self, *args, **keywords)
            # What is written into has room for more than there is.
            seen = args[:1] if name == "update_into" else (*args, answer)
            sizes = [len(each) for each in seen if isinstance(each, (bytes, bytearray, memoryview))]
            if threading.get_ident() == loops and (max(sizes, default=0) >= MOST or name == "_sum_from"):
                found.append((f"{kind.__name__}.{name}", max(sizes, default=0)))
            return answer

        monkeypatch.setattr(kind, name, watched)

    for kind, name in WORKERS:
        watch(kind, name)
    return found


@pytest.fixture(params=["http", "https"])
def place(request: pytest.FixtureRequest, server: LyingS3, certificate: tuple[str, str]) -> Iterator[LyingS3]:
    """An honest server of either kind."""
    if request.param == "http":
        yield server
        return
    with lying_s3(certificate=certificate[0], key_file=certificate[1]) as secure:
        yield secure


async def pieces() -> AsyncIterator[bytes]:
    """The body in odd pieces."""
    for start in range(0, len(BODY), 700_001):
        yield BODY[start : start + 700_001]


def _bodies(folder: Path) -> dict[str, Callable[[], Any]]:
    path = folder / "body"
    path.write_bytes(BODY)
    return {
        "bytes": lambda: BODY,
        "pieces": pieces,
        "file": lambda: path.open("rb"),
        "memory": lambda: io.BytesIO(BODY),
    }


@pytest.mark.parametrize("buffer_size", [MiB, 64 * MiB], ids=["on disk", "in memory"])
@on_loop
async def test_nothing_large_is_worked_on_there(
    place: LyingS3, aio_session: Any, held: list[tuple[str, int]], tmp_path: Path, buffer_size: int
) -> None:
    """Puts, parts, managed transfers, whole reads and ranges."""
    options = {"keyring": AesKeyring(bytes(32)), "buffer_size": buffer_size, "session": aio_session}
    async with s3ec.aio.EncryptionClient(**options, **place.arguments()) as s3:
        for name, body in _bodies(tmp_path).items():
            given = body()
            md5 = b64encode(hashlib.md5(BODY, usedforsecurity=False).digest()).decode()
            await s3.put_object(Bucket="b", Key=name, Body=given, ContentMD5=md5)
            if isinstance(given, io.IOBase):
                given.close()
            _check_sums(place)
            answer = await s3.get_object(Bucket="b", Key=name)
            assert await answer["Body"].read() == BODY, name
            answer = await s3.get_object(Bucket="b", Key=name, Range=f"bytes=7-{2 * MiB}")
            assert await answer["Body"].read() == BODY[7 : 2 * MiB + 1], name
            assert held == [], name
        upload = await s3.create_multipart_upload(Bucket="b", Key="parts")
        ids = {"Bucket": "b", "Key": "parts", "UploadId": upload["UploadId"]}
        early = asyncio.ensure_future(s3.upload_part(**ids, PartNumber=2, Body=BODY))
        await asyncio.sleep(0)
        first = await s3.upload_part(**ids, PartNumber=1, Body=BODY * 2)
        parts = [{"PartNumber": 1, "ETag": first["ETag"]}, {"PartNumber": 2, "ETag": (await early)["ETag"]}]
        await s3.complete_multipart_upload(**ids, MultipartUpload={"Parts": parts})
        await s3.upload_fileobj(io.BytesIO(BODY * 4), "b", "managed")
        await s3.download_file("b", "managed", str(tmp_path / "managed"))
        target = io.BytesIO()
        await s3.download_fileobj("b", "parts", target)
    assert (tmp_path / "managed").read_bytes() == BODY * 4
    assert target.getvalue() == BODY * 3
    assert held == []


def _check_sums(place: LyingS3) -> None:
    """What was said about the ciphertext is so, and over http it is what the signature covers."""
    attempt = place.state.attempts[-1]
    named = {name.lower(): value for name, value in attempt.headers.items()}
    if place.certificate is None:
        assert named["x-amz-content-sha256"] == hashlib.sha256(attempt.body).hexdigest()
        assert named["x-amz-checksum-crc32"] == b64encode(zlib.crc32(attempt.body).to_bytes(4, "big")).decode()
        assert "x-amz-content-sha256" in named["authorization"]
    else:
        assert named["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
@pytest.mark.parametrize("calculation", ["when_supported", "when_required"])
@on_loop
async def test_a_checksum_of_the_callers_choice(
    connect: Callable[..., Any], server: LyingS3, held: list[tuple[str, int]], algorithm: str, calculation: str
) -> None:
    """And none, where none is wanted; again after an attempt that failed."""
    from botocore.config import Config

    async with connect(config=Config(request_checksum_calculation=calculation)) as s3:
        server.lies.fail_after_body = 1
        await s3.put_object(Bucket="b", Key="k", Body=BODY, ChecksumAlgorithm=algorithm)
        await s3.put_object(Bucket="b", Key="k", Body=BODY)
    first, second, plain = server.state.attempts
    assert first.body == second.body
    named = {name.lower(): value for name, value in second.headers.items()}
    if algorithm == "CRC32":
        digest = zlib.crc32(second.body).to_bytes(4, "big")
    else:
        digest = hashlib.new(algorithm.lower(), second.body).digest()
    assert named[f"x-amz-checksum-{algorithm.lower()}"] == b64encode(digest).decode()
    stated = {name.lower() for name in plain.headers if name.lower().startswith("x-amz-checksum-")}
    assert stated == ({"x-amz-checksum-crc32"} if calculation == "when_supported" else set())
    assert held == []


def _signers() -> list[type]:
    kinds: list[type] = [botocore.auth.S3SigV4Auth]
    try:
        from botocore.crt.auth import CrtS3SigV4Auth
    except ImportError:
        return kinds
    return [*kinds, CrtS3SigV4Auth]


@pytest.mark.parametrize("kind", _signers(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("url", ["http://b.example/k", "https://b.example/k"])
@pytest.mark.parametrize("context", [{}, {"checksum": {"request_algorithm": {"in": "trailer"}}}], ids=["", "trailer"])
def test_the_signature_is_botocores(kind: type, url: str, context: dict[str, Any]) -> None:
    """With a hash that is known, and with one that is computed of what is read."""
    spool = Spool(in_memory=MiB, directory=None)
    spool.append(b"ciphertext")
    known = StoredCiphertext(spool)
    known.sums[_SIGNED] = hashlib.sha256(b"ciphertext").hexdigest()
    found: dict[str, dict[str, str]] = {}
    while not found or len({headers["x-amz-date"] for headers in found.values()}) > 1:  # both in one second
        for name, body in (("known", known), ("read", io.BytesIO(b"ciphertext"))):
            request = AWSRequest("PUT", url, {"Content-MD5": "x"} if url.startswith("https") else {}, body)
            request.context.update(context)
            auth = kind(Credentials("key", "secret"), "s3", "us-east-1")
            (_knowing(auth) if name == "known" else auth).add_auth(request)
            found[name] = {header.lower(): value for header, value in request.headers.items()}
    assert found["known"] == found["read"]
    if url.startswith("http:") and not context:
        assert found["known"]["x-amz-content-sha256"] == known.sums[_SIGNED]


def test_the_hash_is_the_one_that_was_stated() -> None:
    """The signer takes it from the body, and reads nothing; what has none is read as ever."""
    spool = Spool(in_memory=MiB, directory=None)
    spool.append(b"ciphertext")
    body = StoredCiphertext(spool)
    for stated in (None, "0" * 64):
        if stated is not None:
            body.sums[_SIGNED] = stated
        request = AWSRequest("PUT", "http://b.example/k", {}, body)
        _knowing(botocore.auth.S3SigV4Auth(Credentials("key", "secret"), "s3", "us-east-1")).add_auth(request)
        assert request.headers["X-Amz-Content-SHA256"] == (stated or hashlib.sha256(b"ciphertext").hexdigest())
        assert body.tell() == 0


@pytest.fixture
def elsewhere() -> Iterator[dict[str, Any]]:
    """Arguments for a client of a server whose memory is another process's."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


@on_loop
async def test_memory_is_bounded(elsewhere: dict[str, Any], aio_session: Any, tmp_path: Path) -> None:
    """A transfer of many parts holds a few, and neither the object nor its ciphertext; a put keeps it on disk."""
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_threshold=MiB, multipart_chunksize=MiB, max_concurrency=2)
    size = 64 * MiB  # parts are of 5 MiB at least, whatever is asked for; three of them are held
    path = tmp_path / "body"
    with path.open("wb") as file:
        for _ in range(size // MiB):
            file.write(os.urandom(MiB))

    async def chunks() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(MiB):
                yield chunk

    class Nowhere:
        written = 0

        def write(self, data: Any) -> int:
            self.written += len(data)
            return len(data)

    nowhere = Nowhere()
    options = {"keyring": AesKeyring(bytes(32)), "buffer_size": 2 * MiB, "session": aio_session}
    async with s3ec.aio.EncryptionClient(**options, **elsewhere) as s3:
        calls: dict[str, Callable[[], Any]] = {
            "upload_file": lambda: s3.upload_file(str(path), "b", "k", Config=config),
            "put_object": lambda: s3.put_object(Bucket="b", Key="k", Body=chunks()),
            "download_fileobj": lambda: s3.download_fileobj("b", "k", nowhere, Config=config),
        }
        # What is loaded and kept for good at a first request: models, rules of endpoints, modules.
        await s3.upload_fileobj(io.BytesIO(bytes(2 * MiB)), "b", "first", Config=config)
        await s3.download_fileobj("b", "first", io.BytesIO(), Config=config)
        for name, call in calls.items():
            assert await _peak(call) < size // 2, name
    assert nowhere.written == size


async def _peak(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        await call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@on_loop
async def test_small_objects_take_no_more_steps_than_in_plaintext(place: LyingS3, aio_session: Any) -> None:
    """What is saved elsewhere pays for the encryption, counted in calls of functions: load changes none."""
    ours = s3ec.aio.EncryptionClient(keyring=AesKeyring(bytes(32)), session=aio_session, **place.arguments())
    async with ours as s3, aio_session.create_client("s3", **place.arguments()) as plain:
        steps = {client: [await _steps(client, call) for call in (_put, _get)] for client in (plain, s3)}
    # A signer in Python takes steps for each of six more headers, and never prepares a request to look at its body.
    most = 1.0 if HAS_CRT else 1.15
    for of_plain, of_ours in zip(steps[plain], steps[s3], strict=True):
        assert of_ours < most * of_plain


async def _put(client: Any) -> None:
    await client.put_object(Bucket="b", Key="k", Body=BODY[: 16 * 1024])


async def _get(client: Any) -> None:
    answer = await client.get_object(Bucket="b", Key="k")
    assert len(await answer["Body"].read()) == 16 * 1024


async def _steps(client: Any, call: Callable[[Any], Any]) -> int:
    for _ in range(3):  # what is kept from a first request is there
        await call(client)
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(20):
        await call(client)
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats())
