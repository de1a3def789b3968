"""copy_object: content metadata survives every copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from s3ec import formats
from s3ec.errors import (
    AuthenticationError,
    ConfigurationError,
    MetadataError,
    SecurityError,
    UnsupportedOperationError,
)
from s3ec.s3.carried import carried
from s3ec.s3.flow import Flow, RefusedError, after, call, close_body, hear, store
from s3ec.s3.instruction_copies import CopiedObject, copied_with_object, refuse_bound
from s3ec.s3.requests import check_metadata_size, check_user_metadata, metadata_size
from s3ec.s3.surroundings import Surroundings

__all__ = [
    "CONTENT_HEADERS",
    "CopySource",
    "LookedAt",
    "copy_heard",
    "copy_object",
    "heard_source",
    "look_first",
    "own_metadata",
    "parse_copy_source",
    "refusal_of_the_copy",
    "refuse_bound_copy",
    "rename_object",
    "source_request",
    "with_metadata",
    "without_conditions",
]


CONTENT_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
)
"""What a copy has of its source besides metadata, and loses where it states its metadata itself."""

_SOURCE_CONDITIONS = frozenset(
    {"CopySourceIfMatch", "CopySourceIfModifiedSince", "CopySourceIfNoneMatch", "CopySourceIfUnmodifiedSince"}
)


_WHOLE = (formats.Detection.V1, formats.Detection.V2, formats.Detection.V3)


@dataclass(frozen=True, slots=True)
class CopySource:
    """The object that a copy reads."""

    bucket: str
    key: str
    version_id: str | None = None

    def parameters(self) -> dict[str, str]:
        """Return the parameters of a read of it."""
        named = {"Bucket": self.bucket, "Key": self.key}
        return named if self.version_id is None else {**named, "VersionId": self.version_id}


def parse_copy_source(source: object) -> CopySource:
    """Read ``CopySource`` in each of boto3's forms: a map, ``bucket/key?versionId=…``, or an access point's ARN.

    Raises:
        ConfigurationError: it has none of these forms.
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


def source_request(s3: Surroundings, parameters: Mapping[str, Any], source: CopySource) -> dict[str, Any]:
    """The HEAD of a copy's source, with the source's own SSE-C key and owner, under the caller's conditions."""
    request: dict[str, Any] = {**source.parameters(), **s3.source_companion(parameters)}
    if "ExpectedSourceBucketOwner" in parameters:
        request["ExpectedBucketOwner"] = parameters["ExpectedSourceBucketOwner"]
    if "RequestPayer" in parameters:
        request["RequestPayer"] = parameters["RequestPayer"]
    conditions = {
        name.removeprefix("CopySource"): value for name, value in parameters.items() if name in _SOURCE_CONDITIONS
    }
    return {**request, **conditions}


def refusal_of_the_copy(s3: Surroundings, status: int | None, operation_name: str = "CopyObject") -> Exception | None:
    """What S3 answers a copy, whose source it answers a read of with this status; None where that is the same."""
    if status not in (304, 412):
        return None
    message = "At least one of the pre-conditions you specified did not hold"
    return s3.refusal(operation_name, 412, "PreconditionFailed", message)


def without_conditions(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy's parameters without the conditions on its source, which were met when it was looked at."""
    return {name: value for name, value in parameters.items() if name not in _SOURCE_CONDITIONS}


def own_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the content metadata among an object's user metadata, unchanged."""
    own = {name: value for name, value in metadata.items() if formats.is_content_metadata_key(name)}
    return dict(carried({"Metadata": own}, ("Metadata",)).get("Metadata", {}))


def refuse_bound_copy(metadata: Mapping[str, str], source: CopySource, target: Mapping[str, Any]) -> None:
    """Refuse a copy of an object whose context holds its ARN: it opens under no other name.

    Raises:
        UnsupportedOperationError: the copy would be unreadable.
    """
    if (source.bucket, source.key) == (target["Bucket"], target["Key"]):
        return
    try:
        refuse_bound(formats.parse_object(metadata).description)
    except (MetadataError, SecurityError):
        return


def rename_object(s3: Surroundings, parameters: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Rename an object of a directory bucket, unless its name is bound into its encryption context.

    Raises:
        UnsupportedOperationError: the client binds objects to their names.
        RefusedError: as from a plain client.
    """
    if s3.writing.bind_object:
        raise UnsupportedOperationError(
            "RenameObject is refused with bind_object=True: the object could not be read under its new name; read it, "
            "put it there and delete the old one"
        )
    return call("RenameObject", parameters)


@dataclass(frozen=True, slots=True)
class LookedAt:
    """The source of a copy as it was before handlers heard of the copy.

    Attributes:
        request: the HEAD.
        head: S3's answer.
        failure: how S3 refused it instead, which stands unless handlers name another source.
    """

    request: dict[str, Any] = field(repr=False)  # an SSE-C key may be among it
    head: dict[str, Any]
    failure: RefusedError | None = None


def copy_object(s3: Surroundings, parameters: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Copy an object with its content metadata, and with its instruction file if it has one.

    The caller's handlers hear of the copy in its middle: what they make of it is copied.

    Raises:
        UnsupportedOperationError: the source is not encrypted, or bound to its name.
        RefusedError: S3's own errors.
    """
    looked = yield from look_first(s3, parameters)
    heard = yield from hear("CopyObject", dict(parameters))
    return (yield from after(heard, copy_heard(s3, heard.parameters, looked)))


def look_first(s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[LookedAt | None]:
    """Look at the source that the caller names, before handlers hear of the copy, as stubs of tests expect.

    Returns:
        What was seen; None where it is for handlers to name the source.
    """
    if not {"Bucket", "Key", "CopySource"} <= parameters.keys():
        return None
    s3.validate("CopyObject", parameters)
    check_user_metadata(parameters.get("Metadata"))
    source = parse_copy_source(parameters["CopySource"])
    request = source_request(s3, parameters, source)
    try:
        head = yield from _head_source(s3, request)
    except RefusedError as refused:
        return LookedAt(request, {}, refused)
    return LookedAt(request, head)


def copy_heard(s3: Surroundings, parameters: dict[str, Any], looked: LookedAt | None) -> Flow[dict[str, Any]]:
    """Copy what handlers have left of a request.

    ``MetadataDirective="REPLACE"`` replaces the caller's own metadata only. The copy is pinned to the version that was
    looked at, so that content metadata of one object never meets the body of another.

    Args:
        s3: the client.
        parameters: the request, after handlers have heard of it.
        looked: what `look_first` saw before.

    Raises:
        UnsupportedOperationError: the source is not encrypted, or bound to its name.
        RefusedError: S3's own errors.
    """
    s3.validate("CopyObject", parameters)
    check_user_metadata(parameters.get("Metadata"))
    source = heard_source(parameters["CopySource"])
    looking = source_request(s3, parameters, source)
    if looked is None or looked.request != looking:
        looked = LookedAt(looking, (yield from _head_source(s3, looking)))
    elif looked.failure is not None:
        raise looked.failure
    head = looked.head
    metadata = head.get("Metadata", {})
    if not head.get("ETag"):
        # Without it nothing would say that what is copied is what was looked at.
        raise AuthenticationError("S3's answer about the source of the copy has no ETag")
    refuse_bound_copy(metadata, source, parameters)
    # The conditions held for what was looked at, and the copy is of nothing else.
    request = {**without_conditions(parameters), "CopySource": source.parameters(), "CopySourceIfMatch": head["ETag"]}

    def send(whole: Mapping[str, str] | None) -> Flow[dict[str, Any]]:
        stated = whole is not None or parameters.get("MetadataDirective") == "REPLACE"
        more = with_metadata(parameters, head, whole) if stated else {}
        return store("CopyObject", {**request, **more}, own=False)

    copied = CopiedObject(source.bucket, source.key, metadata, parameters)
    response = yield from copied_with_object(s3, copied, send)
    result = response.get("CopyObjectResult", {})
    for name in [name for name in result if name.startswith("Checksum")]:
        del result[name]
    return response


def _head_source(s3: Surroundings, request: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Send the HEAD of a copy's source.

    Raises:
        RefusedError: as S3 answers a copy of what is not there, or is not as the caller wants it.
    """
    try:
        return (yield from call("HeadObject", request))
    except RefusedError as refused:
        if refused.status == 404:
            yield from _say_what_is_missing({name: request[name] for name in request if not name.startswith("If")})
        if instead := refusal_of_the_copy(s3, refused.status):
            raise _in_place_of(refused, instead) from None
        raise


def _say_what_is_missing(request: Mapping[str, Any]) -> Flow[None]:
    """Raise the error by which S3 tells a missing bucket, key or version apart; a HEAD has no body to say it in."""
    try:
        response = yield from call("GetObject", {**request, "Range": "bytes=0-0"})
    except RefusedError as refused:
        raise _in_place_of(refused, refused.of("CopyObject")) from None
    yield from close_body(response["Body"])


def _in_place_of(refused: RefusedError, error: Exception) -> RefusedError:
    error.__cause__ = refused.error
    return RefusedError(error, getattr(error, "response", {}))


def with_metadata(
    parameters: Mapping[str, Any], head: Mapping[str, Any], whole: Mapping[str, str] | None
) -> dict[str, Any]:
    """Members of a copy that states all metadata of the new object.

    Args:
        parameters: the caller's, whose own metadata replaces the source's or not.
        head: the source's HEAD.
        whole: content metadata that the copy has in itself; None means the source's.

    Raises:
        ConfigurationError: it is too much for S3.
        MetadataError, SecurityError: the source's content metadata is damaged.
    """
    stored = head.get("Metadata", {})
    if whole is None and formats.detect(stored) in _WHOLE:
        # What a HEAD said is written down here: damaged, it would make a copy that nobody can read.
        formats.parse_object(stored)
    own = own_metadata(stored) if whole is None else dict(whole)
    if parameters.get("MetadataDirective") == "REPLACE":
        members, users = {}, parameters.get("Metadata") or {}
    else:
        members = carried(head, (*CONTENT_HEADERS, "Metadata"))
        users = formats.strip(members.get("Metadata", {}))
    metadata = {**users, **own}
    check_metadata_size(metadata, own=metadata_size(own))
    return {**members, "MetadataDirective": "REPLACE", "Metadata": metadata}


def heard_source(source: object) -> CopySource:
    """Return the source as botocore's own handler has written it: quoted for a header."""
    if not isinstance(source, str):
        return parse_copy_source(source)
    path, found, version = source.partition("?versionId=")
    return parse_copy_source(f"{unquote(path)}{found}{version}")
