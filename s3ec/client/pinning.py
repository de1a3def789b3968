"""Reads in more than one request: each but the first is tied to the ETag of the first answer.

Where the object is replaced in between, S3 answers 412. The caller gave no such condition and cannot make sense of it,
so the whole read begins again, once; nothing was handed out until then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from s3ec.client.answers import status_of
from s3ec.client.wire import Wire

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


def get_pinned(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """GetObject with an ``IfMatch`` of ours.

    Raises:
        ReplacedError: S3's 412.
        botocore.exceptions.ClientError: any other refusal.
    """
    try:
        return wire.call("GetObject", parameters)
    except ClientError as error:
        if status_of(error.response) == 412:
            raise ReplacedError(error) from None
        raise


def read_again_if_replaced(read: Callable[[], T]) -> T:
    """Call a read, and once more where the object was replaced during it.

    A condition of the caller's own is part of the first request, which S3 then refuses itself.
    """
    try:
        return read()
    except ReplacedError:
        pass
    try:
        return read()
    except ReplacedError as replaced:
        raise replaced.error from None
