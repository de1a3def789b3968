"""Listings for the everyday verbs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from s3ec.cli.failures import ExitCode, Failure, FailureError
from s3ec.cli.urls import S3Url

__all__ = ["nothing_there", "under"]


def under(client: Any, url: S3Url) -> Iterator[dict[str, Any]]:
    """Rows of the listing of everything in the folder ``url``; instruction files among them.

    Raises:
        FailureError: nothing is there.
    """
    empty = True
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=url.bucket, Prefix=url.folder):
        for row in page.get("Contents", ()):
            empty = False
            yield row
    if empty and url.key:
        raise nothing_there(url)


def nothing_there(url: S3Url) -> FailureError:
    """The error for a prefix that matches no object: a typing mistake must not look like success."""
    return FailureError(
        Failure(code=ExitCode.NOT_FOUND, error="NothingThere", message=f"{url}: nothing lies under this name")
    )
