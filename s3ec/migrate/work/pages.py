"""Pages of a listing that can be relied on: each is one, has what its rows must have, and leads on.

What is not listed counts as not there, and what S3 lists is dealt with one by one; so an answer that is none must not
pass for the end of a list, and a list that goes round in circles must not keep a job for ever. An endless list of new
keys cannot be told from a large bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from s3ec.errors import MigrationError
from s3ec.s3.lists import ROWS, Trail

__all__ = ["check_page", "pages"]

_MARKS = ("NextContinuationToken", "NextKeyMarker")


def pages(client: Any, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
    """Each page of a listing.

    Args:
        client: a plain boto3 S3 client.
        operation: ``"list_objects_v2"``, ``"list_object_versions"`` or ``"list_multipart_uploads"``.
        parameters: its parameters.

    Raises:
        s3ec.errors.MigrationError: an answer is none, lacks something, or was given before.
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: as boto3 raises them.
    """
    trail = Trail()
    for page in client.get_paginator(operation).paginate(**parameters):
        check_page(page)
        if trail.leads_nowhere(page):
            raise MigrationError("S3 gives the same page of a listing again and again; run it again")
        yield page


def check_page(page: Mapping[str, Any]) -> None:
    """Refuse an answer that is none: an empty one would pass for the end of the list, and the rest for done.

    Raises:
        s3ec.errors.MigrationError: S3 did not say whether and where the list goes on, or a row lacks something.
    """
    if "IsTruncated" not in page:
        raise MigrationError("S3 answered a listing without saying whether it is complete; run it again")
    if page["IsTruncated"] and not any(page.get(name) for name in _MARKS):
        raise MigrationError("S3 answered a listing that goes on without saying where; run it again")
    for name, members in ROWS.items():
        for row in page.get(name, ()):
            for member, kind in members.items():
                value = row.get(member)
                if not isinstance(value, kind) or (isinstance(value, int) and value < 0):
                    raise MigrationError(f"S3 answered a listing with a row that has no {member}; run it again")
