"""What takes an open file works on ``s3ec.open``: pandas, pyarrow, zipfile and tarfile."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

import s3ec
from s3ec import EncryptionClient

pytestmark = [
    pytest.mark.library,
    # What pandas 2.2 says about a call that pyarrow made before its version 15.
    pytest.mark.filterwarnings("ignore:Passing a BlockManager to DataFrame:DeprecationWarning"),
]

MIB = 1024 * 1024
ROWS = 200_000
MEMBERS = {"first.bin": random.Random(7).randbytes(3 * MIB), "second.bin": random.Random(8).randbytes(5 * MIB)}

Store = Callable[[str, bytes], None]


@pytest.fixture(params=[False, True], ids=["in memory", "in ranges"])
def reader(request: pytest.FixtureRequest, make_client: Callable[..., EncryptionClient]) -> EncryptionClient:
    """A client; the second holds nothing of this size in memory, so that every read of its files is a ranged one."""
    return make_client(buffer_size=64 * 1024) if request.param else make_client()


@pytest.fixture
def store(reader: EncryptionClient, bucket: str, assert_ciphertext: Callable[[str, bytes], None]) -> Store:
    """Stores a file's content, encrypted."""

    def put(key: str, content: bytes) -> None:
        reader.put_object(Bucket=bucket, Key=key, Body=content)
        assert_ciphertext(key, content)

    return put


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """A frame whose Parquet file is larger than a read-ahead."""
    numbers = random.Random(9)
    return pd.DataFrame(
        {
            "number": range(ROWS),
            "salary": [numbers.random() for _ in range(ROWS)],
            "name": [f"n{i}" for i in range(ROWS)],
        }
    )


class TestPandas:
    """pandas' readers and writers."""

    def test_parquet(self, reader: EncryptionClient, bucket: str, store: Store, frame: pd.DataFrame) -> None:
        """``read_parquet`` reads a frame, and single columns of it."""
        buffer = io.BytesIO()
        frame.to_parquet(buffer, row_group_size=50_000)
        store("frame.parquet", buffer.getvalue())
        with s3ec.open(reader, Bucket=bucket, Key="frame.parquet") as file:
            pd.testing.assert_frame_equal(pd.read_parquet(file), frame)
        with s3ec.open(reader, Bucket=bucket, Key="frame.parquet") as file:
            pd.testing.assert_frame_equal(pd.read_parquet(file, columns=["salary"]), frame[["salary"]])

    def test_csv(self, reader: EncryptionClient, bucket: str, store: Store, frame: pd.DataFrame) -> None:
        """``read_csv`` reads a frame, at once and in chunks."""
        part = frame.head(20_000)
        store("frame.csv", part.to_csv(index=False).encode())
        with s3ec.open(reader, Bucket=bucket, Key="frame.csv") as file:
            pd.testing.assert_frame_equal(pd.read_csv(file), part)
        with s3ec.open(reader, Bucket=bucket, Key="frame.csv") as file:
            chunks = list(pd.read_csv(file, chunksize=7_000))
        pd.testing.assert_frame_equal(pd.concat(chunks), part)


class TestPyarrow:
    """pyarrow's readers."""

    def test_parquet(self, reader: EncryptionClient, bucket: str, store: Store, frame: pd.DataFrame) -> None:
        """``ParquetFile`` reads the footer, one row group, and the whole table."""
        table = pa.Table.from_pandas(frame, preserve_index=False)
        buffer = io.BytesIO()
        pq.write_table(table, buffer, row_group_size=50_000)
        store("table.parquet", buffer.getvalue())
        with s3ec.open(reader, Bucket=bucket, Key="table.parquet") as file:
            parquet = pq.ParquetFile(file)
            assert parquet.metadata.num_row_groups == 4
            group = parquet.read_row_group(2, columns=["number"])
            assert group.column("number").to_pylist() == list(range(100_000, 150_000))
            assert parquet.read().equals(table)

    def test_csv(self, reader: EncryptionClient, bucket: str, store: Store) -> None:
        """``pyarrow.csv`` reads a table."""
        table = pa.table({"name": ["Ada", "Grace"] * 10_000, "salary": [4100, 5200] * 10_000})
        buffer = io.BytesIO()
        pyarrow.csv.write_csv(table, buffer)
        store("table.csv", buffer.getvalue())
        with s3ec.open(reader, Bucket=bucket, Key="table.csv") as file:
            assert pyarrow.csv.read_csv(file).equals(table)

    def test_own_s3_client(
        self, client: EncryptionClient, bucket: str, aws: dict[str, Any], stored: Callable[[str], bytes]
    ) -> None:
        """``pyarrow.fs.S3FileSystem`` is a client of its own, in C++: it sees what S3 stores."""
        client.put_object(Bucket=bucket, Key="table.csv", Body=b"name,salary\nAda,4100\n")
        filesystem = pyarrow.fs.S3FileSystem(
            access_key=aws["aws_access_key_id"],
            secret_key=aws["aws_secret_access_key"],
            region=aws["region_name"],
            endpoint_override=aws["endpoint_url"],
        )
        with filesystem.open_input_file(f"{bucket}/table.csv") as file:
            assert file.read() == stored("table.csv")


class TestArchives:
    """The standard library's archives."""

    def test_zipfile(self, reader: EncryptionClient, bucket: str, store: Store) -> None:
        """``zipfile`` finds the directory at the end and reads members in any order."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in MEMBERS.items():
                archive.writestr(name, content)
        store("archive.zip", buffer.getvalue())
        with s3ec.open(reader, Bucket=bucket, Key="archive.zip") as file, zipfile.ZipFile(file) as archive:
            assert {name: archive.read(name) for name in reversed(archive.namelist())} == MEMBERS
            assert archive.testzip() is None

    @pytest.mark.parametrize("mode", ["r:", "r|", "r:gz"])
    def test_tarfile(self, reader: EncryptionClient, bucket: str, store: Store, mode: str) -> None:
        """``tarfile`` reads members, seeking or as a stream, compressed or not."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz" if mode == "r:gz" else "w:") as archive:
            for name, content in MEMBERS.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        store("archive.tar", buffer.getvalue())
        with (
            s3ec.open(reader, Bucket=bucket, Key="archive.tar") as file,
            tarfile.open(fileobj=file, mode=mode) as archive,
        ):
            found = {}
            for entry in archive:
                content = archive.extractfile(entry)
                assert content is not None
                found[entry.name] = content.read()
        assert found == MEMBERS
