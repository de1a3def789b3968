"""How often a part of a download is asked for whose connection breaks: as often as s3transfer asks, for the same."""

from __future__ import annotations

from s3transfer.exceptions import RetriesExceededError
from s3transfer.utils import S3_RETRYABLE_DOWNLOAD_ERRORS

__all__ = ["BROKEN", "Attempts"]

BROKEN = S3_RETRYABLE_DOWNLOAD_ERRORS
"""What is raised where a connection breaks off in the middle of an answer."""


class Attempts:
    """The attempts at one part.

    ::

        attempts = Attempts(config.num_download_attempts)
        while True:
            try:
                return fetch()
            except BROKEN as error:
                attempts.failed(error)
    """

    __slots__ = ("_left",)

    def __init__(self, count: int) -> None:
        """Take how many there may be; one there is in any case."""
        self._left = count

    def failed(self, error: BaseException) -> None:
        """Count one that failed.

        Raises:
            s3transfer.exceptions.RetriesExceededError: it was the last.
        """
        self._left -= 1
        if self._left <= 0:
            raise RetriesExceededError(error) from error
