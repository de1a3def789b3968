"""The SDKs, in five languages."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config

from support.places import HTTPS, Place, package, program

pytestmark = [pytest.mark.library, pytest.mark.slow]
BIG = 13 * 1024 * 1024


def boto(place: Place) -> Any:
    """A plain client that signs as AWS does: for endpoints of one's own boto3 presigns by an older version."""
    return boto3.client(
        "s3", endpoint_url=place.url, aws_access_key_id=place.access_key, aws_secret_access_key=place.secret_key,
        region_name="us-east-1", config=Config(signature_version="s3v4"),
        verify=None if place.certificate is None else str(place.certificate),
    )  # fmt: skip


def test_boto3(place: Place, tmp_path: Path):
    """Its managed transfers, and a copy in parts."""
    with contextlib.closing(boto(place)) as s3:
        managed_and_single(s3, place, tmp_path)


@HTTPS
def test_boto3_https(place: Place, tmp_path: Path):
    """Over https, where a checksum follows the body."""
    with contextlib.closing(boto(place)) as s3:
        managed_and_single(s3, place, tmp_path)


def managed_and_single(s3: Any, place: Place, tmp_path: Path) -> None:
    """All of boto3's operations."""
    (tmp_path / "up").write_bytes(os.urandom(1024) * (BIG // 1024))
    s3.upload_file(str(tmp_path / "up"), place.bucket, "big")
    place.did("parts")
    s3.download_file(place.bucket, "big", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()
    place.did("get")
    s3.copy({"Bucket": place.bucket, "Key": "big"}, place.bucket, "copy")
    assert s3.head_object(Bucket=place.bucket, Key="copy")["ContentLength"] == BIG
    place.did("copy in parts")
    tag = s3.put_object(Bucket=place.bucket, Key="small", Body=b"0123456789", IfNoneMatch="*")["ETag"]
    place.did("put")
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=place.bucket, Key="small", Body=b"another", IfNoneMatch="*")
    answer = s3.get_object(Bucket=place.bucket, Key="small", Range="bytes=-3", IfMatch=tag)
    assert answer["Body"].read() == b"789"
    place.did("condition", "range")
    s3.copy_object(CopySource={"Bucket": place.bucket, "Key": "small"}, Bucket=place.bucket, Key="small copy")
    place.did("copy")
    listed = {each["Key"]: each["Size"] for each in s3.list_objects_v2(Bucket=place.bucket)["Contents"]}
    assert listed == {"big": BIG, "copy": BIG, "small": 10, "small copy": 10}
    place.did("list")
    where = {"Bucket": place.bucket, "Key": "small copy"}
    trust = None if place.certificate is None else ssl.create_default_context(cafile=place.certificate)
    url = s3.generate_presigned_url("get_object", Params=where)
    with urllib.request.urlopen(url, context=trust) as got:  # noqa: S310 - http, or https
        assert got.read() == b"0123456789"
    place.did("presigned URL")
    s3.delete_objects(Bucket=place.bucket, Delete={"Objects": [{"Key": "big"}]})
    assert s3.list_objects_v2(Bucket=place.bucket)["KeyCount"] == 3
    place.did("delete")


def test_boto3_crt(place: Place, tmp_path: Path):
    """Its transfers by the CRT, which no hook in Python reaches; boto3 itself would give them no endpoint's scheme."""
    package("awscrt")
    crt = package("s3transfer.crt")
    pair = place.access_key, place.secret_key
    session = botocore.session.Session()
    session.set_credentials(*pair)
    wrapper = crt.BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = crt.create_s3_crt_client("us-east-1", wrapper.to_crt_credentials_provider(), use_ssl=False)
    where = {"region_name": "us-east-1", "endpoint_url": place.url}
    (tmp_path / "up").write_bytes(os.urandom(1024) * (BIG // 1024))
    with crt.CRTTransferManager(client, crt.BotocoreCRTRequestSerializer(session, where)) as transfers:
        transfers.upload(io.BytesIO(b"small"), place.bucket, "small").result()
        place.did("put", "stream")
        transfers.upload(str(tmp_path / "up"), place.bucket, "big").result()
        place.did("parts")
        transfers.delete(place.bucket, "small").result()
        place.did("delete")
        transfers.download(place.bucket, "big", str(tmp_path / "down")).result()
    # The file gets its name after the result is there, and before the manager ends.
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()
    place.did("get")


def test_minio(place: Place):
    """Uploads of unknown length, composition, and URLs."""
    minio, common = package("minio"), package("minio.commonconfig")
    client = minio.Minio(place.host, access_key=place.access_key, secret_key=place.secret_key, secure=False)
    client.put_object(place.bucket, "small", io.BytesIO(b"small"), 5)
    place.did("put")
    client.put_object(place.bucket, "big", io.BytesIO(bytes(BIG)), -1, part_size=5 * 1024 * 1024)
    place.did("parts", "stream")
    sources = [common.ComposeSource(place.bucket, key) for key in ("big", "small")]
    client.compose_object(place.bucket, "composed", sources)
    assert client.stat_object(place.bucket, "composed").size == BIG + 5
    place.did("copy in parts")
    client.copy_object(place.bucket, "copy", common.CopySource(place.bucket, "small"))
    place.did("copy")
    with urllib.request.urlopen(client.presigned_get_object(place.bucket, "copy")) as answer:  # noqa: S310 - http
        assert answer.read() == b"small"
    place.did("presigned URL")
    with contextlib.closing(client.get_object(place.bucket, "composed")) as answer:
        assert answer.read() == bytes(BIG) + b"small"
    place.did("get")
    with contextlib.closing(client.get_object(place.bucket, "composed", offset=BIG - 1, length=3)) as answer:
        assert answer.read() == b"\0sm"
    place.did("range")
    listed = {each.object_name: each.size for each in client.list_objects(place.bucket)}
    assert listed == {"small": 5, "big": BIG, "composed": BIG + 5, "copy": 5}
    place.did("list")
    client.remove_object(place.bucket, "big")
    assert "big" not in {each.object_name for each in client.list_objects(place.bucket)}
    place.did("delete")


def test_minio_go(place: Place, built: Callable[[str], Callable[..., str]]):
    """Of MinIO for Go: on plain http it signs every chunk of a body."""
    place.did(*built("go")(place.bucket, str(BIG)).splitlines())


def test_java(place: Place, built: Callable[[str], Callable[..., str]]):
    """The AWS SDK for Java v2."""
    place.did(*built("sdk")("client", place.bucket, str(BIG), place.home).splitlines())


def test_java_transfer(place: Place, built: Callable[[str], Callable[..., str]]):
    """Its transfer manager, on its asynchronous client, whose downloads are in parts."""
    place.did(*built("sdk")("transfer", place.bucket, str(BIG), place.home, place.name).splitlines())


def test_s3a(place: Place, built: Callable[[str], Callable[..., str]]):
    """Hadoop's file system, with renames beyond a part's size."""
    place.did(*built("s3a")(place.bucket, str(BIG), place.home, place.name).splitlines())


_JAVASCRIPT = """
import * as sdk from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { Readable } from "node:stream";
const s3 = new sdk.S3Client({ forcePathStyle: true }), Bucket = process.env.BUCKET, size = Number(process.env.SIZE);
const is = (ok, ...operations) => { if (!ok) throw new Error(operations[0]); console.log(operations.join("\\n")); };
const put = await s3.send(new sdk.PutObjectCommand({ Bucket, Key: "small", Body: "0123456789" }));
is(put.ETag, "put");
await new Upload({ client: s3, params: { Bucket, Key: "big", Body: Readable.from([Buffer.alloc(size)]) } }).done();
const whole = await s3.send(new sdk.GetObjectCommand({ Bucket, Key: "big" }));
is(Buffer.alloc(size).equals(await whole.Body.transformToByteArray()), "parts", "stream", "get");
await s3.send(new sdk.CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/small` }));
const part = await s3.send(new sdk.GetObjectCommand({ Bucket, Key: "copy", Range: "bytes=-3" }));
is((await part.Body.transformToString()) === "789", "copy", "range");
const once = new sdk.PutObjectCommand({ Bucket, Key: "small", Body: "another", IfNoneMatch: "*" });
is((await s3.send(once).catch((error) => error)).$metadata.httpStatusCode === 412, "condition");
const list = async () => Object.fromEntries(
  (await s3.send(new sdk.ListObjectsV2Command({ Bucket }))).Contents.map((each) => [each.Key, each.Size]));
const listed = await list();
is(listed.small === 10 && listed.copy === 10 && listed.big === size, "list");
await s3.send(new sdk.DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "big" }] } }));
is(!("big" in await list()), "delete");
"""


def test_javascript(place: Place):
    """The SDK for JavaScript, version 3: streams in parts, with checksums behind them."""
    modules = Path(os.environ.get("S3EC_NODE_MODULES", "no-node-modules"))
    if shutil.which("node") is None or not (modules / "@aws-sdk" / "lib-storage").is_dir():
        pytest.skip("THE CLIENT OF JAVASCRIPT IS NOT RUN: node and @aws-sdk (S3EC_NODE_MODULES) are not both here")
    script = modules.parent / f"s3ec-{os.getpid()}.mjs"
    script.write_text(_JAVASCRIPT, "utf-8")
    try:
        node = program("env", place)
        place.did(*node(f"BUCKET={place.bucket}", f"SIZE={BIG}", "NODE_NO_WARNINGS=1", "node", script).splitlines())
    finally:
        script.unlink()
