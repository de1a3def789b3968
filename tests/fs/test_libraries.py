"""The libraries that speak fsspec, each by the line that the documentation shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import documents

pd = pytest.importorskip("pandas")

PAGE = Path(__file__).parents[2] / "docs" / "pandas-and-friends.md"


@pytest.fixture
def table() -> Any:
    """A small table."""
    return pd.DataFrame({"name": ["Ada", "Grace", "Edith"], "salary": [4100, 4200, 4300]})


@pytest.fixture
def ciphertext_only(plain_s3: Any, bucket: str) -> Iterator[None]:
    """Everything that the test has stored is encrypted."""
    yield
    for entry in plain_s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        metadata = plain_s3.head_object(Bucket=bucket, Key=entry["Key"])["Metadata"]
        assert {"x-amz-3", "x-amz-c", "x-amz-d", "x-amz-i"} <= metadata.keys(), entry["Key"]


pytestmark = [
    pytest.mark.usefixtures("ciphertext_only"),
    # Of the libraries themselves.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_pandas(bucket: str, storage_options: dict[str, Any], table: Any) -> None:
    """Files and a folder, whole and by columns."""
    url = f"s3ec://{bucket}/folder/people"
    table.to_parquet(f"{url}.parquet", storage_options=storage_options)
    assert pd.read_parquet(f"{url}.parquet", storage_options=storage_options).equals(table)
    assert pd.read_parquet(f"s3ec://{bucket}/folder", storage_options=storage_options).equals(table)
    assert list(pd.read_parquet(f"{url}.parquet", columns=["name"], storage_options=storage_options)) == ["name"]
    table.to_csv(f"{url}.csv.gz", index=False, storage_options=storage_options)
    assert pd.read_csv(f"{url}.csv.gz", storage_options=storage_options).equals(table)
    table.to_json(f"{url}.json", storage_options=storage_options)
    assert pd.read_json(f"{url}.json", storage_options=storage_options).equals(table)


def test_dask(bucket: str, storage_options: dict[str, Any], table: Any) -> None:
    """Each task opens the file system for itself."""
    dd = pytest.importorskip("dask.dataframe")
    url = f"s3ec://{bucket}/dask"
    dd.from_pandas(table, npartitions=2).to_parquet(url, storage_options=storage_options)
    read = dd.read_parquet(url, storage_options=storage_options)
    assert read.salary.sum().compute(scheduler="threads") == 12_600
    assert read.salary.sum().compute(scheduler="processes", num_workers=1) == 12_600


def test_zarr(bucket: str, storage_options: dict[str, Any]) -> None:
    """Arrays in chunks."""
    zarr = pytest.importorskip("zarr")
    np = pytest.importorskip("numpy")
    url = f"s3ec://{bucket}/array.zarr"
    array = zarr.open_array(
        url, mode="w", shape=(100, 10), chunks=(30, 10), dtype="i4", storage_options=storage_options
    )
    array[:] = np.arange(1000).reshape(100, 10)
    again = zarr.open_array(url, mode="r", storage_options=storage_options)
    assert again[40:60].tolist() == np.arange(400, 600).reshape(20, 10).tolist()


def test_xarray(bucket: str, storage_options: dict[str, Any]) -> None:
    """Data sets, through zarr."""
    xarray = pytest.importorskip("xarray")
    data = xarray.Dataset({"temperature": ("day", [11.5, 12.0, 9.5])})
    url = f"s3ec://{bucket}/weather.zarr"
    data.to_zarr(url, storage_options=storage_options)
    assert xarray.open_zarr(url, storage_options=storage_options).equals(data)


def test_duckdb(fs: Any, bucket: str, table: Any, storage_options: dict[str, Any]) -> None:
    """SQL over files, and into them."""
    duckdb = pytest.importorskip("duckdb")
    table.to_parquet(f"s3ec://{bucket}/people.parquet", storage_options=storage_options)
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        asked = f"SELECT sum(salary) FROM read_parquet('s3ec://{bucket}/*.parquet')"  # noqa: S608 - a name of ours
        assert connection.sql(asked).fetchall() == [(12_600,)]
        connection.sql(f"COPY (SELECT 1 AS one) TO 's3ec://{bucket}/one.parquet' (FORMAT parquet)")
    assert pd.read_parquet(f"s3ec://{bucket}/one.parquet", storage_options=storage_options).one.tolist() == [1]


def test_pyarrow(fs: Any, bucket: str, table: Any) -> None:
    """Tables and data sets."""
    pa = pytest.importorskip("pyarrow")
    # Parts that are not there before somebody imports them.
    parquet, dataset = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.dataset")
    written = pa.Table.from_pandas(table)
    parquet.write_table(written, f"{bucket}/people.parquet", filesystem=fs)
    fs.invalidate_cache()
    fs.ls(bucket)
    assert parquet.read_table(f"{bucket}/people.parquet", filesystem=fs).equals(written)
    assert dataset.dataset(f"{bucket}/people.parquet", filesystem=fs).to_table().equals(written)


def test_upath(bucket: str, storage_options: dict[str, Any]) -> None:
    """Paths as those of `pathlib`."""
    upath = pytest.importorskip("upath")
    path = upath.UPath(f"s3ec://{bucket}/folder/note.txt", **storage_options)
    path.write_text("for your eyes only")
    assert path.read_text() == "for your eyes only"
    assert path.stat().st_size == 18
    assert [each.name for each in path.parent.iterdir()] == ["note.txt"]


def test_fsspec(bucket: str, storage_options: dict[str, Any]) -> None:
    """fsspec's own functions, and its caches on top."""
    import fsspec

    with fsspec.open(f"s3ec://{bucket}/data.json", "w", **storage_options) as file:
        json.dump({"a": 1}, file)
    with fsspec.open(f"s3ec://{bucket}/data.json", **storage_options) as file:
        assert json.load(file) == {"a": 1}
    with fsspec.open(f"blockcache::s3ec://{bucket}/data.json", s3ec=storage_options) as file:
        assert json.load(file) == {"a": 1}


def test_page(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's code runs from top to bottom, and prints what it says."""
    monkeypatch.chdir(tmp_path)
    with documents.documented_account(endpoint) as environment:
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        assert documents.run(PAGE) > 0


def test_every_library_is_here() -> None:
    """In the environment that is made for these tests none of them is left out for want of a package."""
    import importlib.util
    import os

    if not os.environ.get("CI"):
        pytest.skip("outside of CI a library may be missing")
    names = ("pandas", "dask", "distributed", "zarr", "xarray", "duckdb", "pyarrow", "upath")
    assert [name for name in names if importlib.util.find_spec(name) is None] == []
