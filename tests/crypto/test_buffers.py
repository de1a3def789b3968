from __future__ import annotations

import array

import pytest

from s3ec.crypto.buffers import octets


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"abc", b"abc"),
        (b"", b""),
        (bytearray(b"abc"), b"abc"),
        (memoryview(b"abcd")[1:3], b"bc"),
        (memoryview(b"abcd").cast("B", (2, 2)), b"abcd"),
        (memoryview(array.array("I", [1, 2])), array.array("I", [1, 2]).tobytes()),
        (memoryview(array.array("I")), b""),
        (memoryview(array.array("b", [1, -1])), b"\x01\xff"),
    ],
)
def test_the_length_of_a_view_is_its_number_of_bytes(data: memoryview, expected: bytes) -> None:
    """Whatever the items of a buffer are, what counts is bytes."""
    view = octets(data)
    assert len(view) == len(expected)
    assert bytes(view) == expected


@pytest.mark.parametrize("data", [memoryview(b"abcdef")[::2], memoryview(b"abcdef")[::-1], "text", None, 3])
def test_what_is_not_contiguous_bytes_is_refused(data: object) -> None:
    """A view with gaps, text or a number is a mistake of the caller's."""
    with pytest.raises(TypeError):
        octets(data)  # type: ignore[arg-type]  # the mistake under test
