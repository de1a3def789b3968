"""Listings that lead nowhere: the file system gives up where s3fs goes on for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lies.honest import Answer
from lies.server import Server, running

from s3ec.fs import S3ECFileSystem
from s3ec.transport import UnreadableAnswerError


@pytest.fixture(scope="module")
def liar() -> Iterator[Server]:
    """A server that says what a test wants."""
    with running() as here:
        yield here


@pytest.fixture
def fs(liar: Server, key_file: str) -> Any:
    """A file system on it."""
    return S3ECFileSystem(
        endpoint_url=liar.url,
        key="lies",
        secret="lies",
        aes_key_file=key_file,
        client_kwargs={"region_name": "us-east-1"},
        config_kwargs={"s3": {"addressing_style": "path"}},
        skip_instance_cache=True,
    )


def _row(key: str) -> str:
    date = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    return f"<Contents><Key>{key}</Key>{date}<Size>20</Size><ETag>e</ETag></Contents>"


def _page(rows: str, token: object) -> Answer:
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    body = f"<ListBucketResult>{more}{rows}</ListBucketResult>".encode()
    return Answer(200, [("Content-Length", str(len(body)))], body)


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_circles(liar: Server, fs: Any, length: int) -> None:
    """The same pages again and again, under ever new tokens."""
    count = iter(range(10_000))

    def tell(request: Any, number: int, ask: Any) -> Answer:
        turn = next(count)
        return _page(_row(f"key{turn % length}"), turn)

    liar.tell = tell
    with pytest.raises(UnreadableAnswerError, match="in circles"):
        fs.find("bucket")


def test_nothing_without_an_end(liar: Server, fs: Any) -> None:
    """Empty pages, each of which promises another."""
    count = iter(range(10_000))
    liar.tell = lambda request, number, ask: _page("", next(count))
    with pytest.raises(UnreadableAnswerError, match="in circles"):
        fs.find("bucket")


def test_more_without_where(liar: Server, fs: Any) -> None:
    """A page that says that more follows, and not where."""
    body = f"<ListBucketResult><IsTruncated>true</IsTruncated>{_row('k')}</ListBucketResult>".encode()
    liar.tell = lambda request, number, ask: Answer(200, [("Content-Length", str(len(body)))], body)
    with pytest.raises(UnreadableAnswerError, match="NextContinuationToken"):
        fs.find("bucket")
