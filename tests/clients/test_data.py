"""The clients of data libraries."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from support.places import Place, absent, package

pytestmark = [pytest.mark.library, pytest.mark.slow]
BIG = 13 * 1024 * 1024


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
    place.did("put")
    found = polars.scan_parquet(f"s3://{place.bucket}/set/*.parquet", storage_options=options)
    assert found.filter(polars.col("a") > 49_990).collect().height == 9
    place.did("list", "range")
    wide = polars.DataFrame({"b": [os.urandom(1024).hex() for _ in range(6_000)]})
    wide.lazy().sink_parquet(f"s3://{place.bucket}/wide.parquet", storage_options=options)
    assert polars.read_parquet(f"s3://{place.bucket}/wide.parquet", storage_options=options).equals(wide)
    place.did("parts", "stream", "get")


def test_obstore(place: Place):
    """Multipart, ranges from the end, conditional puts and renames."""
    obstore, stores = package("obstore"), package("obstore.store")
    store = stores.S3Store(
        place.bucket, endpoint=place.url, access_key_id=place.access_key, secret_access_key=place.secret_key,
        region="us-east-1", client_options={"allow_http": True}, virtual_hosted_style_request=False,
    )  # fmt: skip
    obstore.put(store, "big", bytes(BIG), use_multipart=True, chunk_size=5 * 1024 * 1024)
    place.did("parts")
    obstore.put(store, "once", b"0123456789", mode="create")
    place.did("put")
    with pytest.raises(package("obstore.exceptions").AlreadyExistsError):
        obstore.put(store, "once", b"another", mode="create")
    place.did("condition")
    assert bytes(obstore.get_range(store, "once", start=3, length=4)) == b"3456"
    place.did("range")
    assert bytes(obstore.get(store, "big").bytes()) == bytes(BIG)
    assert obstore.head(store, "big")["size"] == BIG
    place.did("get")
    obstore.rename(store, "once", "renamed")
    place.did("move")
    obstore.copy(store, "renamed", "copied")
    place.did("copy")
    found = {each["path"]: each["size"] for each in obstore.list(store).collect()}
    assert found == {"big": BIG, "renamed": 10, "copied": 10}
    place.did("list")
    with urllib.request.urlopen(obstore.sign(store, "GET", "copied", timedelta(minutes=5))) as got:  # noqa: S310 - http
        assert got.read() == b"0123456789"
    place.did("presigned URL")
    obstore.delete(store, ["big", "copied"])
    assert [each["path"] for each in obstore.list(store).collect()] == ["renamed"]
    place.did("delete")


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
        f"ENDPOINT '{place.host}', USE_SSL false, URL_STYLE 'path')"
    )
    root = f"s3://{place.bucket}/set"
    rows = "SELECT i, i % 3 AS p FROM range(10000) t(i)"
    connection.execute(f"COPY ({rows}) TO '{root}' (FORMAT parquet, PARTITION_BY p)")
    place.did("put", "stream")
    found = f"read_parquet('{root}/*/*.parquet', hive_partitioning = true)"
    assert connection.sql(f"SELECT count(*) FROM {found}").fetchone() == (10000,)  # noqa: S608 - all of it is ours
    query = f"SELECT sum(i) FROM {found} WHERE p = 1"  # noqa: S608 - see above
    assert connection.sql(query).fetchone() == (sum(range(1, 10000, 3)),)
    place.did("list", "range")
    one = f"'s3://{place.bucket}/one.csv'"
    connection.execute(f"COPY (SELECT i AS n FROM range(100) t(i)) TO {one}")  # noqa: S608 - see above
    assert connection.sql(f"SELECT sum(n) FROM {one}").fetchone() == (4950,)  # noqa: S608 - see above
    place.did("get")
    connection.close()


def test_pyarrow(place: Place):
    """Files that are read from their end, streams, and moves, by the SDK for C++."""
    package("awscrt")  # its checksums, which the endpoint verifies
    package("pyarrow")
    arrow, fs = package("pyarrow"), package("pyarrow.fs")
    parquet, dataset = package("pyarrow.parquet"), package("pyarrow.dataset")
    files = fs.S3FileSystem(
        endpoint_override=place.host, scheme="http", region="us-east-1",
        access_key=place.access_key, secret_key=place.secret_key,
    )  # fmt: skip
    table = arrow.table({"a": list(range(10_000))})
    parquet.write_table(table, f"{place.bucket}/set/one.parquet", filesystem=files)
    place.did("put")
    assert dataset.dataset(f"{place.bucket}/set", filesystem=files, format="parquet").to_table().equals(table)
    place.did("list", "range")
    with files.open_output_stream(f"{place.bucket}/stream") as stream:
        stream.write(bytes(BIG))
    place.did("parts", "stream")
    files.copy_file(f"{place.bucket}/set/one.parquet", f"{place.bucket}/copied")
    place.did("copy")
    files.move(f"{place.bucket}/stream", f"{place.bucket}/moved")
    place.did("move")
    assert files.get_file_info(f"{place.bucket}/moved").size == BIG
    with files.open_input_stream(f"{place.bucket}/moved") as stream:
        assert stream.read() == bytes(BIG)
    place.did("get")
    files.delete_file(f"{place.bucket}/moved")
    assert files.get_file_info(f"{place.bucket}/moved").type == fs.FileType.NotFound
    place.did("delete")


_S3FS = """
import os, sys, s3fs
bucket, size = sys.argv[1], int(sys.argv[2])
files, big = s3fs.S3FileSystem(), os.urandom(1024) * (size // 1024)
def did(worked, *operations):
    assert worked, operations
    print(*operations, sep="\\n")
files.pipe(f"{bucket}/set/small", b"0123456789")
did(True, "put")
with files.open(f"{bucket}/set/big", "wb", block_size=5 * 1024 * 1024) as stream:
    for start in range(0, size, 1024 * 1024):
        stream.write(big[start : start + 1024 * 1024])
did(True, "parts", "stream")
did(files.cat(f"{bucket}/set/big") == big, "get")
with files.open(f"{bucket}/set/big", "rb") as stream:
    stream.seek(-1000, os.SEEK_END)
    did(stream.read() == big[-1000:], "range")
files.cp_file(f"{bucket}/set/small", f"{bucket}/copied")
did(files.cat(f"{bucket}/copied") == b"0123456789", "copy")
files.mv(f"{bucket}/copied", f"{bucket}/moved")
did(not files.exists(f"{bucket}/copied"), "move")
found = {name: each["size"] for name, each in files.find(bucket, detail=True).items()}
did(found == {f"{bucket}/set/small": 10, f"{bucket}/set/big": size, f"{bucket}/moved": 10}, "list")
files.rm(f"{bucket}/set/big")
did(not files.exists(f"{bucket}/set/big"), "delete")
"""


def test_s3fs(place: Place, built: Callable[[str], Callable[..., str]]):
    """The file system of pandas and Dask, on aiobotocore: in a process of its own, for its own botocore."""
    place.did(*built("s3fs")("-c", _S3FS, place.bucket, str(BIG)).splitlines())
