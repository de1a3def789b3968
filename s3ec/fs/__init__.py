"""The file system ``s3ec://`` for fsspec, and so for pandas, Dask, xarray, zarr, DuckDB, pyarrow and UPath.

::

    import pandas as pd

    pd.read_parquet("s3ec://bucket/people.parquet", storage_options={"kms_key": "alias/payroll"})

It is s3fs' own file system on a client of `s3ec.aio`: the same methods and options, and plaintext's sizes everywhere.
fsspec finds it by its protocol once the extra ``s3ec[fs]`` is installed; nothing has to be imported.
"""

from __future__ import annotations

try:
    import s3fs as _s3fs  # noqa: F401 - only to say what is missing
except ModuleNotFoundError as error:  # pragma: no cover - where the extra is not installed
    if error.name not in ("s3fs", "fsspec", "aiobotocore"):
        raise
    raise ModuleNotFoundError(
        "s3ec.fs stands on s3fs, which is not installed: pip install 's3ec[fs]'", name=error.name
    ) from error

from s3ec.fs.file_system import S3ECFileSystem
from s3ec.fs.files import S3ECFile

__all__ = ["S3ECFile", "S3ECFileSystem"]
