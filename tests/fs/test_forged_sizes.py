"""Sizes that a HEAD or a listing forges: an error, never the beginning of a file or another part of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lies.server import Server, running
from lies.world import KEY, PLAIN, PROFILES, World, prepared

from s3ec.errors import AuthenticationError
from s3ec.fs import S3ECFileSystem

PATH = f"bucket/{KEY}"
STATED = (0, 17, 1000, len(PLAIN) - 1, len(PLAIN) + 1)


@pytest.fixture(scope="module")
def liar() -> Iterator[Server]:
    """A server with an object."""
    with running() as here:
        prepared(here, PROFILES[0])
        yield here
        here.tell = None


@pytest.fixture
def fs(liar: Server, tmp_path: Path) -> Any:
    """A file system on it."""
    from lies.world import key_file

    liar.tell = None
    (tmp_path / "files").mkdir()
    return S3ECFileSystem(
        endpoint_url=liar.url,
        key="lies",
        secret="lies",
        aes_key_file=str(key_file(World(liar, PROFILES[0], tmp_path / "files"))),
        client_kwargs={"region_name": "us-east-1"},
        config_kwargs={"s3": {"addressing_style": "path"}},
        skip_instance_cache=True,
    )


@pytest.fixture
def forge(liar: Server) -> Callable[[int], None]:
    """Makes every HEAD state so many bytes of plaintext."""

    def of_heads(plaintext: int) -> None:
        def tell(request: Any, number: int, ask: Callable[[], Any]) -> Any:
            answer = ask()
            if request.method != "HEAD" or answer.status != 200:
                return answer
            headers = [pair for pair in answer.headers if pair[0] != "Content-Length"]
            return dataclasses.replace(answer, headers=[*headers, ("Content-Length", str(plaintext + 16))])

        liar.tell = tell

    return of_heads


READS: dict[str, Callable[[Any], bytes]] = {
    "whole": lambda file: file.read(),
    "block": lambda file: file.read(64),
    "end": lambda file: file.seek(-10, 2) and file.read(),
    "behind": lambda file: file.seek(2000) and file.read(10),
    "line": lambda file: file.readline(),
    "into": lambda file: bytes(buffer[: file.readinto(buffer)]) if (buffer := bytearray(100)) else b"",
}


@pytest.mark.parametrize("stated", STATED)
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("cache_type", ["readahead", "bytes", "all"])
def test_open(fs: Any, forge: Callable[[int], None], stated: int, read: str, cache_type: str) -> None:
    """However it is read; seeking from the end counts from the size that was stated."""
    forge(stated)
    try:
        with fs.open(PATH, block_size=512, cache_type=cache_type) as file:
            content = READS[read](file)
    except (AuthenticationError, OSError, ValueError):
        return
    right = {"whole": PLAIN, "block": PLAIN[:64], "end": PLAIN[-10:], "behind": PLAIN[2000:2010], "into": PLAIN[:100]}
    assert content == right.get(read, PLAIN)


@pytest.mark.parametrize("stated", STATED)
@pytest.mark.parametrize(("start", "end"), [(-50, -10), (10, -10), (-50, None), (-50, 2800), (0, -1)])
def test_cat_file(fs: Any, forge: Callable[[int], None], stated: int, start: int, end: int | None) -> None:
    """Bounds that are counted from the end."""
    forge(stated)
    try:
        content = fs.cat_file(PATH, start=start, end=end)
    except (AuthenticationError, OSError):
        return
    assert content == PLAIN[start:end]


def test_honest_sizes(fs: Any) -> None:
    """Nothing is refused where nobody lies."""
    for cache_type in ("readahead", "bytes", "none", "all"):
        with fs.open(PATH, block_size=512, cache_type=cache_type) as file:
            assert file.read(100) + file.read() == PLAIN
    assert fs.cat_file(PATH, start=-50, end=-10) == PLAIN[-50:-10]
    with fs.open(PATH, size=100) as file:  # who says a size of their own reads so much
        assert file.read() == PLAIN[:100]
