"""Reads in more than one request: each but the first is tied to the ETag of the first answer.

Where the object is replaced in between, S3 answers 412. The caller gave no such condition and cannot make sense of it,
so the whole read begins again, once; nothing was handed out until then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from s3ec.s3.flow import Flow, RefusedError, call

__all__ = ["ReplacedError", "get_pinned", "read_again_if_replaced"]

T = TypeVar("T")


class ReplacedError(Exception):
    """The object is not the one that the read began with; never leaves the client.

    Attributes:
        error: what the caller hears where it happens again.
    """

    def __init__(self, error: Exception) -> None:
        """Take the error that is raised in the end."""
        super().__init__(str(error))
        self.error = error


def get_pinned(parameters: dict[str, Any]) -> Flow[dict[str, Any]]:
    """GetObject with an ``IfMatch`` of ours.

    Raises:
        ReplacedError: S3's 412.
        RefusedError: any other refusal.
    """
    try:
        return (yield from call("GetObject", parameters))
    except RefusedError as refused:
        if refused.status == 412:
            raise ReplacedError(refused.error) from None
        raise


def read_again_if_replaced(read: Callable[[], Flow[T]]) -> Flow[T]:
    """Do a read, and once more where the object was replaced during it.

    A condition of the caller's own is part of the first request, which S3 then refuses itself.
    """
    try:
        return (yield from read())
    except ReplacedError:
        pass
    try:
        return (yield from read())
    except ReplacedError as replaced:
        raise replaced.error from None
