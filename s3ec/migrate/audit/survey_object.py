"""What one object's headers say about its encryption: HEAD, and a GET of an instruction file where one may lie."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from s3ec import formats
from s3ec.bodies import read_whole
from s3ec.errors import InstructionFileError, S3ECError
from s3ec.formats import ContentMetadata, Detection, MetadataLocation
from s3ec.migrate.jsonable import Jsonable
from s3ec.migrate.work.ending import OF_THE_JOB, PASSING_ERRORS, SSE_C_CODES, code_of
from s3ec.s3.answers import NO_SUCH_OBJECT
from s3ec.s3.instruction_files import is_marked
from s3ec.s3.requests import metadata_size

__all__ = [
    "INSTRUCTION_FILE",
    "PLAINTEXT",
    "SUFFIXES",
    "UNREADABLE",
    "Entry",
    "SurveyedObject",
    "look",
    "look_at_entry",
]

PLAINTEXT = "plaintext"
INSTRUCTION_FILE = "instruction-file"
UNREADABLE = "unreadable"
SUFFIXES = (formats.INSTRUCTION_FILE_SUFFIX, formats.LEGACY_DOTNET_SUFFIX)

_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyedObject(Jsonable):
    """One version of one object, as its headers describe it.

    Attributes:
        key: never URL-encoded.
        version_id: ``"null"`` for the null version; None where the bucket keeps no versions.
        is_current: False for versions that a plain GET does not see.
        size: bytes stored.
        plaintext_size: bytes of plaintext; None where only reading would tell.
        last_modified: ISO 8601.
        etag: with its quotes.
        format: ``"plaintext"``, ``"V1"``, ``"V2"``, ``"V3"``, ``"instruction-file"`` or ``"unreadable"``.
        problem: why it is unreadable, or what is wrong all the same.
        error: class or S3 code of the problem.
        algorithm_suite: name of the content's suite.
        wrapping_algorithm: its wire name.
        metadata_location: ``"metadata"`` or ``"instruction_file"``.
        kms_key: the KMS key that the metadata names; most writers store none.
        context_names: names (not values) of the stored context or description.
        server_side_encryption: S3's word (``"AES256"``, ``"aws:kms"``, ``"aws:kms:dsse"``), ``"SSE-C"`` or ``"none"``.
        server_side_kms_key: its key.
        bucket_key: whether S3 used a bucket key.
        storage_class: ``"STANDARD"`` where S3 says nothing.
        is_archived: True if a restore must come before a read.
        lock_mode: Object Lock's, or None.
        retain_until: ISO 8601, or None.
        legal_hold: True if one lies on it.
        metadata_bytes: bytes of the caller's own user metadata, as S3 counts them.
    """

    key: str
    version_id: str | None = None
    is_current: bool = True
    size: int = 0
    plaintext_size: int | None = None
    last_modified: str | None = None
    etag: str | None = None
    format: str = PLAINTEXT
    problem: str | None = None
    error: str | None = None
    algorithm_suite: str | None = None
    wrapping_algorithm: str | None = None
    metadata_location: str | None = None
    kms_key: str | None = None
    context_names: tuple[str, ...] = ()
    server_side_encryption: str = "none"
    server_side_kms_key: str | None = None
    bucket_key: bool = False
    storage_class: str = "STANDARD"
    is_archived: bool = False
    lock_mode: str | None = None
    retain_until: str | None = None
    legal_hold: bool = False
    metadata_bytes: int = 0


@dataclass(slots=True)
class Entry:
    """One row of a listing, in boto3's words."""

    key: str
    size: int
    etag: str | None
    last_modified: datetime.datetime | None
    storage_class: str | None
    version_id: str | None = None
    is_current: bool = True


def look(client: Any, bucket: str, key: str, version_id: str | None = None) -> SurveyedObject:
    """Look at one object, with whatever instruction file lies beside it.

    Raises:
        botocore.exceptions.ClientError: there is no such object or bucket.
    """
    pinned = {"VersionId": version_id} if version_id else {}
    head = client.head_object(Bucket=bucket, Key=key, **pinned)
    entry = Entry(key, head["ContentLength"], head.get("ETag"), head.get("LastModified"), None, version_id)
    return _describe(client, bucket, entry, head, {key + suffix for suffix in SUFFIXES} | {key})


def look_at_entry(client: Any, bucket: str, entry: Entry, instruction_files: AbstractSet[str]) -> SurveyedObject:
    """Look at one row of a listing; a HEAD that is refused is a finding, not an error.

    Args:
        client: any boto3 S3 client that shows what S3 stores.
        bucket: the bucket.
        entry: the row.
        instruction_files: keys that end like an instruction file's; others are not asked for.

    Raises:
        botocore.exceptions.ClientError: what the next object would meet as well: credentials, a missing bucket.
    """
    pinned = {"VersionId": entry.version_id} if entry.version_id else {}
    try:
        head = client.head_object(Bucket=bucket, Key=entry.key, **pinned)
    except ClientError as error:
        if code_of(error) in OF_THE_JOB:
            raise
        return _unreadable(entry, error)
    return _describe(client, bucket, entry, head, instruction_files)


def _unreadable(entry: Entry, error: ClientError) -> SurveyedObject:
    """An object whose HEAD is refused; 400 without a body is what S3 answers for an SSE-C object."""
    code = code_of(error) or "Unknown"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    is_sse_c = status == 400 and code in SSE_C_CODES
    return SurveyedObject(
        key=entry.key,
        version_id=entry.version_id,
        is_current=entry.is_current,
        size=entry.size,
        last_modified=_iso(entry.last_modified),
        etag=entry.etag,
        format=UNREADABLE,
        problem="HEAD needs the SSE-C key" if is_sse_c else f"HEAD is refused: {_said(error)}",
        error="SSE-C" if is_sse_c else code,
        server_side_encryption="SSE-C" if is_sse_c else "none",
        storage_class=entry.storage_class or "STANDARD",
    )


def _said(error: ClientError) -> str:
    answer = error.response["Error"]
    return ": ".join(part for part in (answer.get("Code"), answer.get("Message")) if part)


def _describe(
    client: Any, bucket: str, entry: Entry, head: dict[str, Any], instruction_files: AbstractSet[str]
) -> SurveyedObject:
    own = formats.strip(head["Metadata"])
    storage_class = head.get("StorageClass") or entry.storage_class or "STANDARD"
    return SurveyedObject(
        key=entry.key,
        version_id=entry.version_id,
        is_current=entry.is_current,
        size=head["ContentLength"],
        last_modified=_iso(head.get("LastModified")),
        etag=head.get("ETag"),
        server_side_encryption="SSE-C"
        if head.get("SSECustomerAlgorithm")
        else head.get("ServerSideEncryption", "none"),
        server_side_kms_key=head.get("SSEKMSKeyId"),
        bucket_key=bool(head.get("BucketKeyEnabled")),
        storage_class=storage_class,
        is_archived=_is_archived(head, storage_class),
        lock_mode=head.get("ObjectLockMode"),
        retain_until=_iso(head.get("ObjectLockRetainUntilDate")),
        legal_hold=head.get("ObjectLockLegalHoldStatus") == "ON",
        metadata_bytes=metadata_size(own),
        **_encryption(client, bucket, entry, head, instruction_files),
    )


def _encryption(
    client: Any, bucket: str, entry: Entry, head: dict[str, Any], instruction_files: AbstractSet[str]
) -> dict[str, Any]:
    """The fields of `SurveyedObject` that come from content metadata."""
    metadata = head["Metadata"]
    try:
        detection = formats.detect(metadata)
        if detection is Detection.NONE and _is_instruction_file(client, bucket, entry, head, instruction_files):
            return {"format": INSTRUCTION_FILE, "plaintext_size": head["ContentLength"]}
        if detection in (Detection.V1, Detection.V2, Detection.V3):
            return _content(formats.parse_object(metadata), MetadataLocation.OBJECT_METADATA, head)
        found = _from_file(client, bucket, entry, metadata, instruction_files)
        if found is not None:
            return _content(found, MetadataLocation.INSTRUCTION_FILE, head)
        if detection is Detection.V3_INSTRUCTION_FILE:
            raise InstructionFileError("the instruction file that holds its data key is not there")
        formats.refuse_remnants(metadata)
    except (S3ECError, ClientError, *PASSING_ERRORS) as error:
        # A file of which only half arrived says nothing; the object beside it may be encrypted.
        name = (code_of(error) or "Unknown") if isinstance(error, ClientError) else type(error).__name__
        return {"format": UNREADABLE, "problem": str(error), "error": name}
    return {"format": PLAINTEXT, "plaintext_size": head["ContentLength"]}


def _plaintext_size(found: ContentMetadata, stored: int) -> int | None:
    """By the tag's length, or as a writer of CBC noted it, where the padding allows that."""
    suite, noted = found.algorithm_suite, found.stored_plaintext_length
    if not suite.is_legacy:
        return max(stored - suite.tag_length, 0)
    return noted if noted is not None and suite.ciphertext_length(noted) == stored else None


def _content(found: ContentMetadata, location: MetadataLocation, head: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": found.format.value,
        "plaintext_size": _plaintext_size(found, head["ContentLength"]),
        "algorithm_suite": found.algorithm_suite.name,
        "wrapping_algorithm": found.encrypted_data_key.wrapping_algorithm.label,
        "metadata_location": location.value,
        "kms_key": found.description.get("kms_cmk_id"),
        "context_names": tuple(sorted(found.description)),
    }


def _is_instruction_file(
    client: Any, bucket: str, entry: Entry, head: dict[str, Any], instruction_files: AbstractSet[str]
) -> bool:
    """By its marker; or, since several clients write none, by its body."""
    if entry.key not in instruction_files or not entry.key.endswith(SUFFIXES):
        return False
    if is_marked(head["Metadata"]):
        return True
    if head["ContentLength"] > formats.INSTRUCTION_FILE_MAX_LENGTH:
        return False
    pinned = {"VersionId": entry.version_id} if entry.version_id else {}
    return formats.is_instruction_file_body(
        read_whole(client.get_object(Bucket=bucket, Key=entry.key, **pinned)["Body"])
    )


def _from_file(
    client: Any, bucket: str, entry: Entry, metadata: Mapping[str, str], instruction_files: AbstractSet[str]
) -> ContentMetadata | None:
    """What the file beside the object makes of it; for old versions that is the file as it is now."""
    for suffix in SUFFIXES:
        key = entry.key + suffix
        if key not in instruction_files:
            continue
        try:
            answer = client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code_of(error) in NO_SUCH_OBJECT:
                continue
            raise
        marked = is_marked(answer.get("Metadata", {}))
        found = formats.judge_instruction_file(read_whole(answer["Body"]), metadata, is_marked=marked)
        if found is not None:
            return found
    return None


def _is_archived(head: dict[str, Any], storage_class: str) -> bool:
    restored = 'ongoing-request="false"' in head.get("Restore", "")
    return (storage_class in _ARCHIVED or "ArchiveStatus" in head) and not restored


def _iso(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
