"""awswrangler (AWS SDK for pandas), given an ``s3ec.Session`` as ``boto3_session``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import awswrangler as wr
import pandas as pd
import pytest

from s3ec import Session

pytestmark = [
    pytest.mark.library,
    # awswrangler's own calls, with keywords that pandas will drop.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:awswrangler\..*"),
    pytest.mark.filterwarnings(r"ignore::FutureWarning:awswrangler\..*"),
    # What pandas 2.2 says about a call that pyarrow made before its version 15.
    pytest.mark.filterwarnings("ignore:Passing a BlockManager to DataFrame:DeprecationWarning"),
]

MIB = 1024 * 1024
LARGE = random.Random(6).randbytes(17 * MIB + 11)
FRAME = pd.DataFrame({"name": ["Ada", "Grace", "Edsger"], "salary": [4100, 5200, 3900]})

AssertCiphertext = Callable[[str, bytes], None]


@pytest.fixture(autouse=True)
def _endpoint(endpoint: str) -> Iterator[None]:
    """awswrangler takes the endpoint from its own configuration."""
    wr.config.s3_endpoint_url = endpoint
    yield
    wr.config.s3_endpoint_url = None


def test_csv(session: Session, bucket: str, assert_ciphertext: AssertCiphertext) -> None:
    """``to_csv`` encrypts what it writes; ``read_csv`` reads it, and ``size_objects`` knows the plaintext's size."""
    path = f"s3://{bucket}/frame.csv"
    wr.s3.to_csv(FRAME, path, index=False, boto3_session=session)
    text = FRAME.to_csv(index=False).encode()
    assert_ciphertext("frame.csv", text)
    pd.testing.assert_frame_equal(wr.s3.read_csv(path, boto3_session=session), FRAME)
    assert wr.s3.size_objects(path, boto3_session=session) == {path: len(text)}


def test_parquet(session: Session, bucket: str, stored: Callable[[str], bytes]) -> None:
    """``to_parquet`` encrypts; ``read_parquet`` seeks to the footer and reads it, whole or by column."""
    path = f"s3://{bucket}/frame.parquet"
    wr.s3.to_parquet(FRAME, path, boto3_session=session)
    assert b"PAR1" not in stored("frame.parquet")
    pd.testing.assert_frame_equal(
        wr.s3.read_parquet(path, boto3_session=session), FRAME, check_dtype=False, check_column_type=False
    )
    salaries = wr.s3.read_parquet(path, columns=["salary"], boto3_session=session)
    assert list(salaries["salary"]) == list(FRAME["salary"])


def test_dataset(session: Session, bucket: str, plain_s3: object, stored: Callable[[str], bytes]) -> None:
    """A partitioned dataset is written as encrypted files and read as one frame."""
    path = f"s3://{bucket}/dataset/"
    written = wr.s3.to_parquet(FRAME, path, dataset=True, partition_cols=["name"], boto3_session=session)["paths"]
    assert len(written) == len(FRAME)
    for url in written:
        assert b"PAR1" not in stored(url.removeprefix(f"s3://{bucket}/"))
    frame = wr.s3.read_parquet(path, dataset=True, boto3_session=session)
    assert sorted(frame["salary"]) == sorted(FRAME["salary"])


def test_upload_and_download(
    session: Session, bucket: str, tmp_path: Path, assert_ciphertext: AssertCiphertext
) -> None:
    """``upload`` sends a file as encrypted parts; ``download`` fetches and decrypts it."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(LARGE)
    path = f"s3://{bucket}/file"
    wr.s3.upload(local_file=str(source), path=path, boto3_session=session)
    assert_ciphertext("file", LARGE)
    wr.s3.download(path=path, local_file=str(target), boto3_session=session)
    assert target.read_bytes() == LARGE


def test_copy_and_delete(session: Session, bucket: str, assert_ciphertext: AssertCiphertext) -> None:
    """Copied objects open under their new key; deleted ones are gone."""
    path = f"s3://{bucket}/one/frame.csv"
    wr.s3.to_csv(FRAME, path, index=False, boto3_session=session)
    wr.s3.copy_objects([path], f"s3://{bucket}/one/", f"s3://{bucket}/two/", boto3_session=session)
    wr.s3.delete_objects(path, boto3_session=session)
    assert_ciphertext("two/frame.csv", FRAME.to_csv(index=False).encode())
    assert wr.s3.list_objects(f"s3://{bucket}/", boto3_session=session) == [f"s3://{bucket}/two/frame.csv"]
    pd.testing.assert_frame_equal(wr.s3.read_csv(f"s3://{bucket}/two/frame.csv", boto3_session=session), FRAME)
