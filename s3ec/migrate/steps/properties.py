"""Everything that hangs on an object beside its bytes, read so that one request can set it again.

PutObject and CreateMultipartUpload forget all that they are not told, and a copy that replaces metadata forgets the
headers too; so each property is read, and is said again. What cannot be said again ends the task before any write.
Source: Amazon S3 API reference (GetObject, PutObject, CopyObject, GetObjectAcl), user guide "Object metadata".
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from s3ec import formats
from s3ec.migrate.model import Action, SkipReason, Task
from s3ec.migrate.work.context import BucketFacts, Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError, code_of, status_of
from s3ec.s3.carried import text_of
from s3ec.s3.requests import GRANTS, grantee_of

__all__ = ["Properties", "put_annotations", "read_properties"]

_HEADERS = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType",
    "WebsiteRedirectLocation",
)  # fmt: skip
_SERVER_SIDE = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
_EVENT_HOLDS = ("ObjectLockEventHold", "ObjectLockEventHoldDurationDays", "ObjectLockEventHoldDurationYears")
_MINIMUM_DAYS = {"STANDARD_IA": 30, "ONEZONE_IA": 30, "GLACIER_IR": 90, "GLACIER": 90, "DEEP_ARCHIVE": 180}
_ABSENT = frozenset({"NotImplemented", "MethodNotAllowed", "NoSuchTagSet"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """What is said again when the object is written.

    Attributes:
        arguments: for ``put_object`` and ``create_multipart_upload``, everything but ``Metadata``.
        metadata: the caller's own user metadata.
        annotations: name and payload of each.
        notes: what an operator should know.
    """

    arguments: Mapping[str, Any]
    metadata: Mapping[str, str]
    annotations: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def put_annotations(
    properties: Properties, bucket: str, key: str, etag: str, version_id: str | None, calls: Calls
) -> None:
    """Set the annotations on an object that has just been written, if it still is that one."""
    version = {"VersionId": version_id} if version_id else {}
    for name, payload in properties.annotations.items():
        calls(
            "put_object_annotation",
            Bucket=bucket,
            Key=key,
            AnnotationName=name,
            AnnotationPayload=payload,
            ObjectIfMatch=etag,
            **version,
        )


def _sendable(values: Mapping[str, str]) -> dict[str, str]:
    try:
        return text_of(values)
    except UnicodeError as error:
        raise TaskEndedError.skip(
            SkipReason.METADATA_UNWRITABLE,
            f"a header or metadata entry is not UTF-8, and no SDK sends such bytes: {sorted(values)!a}",
        ) from error


def _headers(response: Mapping[str, Any]) -> dict[str, Any]:
    """Content headers, byte for byte; a date is said again in the letters that it came in, not as a date."""
    found = _sendable({name: response[name] for name in _HEADERS if name in response})
    raw = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("expires", response.get("ExpiresString"))
    if raw is not None:
        found |= _sendable({"Expires": raw})
    return found


def read_properties(task: Task, response: Mapping[str, Any], *, context: MigrationContext, calls: Calls) -> Properties:
    """Read all properties of the object that a GET or HEAD has just answered for.

    Raises:
        TaskEndedError: something cannot be read, or could not be written again.
    """
    settings = context.settings
    target_bucket, _ = settings.target(task.key)
    facts, target = context.facts(task.bucket), context.facts(target_bucket)
    metadata = _own_metadata(response, settings.keep_last_modified)
    arguments: dict[str, Any] = _headers(response)
    notes: list[str] = []
    arguments |= _storage(response, skip_young=settings.skip_young)
    arguments |= _server_side(response) if settings.server_side_encryption is None else settings.server_side_encryption
    arguments |= _lock(response, target, notes)
    arguments |= _tags(task, response, context, calls)
    if not settings.ignore_acl:
        arguments |= _acl(task, calls, facts, target)
    annotations = {}
    # CopyObject takes annotations along; everything else forgets them.
    if not (settings.action is Action.REWRAP and response["ContentLength"] <= settings.copy_limit):
        annotations = _annotations(task, context, calls)
        if context.lacks_annotations_unsaid(task.bucket):
            notes.append(f"annotations in {task.bucket}: this SDK or server knows none, and none are carried over")
    if annotations and settings.in_place and not facts.keeps_versions:
        # They are set after the object is; a kill in between would lose them, with no old version to read them from.
        raise TaskEndedError.skip(SkipReason.ANNOTATED)
    return Properties(arguments=arguments, metadata=metadata, annotations=annotations, notes=tuple(notes))


def _own_metadata(response: Mapping[str, Any], keep_last_modified: str | None) -> dict[str, str]:
    if response.get("MissingMeta"):
        raise TaskEndedError.skip(
            SkipReason.METADATA_UNWRITABLE, f"S3 shows {response['MissingMeta']} metadata entries less than there are"
        )
    metadata = _sendable(formats.strip(response.get("Metadata", {})))
    # S3 keeps names in lower case: in any other one, a second run would not find its own entry.
    entry = keep_last_modified.lower() if keep_last_modified else None
    if entry and entry not in metadata:
        metadata[entry] = response["LastModified"].isoformat()
    return metadata


def _storage(response: Mapping[str, Any], *, skip_young: bool) -> dict[str, str]:
    storage_class = response.get("StorageClass", "STANDARD")
    days = _MINIMUM_DAYS.get(storage_class)
    if skip_young and days and _now() - response["LastModified"] < datetime.timedelta(days=days):
        raise TaskEndedError.skip(SkipReason.YOUNG, f"{storage_class} is paid for {days} days at least")
    return {} if storage_class == "STANDARD" else {"StorageClass": storage_class}


def _server_side(response: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {name: response[name] for name in _SERVER_SIDE if response.get(name)}
    if response.get("ServerSideEncryption") not in ("aws:kms", "aws:kms:dsse"):
        arguments.pop("SSEKMSKeyId", None)
    # S3 gives the context back as a raw header only, in the form that the request takes.
    raw = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-server-side-encryption-context")
    return arguments | ({"SSEKMSEncryptionContext": raw} if raw else {})


def _lock(response: Mapping[str, Any], target: BucketFacts, notes: list[str]) -> dict[str, Any]:
    arguments = {name: response[name] for name in _EVENT_HOLDS if response.get(name)}
    until = response.get("ObjectLockRetainUntilDate")
    if until is not None and until > _now():
        arguments |= {"ObjectLockMode": response["ObjectLockMode"], "ObjectLockRetainUntilDate": until}
    if response.get("ObjectLockLegalHoldStatus") == "ON":
        arguments["ObjectLockLegalHoldStatus"] = "ON"
    if arguments and not target.has_lock:
        raise TaskEndedError.skip(SkipReason.DESTINATION_WITHOUT_LOCK)
    if arguments:
        notes.append("the old version is locked and cannot be removed before its retention or hold ends")
    return arguments


def _tags(task: Task, response: Mapping[str, Any], context: MigrationContext, calls: Calls) -> dict[str, str]:
    """The tags, asked for where the answer to GET counts some, or where its silence does not mean that there are none.

    S3 leaves the count out for whoever may not read an object's tags. So they are asked for once in each folder.
    """
    trust, readers = context.settings.trust_tag_count, context.tag_readers
    # An SDK of 2025 shows the count of a GET and drops that of a HEAD: there, nothing said is not "none". A dry run,
    # which has a HEAD alone, asks, and does not count what a run would not send.
    is_counted = context.settings.action is not Action.REWRAP and ("Body" in response or context.dry_run)
    if response.get("TagCount") or trust is False or not is_counted:
        return _asked_tags(task, calls, ignore=context.settings.ignore_tags)
    if trust or readers.is_known(task.bucket, task.key):
        if not context.dry_run:
            return {}
        tags = _asked_tags(task, calls, ignore=context.settings.ignore_tags)
        calls.counts["get_object_tagging"] -= not tags
        return tags
    is_yes = False
    try:
        found = _asked_tags(task, calls, ignore=False)
        is_yes = True
    except TaskEndedError:
        if not context.settings.ignore_tags:
            raise
        found = {}
    finally:
        readers.answered(task.bucket, task.key, is_yes=is_yes)
    return found


def _asked_tags(task: Task, calls: Calls, *, ignore: bool) -> dict[str, str]:
    # Asked of the object as it stands, which takes fewer permissions than asking a version: should it be another one by
    # now, the condition of the write will say so.
    try:
        answer = calls.small("get_object_tagging", Bucket=task.bucket, Key=task.key)
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return {}
        if status_of(error) not in (401, 403):
            raise
        if ignore:
            return {}
        raise TaskEndedError.skip(SkipReason.TAGS_UNREADABLE) from error
    tags = {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}
    return {"Tagging": urlencode(tags)} if tags else {}


def _acl(task: Task, calls: Calls, facts: BucketFacts, target: BucketFacts) -> dict[str, str]:
    """The grants as headers, so that the object never stands there without them."""
    if not facts.has_acls:
        return {}
    try:
        answer = calls("get_object_acl", Bucket=task.bucket, Key=task.key)
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return {}
        if status_of(error) not in (401, 403):
            raise
        raise TaskEndedError.skip(SkipReason.ACL_UNREADABLE) from error
    owner = answer.get("Owner", {}).get("ID")
    if facts.owner_id and owner and owner != facts.owner_id:
        raise TaskEndedError.skip(SkipReason.FOREIGN_OWNER)
    grants: dict[str, list[str]] = {}
    for grant in answer.get("Grants", []):
        grants.setdefault(_argument(grant), []).append(grantee_of(grant))
    # MinIO names no owner and no grantee in the one grant that it knows.
    if grants in ({}, {"GrantFullControl": [f'id="{owner}"']}, {"GrantFullControl": ['id=""']}):
        return {}
    if not target.has_acls:
        raise TaskEndedError.skip(SkipReason.DESTINATION_WITHOUT_ACLS)
    return {name: ", ".join(grantees) for name, grantees in grants.items()}


def _argument(grant: Mapping[str, Any]) -> str:
    argument = GRANTS.get(grant["Permission"])
    if argument is None:
        raise TaskEndedError.skip(
            SkipReason.ACL_UNREADABLE, f"its ACL grants {grant['Permission']!a}, which no put can"
        )
    return argument


def _annotations(task: Task, context: MigrationContext, calls: Calls) -> dict[str, bytes]:
    if not context.has_annotations(task.bucket, task.key):
        return {}
    found: dict[str, bytes] = {}
    token: dict[str, str] = {}
    try:
        while True:
            page = calls("list_object_annotations", Bucket=task.bucket, Key=task.key, **token)
            for entry in page.get("Annotations", []):
                name = entry["AnnotationName"]
                answer = calls("get_object_annotation", Bucket=task.bucket, Key=task.key, AnnotationName=name)
                found[name] = answer["AnnotationPayload"].read()
            if not page.get("NextContinuationToken"):
                return found
            token = {"ContinuationToken": page["NextContinuationToken"]}
    except ClientError as error:
        if status_of(error) not in (401, 403):
            raise
        raise TaskEndedError.skip(SkipReason.ANNOTATIONS_UNREADABLE) from error


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
