"""copy_object: content metadata survives every copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from s3ec import formats
from s3ec.client import instruction_objects, server_side
from s3ec.client.requests import OBJECT_ARN_PAIR, check_metadata_size, check_user_metadata, metadata_size
from s3ec.client.wire import Wire
from s3ec.errors import ConfigurationError, MetadataError, SecurityError, UnsupportedOperationError
from s3ec.formats import Detection

__all__ = [
    "CopySource",
    "copy_instruction_file_if_any",
    "copy_object",
    "head_source",
    "own_metadata",
    "parse_copy_source",
    "refuse_bound_copy",
]


_SOURCE_CONDITIONS = frozenset(
    {"CopySourceIfMatch", "CopySourceIfModifiedSince", "CopySourceIfNoneMatch", "CopySourceIfUnmodifiedSince"}
)


@dataclass(frozen=True, slots=True)
class CopySource:
    """The object that a copy reads."""

    bucket: str
    key: str
    version_id: str | None = None

    def parameters(self) -> dict[str, str]:
        """Parameters of a read of it."""
        named = {"Bucket": self.bucket, "Key": self.key}
        return named if self.version_id is None else {**named, "VersionId": self.version_id}


def parse_copy_source(source: object) -> CopySource:
    """Read ``CopySource`` in each of boto3's forms: a map, ``bucket/key?versionId=…``, or an access point's ARN.

    Raises:
        ConfigurationError: it is none of them.
    """
    if isinstance(source, Mapping) and isinstance(source.get("Bucket"), str) and isinstance(source.get("Key"), str):
        return CopySource(source["Bucket"], source["Key"], source.get("VersionId"))
    if isinstance(source, str):
        path, _, version = source.partition("?versionId=")
        path = path.lstrip("/")
        marker = "/object/" if path.startswith("arn:") else "/"
        bucket, found, key = path.partition(marker)
        if found and bucket and key:
            return CopySource(bucket, key, unquote(version) or None)
    raise ConfigurationError('CopySource must be {"Bucket": …, "Key": …[, "VersionId": …]} or "bucket/key"')


def head_source(wire: Wire, parameters: Mapping[str, Any], source: CopySource) -> dict[str, Any]:
    """HEAD of the source, with the source's own SSE-C key and owner, under the caller's conditions.

    Raises:
        botocore.exceptions.ClientError: as S3 answers a copy of what is not there, or is not as the caller wants it.
    """
    request: dict[str, Any] = {**source.parameters(), **server_side.source_companion(parameters)}
    if "ExpectedSourceBucketOwner" in parameters:
        request["ExpectedBucketOwner"] = parameters["ExpectedSourceBucketOwner"]
    if "RequestPayer" in parameters:
        request["RequestPayer"] = parameters["RequestPayer"]
    conditions = {
        name.removeprefix("CopySource"): value for name, value in parameters.items() if name in _SOURCE_CONDITIONS
    }
    try:
        return wire.call("HeadObject", {**request, **conditions})
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status in (304, 412):
            raise wire.refusal(
                "CopyObject", 412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
            ) from error
        if status == 404:
            _say_what_is_missing(wire, request)
        raise


def _say_what_is_missing(wire: Wire, request: Mapping[str, Any]) -> None:
    """Raise the error by which S3 tells a missing bucket, key or version apart; a HEAD has no body to say it in."""
    try:
        wire.call("GetObject", {**request, "Range": "bytes=0-0"})["Body"].close()
    except ClientError as error:
        raise type(error)(error.response, "CopyObject") from error


def own_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The content metadata among an object's user metadata, as it stands."""
    return {name: value for name, value in metadata.items() if formats.is_content_metadata_key(name)}


def refuse_bound_copy(metadata: Mapping[str, str], source: CopySource, target: Mapping[str, Any]) -> None:
    """An object whose context holds its ARN opens under no other name.

    Raises:
        UnsupportedOperationError: the copy would be unreadable.
    """
    if (source.bucket, source.key) == (target["Bucket"], target["Key"]):
        return
    try:
        _refuse_bound(formats.parse_object(metadata).description)
    except (MetadataError, SecurityError):
        return


def _description_in_file(
    wire: Wire, parameters: Mapping[str, Any], source: CopySource, metadata: Mapping[str, str]
) -> Mapping[str, str]:
    """The encryption context in an object's instruction file; none where it is unreadable."""
    look = {**source.parameters(), **server_side.source_companion(parameters)}
    look.pop("VersionId", None)  # the file is one for all versions
    if owner := parameters.get("ExpectedSourceBucketOwner"):
        look["ExpectedBucketOwner"] = owner
    try:
        return instruction_objects.fetch(wire, look, metadata, None).description
    except (MetadataError, SecurityError):
        return {}


def _refuse_bound(description: Mapping[str, str]) -> None:
    if OBJECT_ARN_PAIR in description:
        raise UnsupportedOperationError(
            "the object is bound to its name (bind_object=True wrote its ARN into the encryption context), so a copy "
            "under another name could not be read: read it and put it there instead, which re-encrypts it"
        )


def copy_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Copy an object with its content metadata, and with its instruction file where it has one.

    ``MetadataDirective="REPLACE"`` replaces the caller's own metadata only. The copy is pinned to the version that was
    looked at, so that content metadata of one object never meets the body of another.
    """
    wire.validate("CopyObject", parameters)
    check_user_metadata(parameters.get("Metadata"))
    source = parse_copy_source(parameters["CopySource"])
    head = head_source(wire, parameters, source)
    metadata = head.get("Metadata", {})
    refuse_bound_copy(metadata, source, parameters)
    # The conditions held for what was looked at, and the copy is of nothing else.
    request = {name: value for name, value in parameters.items() if name not in _SOURCE_CONDITIONS}
    request["CopySourceIfMatch"] = head["ETag"]
    if parameters.get("MetadataDirective") == "REPLACE":
        own = own_metadata(metadata)
        request["Metadata"] = {**parameters.get("Metadata", {}), **own}
        check_metadata_size(request["Metadata"], own=metadata_size(own))
    copy_instruction_file_if_any(wire, parameters, source, metadata)
    response = wire.call("CopyObject", request)
    result = response.get("CopyObjectResult", {})
    for name in [name for name in result if name.startswith("Checksum")]:
        del result[name]
    return response


def copy_instruction_file_if_any(
    wire: Wire, parameters: Mapping[str, Any], source: CopySource, metadata: Mapping[str, str]
) -> None:
    """Copy the instruction file before the object: a crash then leaves at worst a file without an object."""
    if not wire.options.instruction_file_reads:
        return
    if formats.detect(metadata) not in (Detection.NONE, Detection.V3_INSTRUCTION_FILE):
        return
    suffix = formats.INSTRUCTION_FILE_SUFFIX
    target = parameters["Key"] + suffix
    if (source.bucket, source.key) == (parameters["Bucket"], parameters["Key"]):
        return
    place: dict[str, Any] = {"Bucket": source.bucket, "Key": source.key + suffix}
    owner = parameters.get("ExpectedSourceBucketOwner")
    look = {**place, **({"ExpectedBucketOwner": owner} if owner else {}), **server_side.source_companion(parameters)}
    if not instruction_objects.is_ours(wire, look):
        return
    _refuse_bound(_description_in_file(wire, parameters, source, metadata))
    carried = {
        name: value
        for name, value in parameters.items()
        if name not in ("CopySource", "Key", "Metadata", "MetadataDirective", "Tagging", "TaggingDirective")
        and not name.startswith(("CopySourceIf", "If", "Content", "Website", "Checksum", "ObjectLock"))
    }
    wire.call("CopyObject", {**carried, "Key": target, "CopySource": place})


def rename_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Rename an object of a directory bucket, unless its name is bound into its encryption context.

    Raises:
        UnsupportedOperationError: the client binds objects to their names.
    """
    if wire.options.bind_object:
        raise UnsupportedOperationError(
            "RenameObject is refused with bind_object=True: the object could not be read under its new name; read it, "
            "put it there and delete the old one"
        )
    return wire.call("RenameObject", parameters)
