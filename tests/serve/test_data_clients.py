"""The clients of data libraries and of further SDKs, beside the tools of `test_clients`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import boto3
import pytest

from support.places import Place, absent, package, program

pytestmark = [pytest.mark.library, pytest.mark.slow]
BIG = 13 * 1024 * 1024


def test_boto3(place: Place, tmp_path: Path):
    """Its managed transfers, and a copy in parts."""
    s3 = boto3.client(
        "s3", endpoint_url=place.url, aws_access_key_id=place.access_key, aws_secret_access_key=place.secret_key,
        region_name="us-east-1",
    )  # fmt: skip
    (tmp_path / "up").write_bytes(os.urandom(1024) * (BIG // 1024))
    s3.upload_file(str(tmp_path / "up"), place.bucket, "big")
    s3.download_file(place.bucket, "big", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()
    s3.copy({"Bucket": place.bucket, "Key": "big"}, place.bucket, "copy")
    assert s3.head_object(Bucket=place.bucket, Key="copy")["ContentLength"] == BIG
    s3.close()


def test_polars(place: Place):
    """Parquet that is written and scanned by the client of object_store."""
    polars = package("polars")
    options = {
        "endpoint_url": place.url,
        "access_key_id": place.access_key,
        "secret_access_key": place.secret_key,
        "region": "us-east-1",
        "allow_http": "true",
    }
    frame = polars.DataFrame({"a": list(range(50_000))})
    target = f"s3://{place.bucket}/set/one.parquet"
    frame.lazy().sink_parquet(target, storage_options=options)
    found = polars.scan_parquet(f"s3://{place.bucket}/set/*.parquet", storage_options=options)
    assert found.filter(polars.col("a") > 49_990).collect().height == 9


def test_obstore(place: Place):
    """Multipart, ranges from the end, conditional puts and renames."""
    obstore, stores = package("obstore"), package("obstore.store")
    store = stores.S3Store(
        place.bucket, endpoint=place.url, access_key_id=place.access_key, secret_access_key=place.secret_key,
        region="us-east-1", client_options={"allow_http": True}, virtual_hosted_style_request=False,
    )  # fmt: skip
    obstore.put(store, "big", bytes(BIG), use_multipart=True, chunk_size=5 * 1024 * 1024)
    obstore.put(store, "once", b"0123456789", mode="create")
    with pytest.raises(package("obstore.exceptions").AlreadyExistsError):
        obstore.put(store, "once", b"another", mode="create")
    assert bytes(obstore.get_range(store, "once", start=3, length=4)) == b"3456"
    assert obstore.head(store, "big")["size"] == BIG
    obstore.rename(store, "once", "renamed")
    assert {each["path"]: each["size"] for each in obstore.list(store).collect()} == {"big": BIG, "renamed": 10}


def test_duckdb(place: Place, tmp_path: Path):
    """Globs and partitions, with the extension as packaged: DuckDB's own INSTALL fetches it from elsewhere."""
    duckdb, extension = package("duckdb"), package("duckdb_ext")
    built = next(Path(next(iter(extension.__path__))).rglob("httpfs.duckdb_extension"), None)
    if built is None:
        absent("duckdb-ext-httpfs")
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"SET home_directory = '{tmp_path}'")
    connection.execute(f"LOAD '{built}'")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{place.access_key}', SECRET '{place.secret_key}', REGION 'us-east-1', "
        f"ENDPOINT '{place.url.removeprefix('http://')}', USE_SSL false, URL_STYLE 'path')"
    )
    root = f"s3://{place.bucket}/set"
    rows = "SELECT i, i % 3 AS p FROM range(10000) t(i)"
    connection.execute(f"COPY ({rows}) TO '{root}' (FORMAT parquet, PARTITION_BY p)")
    found = f"read_parquet('{root}/*/*.parquet', hive_partitioning = true)"
    assert connection.sql(f"SELECT count(*) FROM {found}").fetchone() == (10000,)  # noqa: S608 - all of it is ours
    query = f"SELECT sum(i) FROM {found} WHERE p = 1"  # noqa: S608 - see above
    assert connection.sql(query).fetchone() == (sum(range(1, 10000, 3)),)
    connection.close()


_JAVASCRIPT = """
import { S3Client, PutObjectCommand, GetObjectCommand, CopyObjectCommand } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { Readable } from "node:stream";
const s3 = new S3Client({ forcePathStyle: true }), Bucket = process.env.BUCKET, size = Number(process.env.SIZE);
await s3.send(new PutObjectCommand({ Bucket, Key: "small", Body: "0123456789" }));
await new Upload({ client: s3, params: { Bucket, Key: "big", Body: Readable.from([Buffer.alloc(size)]) } }).done();
await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/small` }));
const part = await s3.send(new GetObjectCommand({ Bucket, Key: "copy", Range: "bytes=-3" }));
const whole = await s3.send(new GetObjectCommand({ Bucket, Key: "big" }));
console.log(JSON.stringify([await part.Body.transformToString(), (await whole.Body.transformToByteArray()).length]));
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
        said = node(f"BUCKET={place.bucket}", f"SIZE={BIG}", "node", script)
    finally:
        script.unlink()
    assert json.loads(said.splitlines()[0]) == ["789", BIG]
