"""aioboto3's own client-side encryption beside ours: who reads what of whom, and what its ranges give."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

import s3ec.aio
from s3ec import AesKeyring, CommitmentPolicy, EncryptionClient, KmsKeyring
from s3ec.errors import S3ECError

from support.loops import on_loop

cse = pytest.importorskip("aioboto3.s3.cse", reason="it pins one aiobotocore: tox -e aio-lowest has it")

KEY = bytes(range(32))
CONTENT = bytes(index % 251 for index in range(1000))
OURS = {"commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT}
V2 = {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT}
CBC = {"enable_legacy_unauthenticated_modes": True}


@pytest.fixture
def theirs(aws: dict[str, Any]) -> Callable[..., Any]:
    """Gives what ``async with`` makes a client of theirs of: with a KMS key, or with `KEY`."""

    def connect(kms_key: str | None = None, *, gcm: bool = True) -> Any:
        context = cse.SymmetricCryptoContext(KEY)
        if kms_key:
            context = cse.KMSCryptoContext(kms_key, kms_client_args=aws, authenticated_encryption=gcm)
        return cse.S3CSE(context, s3_client_args=aws)

    return connect


@on_loop
@pytest.mark.parametrize("kind", ["kms-gcm", "kms-cbc", "aes-cbc"])
async def test_we_read_what_it_wrote(
    theirs: Callable[..., Any], aws: dict[str, Any], bucket: str, kms_key: str, kms: Any, kind: str
) -> None:
    """With what is legacy turned on, by both clients; without, each is refused."""
    with_kms, options = kind != "aes-cbc", OURS if kind == "kms-gcm" else {**OURS, **CBC}

    def keyring(legacy: bool = True) -> Any:
        if with_kms:
            return KmsKeyring(kms_key, client=kms, enable_legacy_wrapping_algorithms=legacy)
        return AesKeyring(KEY, enable_legacy_wrapping_algorithms=legacy)

    async with theirs(kms_key if with_kms else None, gcm=kind == "kms-gcm") as writer:
        await writer.put_object(Body=CONTENT, Bucket=bucket, Key="theirs")
    place = {"Bucket": bucket, "Key": "theirs"}
    async with s3ec.aio.EncryptionClient(keyring=keyring(), **options, **aws) as s3:
        assert await (await s3.get_object(**place))["Body"].read() == CONTENT
    with contextlib.closing(EncryptionClient(keyring=keyring(), **options, **aws)) as client:
        assert client.get_object(**place)["Body"].read() == CONTENT
    for refusing in ({"keyring": keyring(legacy=False), **options}, {"keyring": keyring()}):
        with contextlib.closing(EncryptionClient(**refusing, **aws)) as client, pytest.raises(S3ECError):
            client.get_object(**place)


@on_loop
async def test_it_reads_what_we_write_as_v2_with_kms(
    theirs: Callable[..., Any], aws: dict[str, Any], bucket: str, kms_key: str, kms: Any
) -> None:
    """That is the one format both have; it looks at no wrapping algorithm, and takes the context as it stands there."""
    async with s3ec.aio.EncryptionClient(keyring=KmsKeyring(kms_key, client=kms), **V2, **aws) as s3:
        await s3.put_object(Bucket=bucket, Key="ours", Body=CONTENT, EncryptionContext={"team": "payroll"})
    async with theirs(kms_key) as reader:
        assert await (await reader.get_object(bucket, "ours"))["Body"].read() == CONTENT


@on_loop
async def test_it_takes_v3_for_plaintext(
    theirs: Callable[..., Any], aws: dict[str, Any], bucket: str, kms_key: str, kms: Any
) -> None:
    """It knows no V3, and hands out ciphertext without an error: readers have to move before writers."""
    async with s3ec.aio.EncryptionClient(keyring=KmsKeyring(kms_key, client=kms), **aws) as s3:
        await s3.put_object(Bucket=bucket, Key="ours", Body=CONTENT)
    async with theirs(kms_key) as reader:
        content = await (await reader.get_object(bucket, "ours"))["Body"].read()
    assert len(content) == len(CONTENT) + 16
    assert content[: len(CONTENT)] != CONTENT


@on_loop
@pytest.mark.parametrize(("first", "last"), [(0, 9), (16, 31), (128, 255), (300, 399), (990, 999)])
async def test_ranges(
    theirs: Callable[..., Any], aws: dict[str, Any], bucket: str, kms_key: str, kms: Any, first: int, last: int
) -> None:
    """Its ranges give other bytes than were asked for, or fail; ours are right, of the same object."""
    wanted = CONTENT[first : last + 1]
    place = {"Bucket": bucket, "Key": "theirs", "Range": f"bytes={first}-{last}"}
    async with theirs(kms_key) as writer:
        await writer.put_object(Body=CONTENT, Bucket=bucket, Key="theirs")
        assert await (await writer.get_object(**place))["Body"].read() != wanted
    keyring = KmsKeyring(kms_key, client=kms, enable_legacy_wrapping_algorithms=True)
    async with s3ec.aio.EncryptionClient(keyring=keyring, **OURS, **aws) as s3:
        assert await (await s3.get_object(**place))["Body"].read() == wanted
    with contextlib.closing(EncryptionClient(keyring=keyring, **OURS, **aws)) as client:
        assert client.get_object(**place)["Body"].read() == wanted


@on_loop
async def test_a_changed_range(
    theirs: Callable[..., Any], aws: dict[str, Any], bucket: str, kms_key: str, kms: Any, plain_s3: Any
) -> None:
    """A range of theirs follows whoever changed the object; ours gives nothing of it."""
    place = {"Bucket": bucket, "Key": "theirs", "Range": "bytes=0-99"}
    async with theirs(kms_key) as writer:
        await writer.put_object(Body=CONTENT, Bucket=bucket, Key="theirs")
        stored = plain_s3.get_object(Bucket=bucket, Key="theirs")
        ciphertext = bytearray(stored["Body"].read())
        ciphertext[0] ^= 1
        plain_s3.put_object(Bucket=bucket, Key="theirs", Body=bytes(ciphertext), Metadata=stored["Metadata"])
        content = await (await writer.get_object(**place))["Body"].read()
    assert content[0] == CONTENT[0] ^ 1
    assert content[1:50] == CONTENT[1:50]
    keyring = KmsKeyring(kms_key, client=kms, enable_legacy_wrapping_algorithms=True)
    async with s3ec.aio.EncryptionClient(keyring=keyring, **OURS, **aws) as s3:
        with pytest.raises(S3ECError):
            await (await s3.get_object(**place))["Body"].read()
