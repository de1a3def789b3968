"""Bodies of answers, read to their end: only a read that gives nothing makes botocore compare lengths."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from s3ec import formats

__all__ = ["filled", "read_whole"]


def filled(read: Callable[[int], bytes], size: int) -> bytes:
    """Return ``size`` bytes of what is read; fewer only at the end, which was then seen.

    Args:
        read: gives some bytes, as many as it is asked for at most, and none at the end.
        size: bytes.
    """
    data = read(size)
    if len(data) == size:
        return data
    pieces, left = [data], size - len(data)
    while left and (piece := read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces) if len(pieces) > 1 else data


def read_whole(body: Any, at_most: int = formats.INSTRUCTION_FILE_MAX_LENGTH) -> bytes:
    """Read a small body to its verified end, and close it; one byte more than allowed where it is larger.

    Half a file would be no instruction file at all, and the object beside it would pass for one that is not encrypted.

    Raises:
        botocore.exceptions.BotoCoreError: the connection was cut.
    """
    with closing(body):
        return filled(body.read, at_most + 1)
