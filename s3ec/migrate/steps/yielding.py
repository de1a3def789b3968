"""Another writer's change wins, whatever it changes: what is looked at right before a write, and right after it.

``If-Match`` sees other content. It does not see other metadata, tags or headers on the same bytes: the ETag of
plaintext is its MD5, and a copy within one name keeps it. So the object is looked at once more before the write; where
the bucket keeps versions, what came in between shows afterwards, and gets its place back. Where it keeps none, one
request's time is left in which such a change can be lost unseen: `UNGUARDED` says so of each object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from s3ec.migrate.model import Result
from s3ec.migrate.steps.source import Source
from s3ec.migrate.steps.writing import Target, Written
from s3ec.migrate.work.context import Calls
from s3ec.migrate.work.ending import PASSING_ERRORS, TaskEndedError, code_of, name_of, status_of

__all__ = ["PLACE_UNGUARDED", "TAGS_LEFT", "TAGS_UNGUARDED", "UNGUARDED", "give_place_back", "look_again"]

UNGUARDED = (
    "no versions are kept here: had another writer changed its metadata or tags alone, in the moment between the last "
    "look and the write, that would be lost"
)
PLACE_UNGUARDED = (
    "its versions were not looked at after the write: they could not be listed (s3:ListBucketVersions), so that a "
    "change by another writer in the moment before the write may be left in an old version"
)
TAGS_UNGUARDED = (
    "its tags were not compared after the write: they could not be read (s3:GetObjectVersionTagging), so that a change "
    "by another writer in the moment before the write may be left on an old version"
)
TAGS_LEFT = (
    "another writer changed its tags meanwhile, and these could not be carried over: they are left on an old version"
)

_COMPARED = (
    "VersionId", "LastModified", "ContentLength", "Metadata", "CacheControl", "ContentDisposition", "ContentEncoding",
    "ContentLanguage", "ContentType", "ExpiresString", "WebsiteRedirectLocation", "ObjectLockMode",
    "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus",
)  # fmt: skip
_DENIED = (401, 403)
_MOVED_ON = (404, 412)
_FAILURES = (ClientError, *PASSING_ERRORS)


def look_again(source: Source, calls: Calls) -> None:
    """Look once more, right before the write: one HEAD, also against an answer that had lost headers on its way.

    Raises:
        TaskEndedError: it is not what was read.
        botocore.exceptions.ClientError: it is gone (404), or has other content (412).
    """
    now = calls.small("head_object", Bucket=source.task.bucket, Key=source.task.key, IfMatch=source.etag)
    differing = [name for name in _COMPARED if now.get(name) != source.response.get(name)]
    counted = _tags_counted(now)  # not every server counts them in the answer to HEAD
    if counted is not None and counted != (_tags_counted(source.response) or "0"):
        differing.append("tags")
    if differing:
        raise TaskEndedError(
            Result.CHANGED, f"another writer changed the object ({', '.join(differing)}); it is looked at again"
        )


def _tags_counted(response: Mapping[str, Any]) -> str | None:
    """The number of tags by the header itself: not every boto3 knows that HEAD may have it."""
    count: str | None = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-tagging-count")
    return count


def give_place_back(
    source: Source, written: Written, target: Target, calls: Calls, *, compare_tags: bool = True
) -> tuple[str, ...]:
    """After a write in a bucket that keeps versions: what another writer left in between stands again.

    Args:
        source: what was read; its version lies right below ours if no other writer came in between.
        written: our own version.
        target: where it stands.
        calls: counts the requests.
        compare_tags: ask whether the tags of the old version are still those that were carried over.

    Returns:
        Notes on what could not be looked at.

    Raises:
        TaskEndedError: another writer came in between; what they left stands again.
    """
    if written.version_id is None:
        return (UNGUARDED,)
    notes: tuple[str, ...] = ()
    try:
        version, is_marker = _below(written, target, calls)
    except _FAILURES:
        # The object is written: to fail it now would have the next look find it done, and nobody would hear of this.
        notes = (PLACE_UNGUARDED,)
    else:
        if version is not None and (is_marker or version != (source.version_id or "null")):
            _step_back(version, is_marker, written, target, calls)
    return notes + (_follow_tags(source, written, target, calls) if compare_tags else ())


def _below(written: Written, target: Target, calls: Calls) -> tuple[str | None, bool]:
    """Id of the version right below ours, and whether it is a delete marker; the order is S3's, not that of clocks.

    AWS dates versions to the second, so that times cannot tell what came first.
    """
    answer = calls(
        "list_object_versions",
        Bucket=target.bucket,
        Prefix=target.key,
        KeyMarker=target.key,
        VersionIdMarker=written.version_id,
        MaxKeys=1,
    )
    for kind, is_marker in (("Versions", False), ("DeleteMarkers", True)):
        for entry in answer.get(kind, []):
            if entry["Key"] == target.key and entry["VersionId"] != written.version_id:
                return str(entry["VersionId"]), is_marker
    return None, False


def _step_back(version: str, is_marker: bool, written: Written, target: Target, calls: Calls) -> None:
    """Remove our own version; where a lock or a missing right forbids that, put the writer's state on top of it."""
    try:
        how = _put_back(version, is_marker, written, target, calls)
    except _FAILURES as error:
        if isinstance(error, ClientError) and status_of(error) in _MOVED_ON:
            raise
        # Not to be tried again: the next look would find the object done.
        message = f"another writer came between, and what it left ({version}) could not be put back: {name_of(error)}"
        raise TaskEndedError(Result.FAILED, message) from error
    result = Result.GONE if is_marker else Result.CHANGED
    raise TaskEndedError(result, f"another writer came between; {how}")


def _put_back(version: str, is_marker: bool, written: Written, target: Target, calls: Calls) -> str:
    where = {"Bucket": target.bucket, "Key": target.key}
    try:
        calls("delete_object", **where, VersionId=written.version_id)
    except ClientError as error:
        if status_of(error) not in (400, *_DENIED):
            raise
        if is_marker:
            calls("delete_object", **where, IfMatch=written.etag)
        else:
            calls("copy_object", **where, CopySource={**where, "VersionId": version}, IfMatch=written.etag)
        return "our version cannot be removed (a lock?), and what it left was put on top of it"
    return "what it left stands again"


def _follow_tags(source: Source, written: Written, target: Target, calls: Calls) -> tuple[str, ...]:
    """Carry over tags that were changed on the old version while the new one was written."""
    where = {"Bucket": target.bucket, "Key": target.key}
    unguarded = TAGS_UNGUARDED
    try:
        now = calls("get_object_tagging", **where, VersionId=source.version_id or "null")["TagSet"]
        if _as_text(now) == target.arguments.get("Tagging", ""):
            return ()
        mine = calls("get_object_tagging", **where, VersionId=written.version_id)["TagSet"]
        if _as_text(mine) == target.arguments.get("Tagging", ""):
            unguarded = TAGS_LEFT
            calls("put_object_tagging", **where, VersionId=written.version_id, Tagging={"TagSet": now})
            return ("its tags were changed meanwhile, and carried over after the write",)
    except _FAILURES as error:
        # Not a failure either: the next look would find the object done.
        if not (isinstance(error, ClientError) and code_of(error) in ("NoSuchVersion", "NoSuchKey", "NoSuchTagSet")):
            return (unguarded,)
    return ()


def _as_text(tags: list[Mapping[str, Any]]) -> str:
    return urlencode({tag["Key"]: tag["Value"] for tag in tags})
