"""Listings for the everyday verbs, and what is said of names under which nothing lies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from s3ec.cli.failures import ExitCode, Failure, FailureError
from s3ec.cli.urls import S3Url
from s3ec.migrate.audit.survey_object import INSTRUCTION_FILE, SUFFIXES, look
from s3ec.migrate.work.pages import pages
from s3ec.s3.answers import code_of

__all__ = ["is_instruction_file", "nothing_there", "rows", "single_object", "under"]

_ABSENT = frozenset({"404", "NotFound", "NoSuchKey"})


def rows(client: Any, url: S3Url) -> Iterator[dict[str, Any]]:
    """Yield the rows of everything in the folder ``url``, instruction files among them."""
    for page in pages(client, "list_objects_v2", Bucket=url.bucket, Prefix=url.folder):
        yield from page.get("Contents", ())


def under(client: Any, url: S3Url) -> Iterator[dict[str, Any]]:
    """Yield the rows of a folder that must not be empty.

    Raises:
        FailureError: nothing is there.
    """
    empty = True
    for row in rows(client, url):
        empty = False
        yield row
    if empty and url.key:
        raise nothing_there(url)


def nothing_there(url: S3Url) -> FailureError:
    """Return the error for a prefix that matches no object: a typing mistake must not look like success."""
    return FailureError(
        Failure(code=ExitCode.NOT_FOUND, error="NothingThere", message=f"{url}: nothing lies under this name")
    )


@contextlib.contextmanager
def single_object(client: Any, url: S3Url, advice: str) -> Iterator[None]:
    """Say in the error if an object is missing but a folder of its name is there.

    Args:
        client: lists the folder.
        url: the object.
        advice: what to do with a folder.

    Raises:
        FailureError: it is a folder.
    """
    try:
        yield
    except ClientError as error:
        if code_of(error.response) not in _ABSENT or url.key == url.folder:
            raise
        with contextlib.suppress(ClientError):
            if client.list_objects_v2(Bucket=url.bucket, Prefix=url.folder, MaxKeys=1).get("Contents"):
                message = f"{url} is a folder, not an object: {advice}"
                raise FailureError(Failure(code=ExitCode.NOT_FOUND, error="NoSuchKey", message=message)) from error
        raise


def is_instruction_file(client: Any, bucket: str, key: str) -> bool:
    """True if a file holds another object's content metadata; only names that end like one are looked at."""
    return key.endswith(SUFFIXES) and look(client, bucket, key).format == INSTRUCTION_FILE
