"""Whatever session the clients of a file system come from, and however often they are made anew: they encrypt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiobotocore.session import AioSession

CONTENT = b"what only its owner should read"


def _own_session(make_fs: Callable[..., Any]) -> Any:
    return make_fs(session=AioSession(), skip_instance_cache=True)


def _session_put_in(make_fs: Callable[..., Any]) -> Any:
    fs = make_fs(skip_instance_cache=True)
    fs.session = AioSession()
    return fs


@pytest.mark.parametrize("make", [lambda make_fs: make_fs(), _own_session, _session_put_in], ids=["s3fs", "own", "put"])
def test_every_client_encrypts(
    make_fs: Callable[..., Any], bucket: str, plain_s3: Any, make: Callable[..., Any]
) -> None:
    """s3fs makes a session where there is none, and, when it connects anew, another one, or keeps that it has."""
    fs = make(make_fs)
    for key in ("first", "second"):
        fs.pipe_file(f"{bucket}/{key}", CONTENT)
        fs.connect(refresh=True)
    for key in ("first", "second"):
        assert fs.cat_file(f"{bucket}/{key}") == CONTENT
        stored = plain_s3.get_object(Bucket=bucket, Key=key)
        assert CONTENT not in stored["Body"].read()
        assert "x-amz-c" in stored["Metadata"]


def test_other_services_are_plain(make_fs: Callable[..., Any]) -> None:
    """s3fs asks STS for temporary credentials by the same session."""
    fs = make_fs()
    fs.connect()

    async def ask() -> str:
        async with fs.session.create_client("sts", region_name="us-east-1") as client:
            return type(client).__name__

    from fsspec.asyn import sync

    assert sync(fs.loop, ask) == "STS"
