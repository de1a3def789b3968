"""S3's chunks are found wherever the network cuts them, and their end only where it is."""

from __future__ import annotations

import base64
import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3ec.serve.chunks import ChunkedBody, PlainBody
from s3ec.serve.payloads import Payload
from s3ec.serve.refusals import RefusedError

NAME = "x-amz-checksum-crc32"
# What is read ahead at a time, and around it.
SIZES = st.one_of(st.integers(1, 40), st.sampled_from([1023, 1024, 65_535, 65_536, 65_537, 200_000]))


class Arriving:
    """A body that comes in pieces of these sizes, and a large one, again and again."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._left = memoryview(data)
        self._sizes = itertools.cycle([*sizes, 65_537])

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        view = memoryview(buffer)
        count = min(next(self._sizes), len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def framed(pieces: list[bytes]) -> bytes:
    """The chunks of a body, with its checksum behind them."""
    checksum = base64.b64encode(zlib.crc32(b"".join(pieces)).to_bytes(4, "big"))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + b"0\r\n%b:%b\r\n\r\n" % (NAME.encode(), checksum)


def read(payload: Payload, size: int) -> bytes:
    """All of a body, by so many bytes."""
    return b"".join(iter(lambda: payload.read(size), b""))


def content_of(data: bytes, sizes: list[int], length: int, size: int) -> bytes:
    """The content of a body that is verified by its trailer."""
    chunks = ChunkedBody(Arriving(data, sizes), length, None, trailed=True)
    return read(Payload(chunks, length, None, {}, [NAME]), size)


PIECES = st.lists(st.builds(lambda size, fill: bytes([fill]) * size, SIZES, st.sampled_from(b"\r\n0a")), max_size=5)


@given(PIECES, st.lists(SIZES, min_size=1, max_size=5), SIZES)
def test_wherever_it_is_cut(pieces: list[bytes], sizes: list[int], size: int) -> None:
    """By the network, and by whoever reads it; content that looks like framing is content."""
    content = b"".join(pieces)
    size += len(content) // 100  # a byte at a time is too slow for all of it
    assert content_of(framed(pieces), sizes, len(content), size) == content


@given(PIECES, st.lists(SIZES, min_size=1, max_size=3), st.data())
def test_half_of_it_is_never_all(pieces: list[bytes], sizes: list[int], data: st.DataObject) -> None:
    """However often it is read."""
    whole = framed(pieces)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(RefusedError):
        content_of(cut, sizes, sum(map(len, pieces)), 65_536)


def test_a_body_that_was_refused_has_no_end() -> None:
    """Whoever goes on reading gets the refusal again, and not an end that looks like a good one."""
    content = b"what was not signed"
    broken = Payload(PlainBody(Arriving(content, [7])), len(content), "0" * 64, {}, [])
    for _ in range(3):
        with pytest.raises(RefusedError):
            read(broken, 65_536)
