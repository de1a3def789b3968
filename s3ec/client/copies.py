"""copy_object: content metadata survives every copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from s3ec import formats
from s3ec.client import server_side
from s3ec.client.carried import carried
from s3ec.client.wire import Wire
from s3ec.errors import ConfigurationError, MetadataError, SecurityError, UnsupportedOperationError
from s3ec.s3.flow import Flow, store
from s3ec.s3.instruction_copies import CopiedObject, copied_with_object, refuse_bound
from s3ec.s3.requests import check_metadata_size, check_user_metadata, metadata_size

__all__ = [
    "CONTENT_HEADERS",
    "CopySource",
    "copy_object",
    "head_source",
    "heard_source",
    "of_the_copy",
    "own_metadata",
    "parse_copy_source",
    "refuse_bound_copy",
    "send_keeping",
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


def source_request(parameters: Mapping[str, Any], source: CopySource) -> dict[str, Any]:
    """The HEAD of a copy's source, with the source's own SSE-C key and owner, under the caller's conditions."""
    request: dict[str, Any] = {**source.parameters(), **server_side.source_companion(parameters)}
    if "ExpectedSourceBucketOwner" in parameters:
        request["ExpectedBucketOwner"] = parameters["ExpectedSourceBucketOwner"]
    if "RequestPayer" in parameters:
        request["RequestPayer"] = parameters["RequestPayer"]
    conditions = {
        name.removeprefix("CopySource"): value for name, value in parameters.items() if name in _SOURCE_CONDITIONS
    }
    return {**request, **conditions}


def head_source(wire: Wire, parameters: Mapping[str, Any], source: CopySource) -> dict[str, Any]:
    """Send the HEAD of the source that `source_request` describes.

    Raises:
        botocore.exceptions.ClientError: as S3 answers a copy of what is not there, or is not as the caller wants it.
    """
    request = source_request(parameters, source)
    try:
        with of_the_copy(wire):
            return wire.call("HeadObject", request)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            _say_what_is_missing(wire, {name: request[name] for name in request if not name.startswith("If")})
        raise


@contextmanager
def of_the_copy(wire: Wire, operation_name: str = "CopyObject") -> Iterator[None]:
    """Answer a read's conditions the way S3 answers those of the copy."""
    try:
        yield
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (304, 412):
            message = "At least one of the pre-conditions you specified did not hold"
            raise wire.refusal(operation_name, 412, "PreconditionFailed", message) from error
        raise


def without_conditions(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy's parameters without the conditions on its source, which were met when it was looked at."""
    return {name: value for name, value in parameters.items() if name not in _SOURCE_CONDITIONS}


def _say_what_is_missing(wire: Wire, request: Mapping[str, Any]) -> None:
    """Raise the error by which S3 tells a missing bucket, key or version apart; a HEAD has no body to say it in."""
    try:
        wire.call("GetObject", {**request, "Range": "bytes=0-0"})["Body"].close()
    except ClientError as error:
        raise type(error)(error.response, "CopyObject") from error


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


def copy_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Copy an object with its content metadata, and with its instruction file if it has one.

    ``MetadataDirective="REPLACE"`` replaces the caller's own metadata only. The copy is pinned to the version that was
    looked at, so that content metadata of one object never meets the body of another.

    Raises:
        UnsupportedOperationError: the source is not encrypted, or bound to its name.
    """
    looked, failure = _look_first(wire, parameters)
    heard = wire.hear("CopyObject", dict(parameters))
    wire, parameters = wire.after(heard), heard.parameters
    wire.validate("CopyObject", parameters)
    check_user_metadata(parameters.get("Metadata"))
    source = heard_source(parameters["CopySource"])
    if looked is None or looked[0] != source_request(parameters, source):
        looked = source_request(parameters, source), head_source(wire, parameters, source)
    elif failure is not None:
        raise failure
    head = looked[1]
    metadata = head.get("Metadata", {})
    refuse_bound_copy(metadata, source, parameters)
    # The conditions held for what was looked at, and the copy is of nothing else.
    request = {**without_conditions(parameters), "CopySource": source.parameters(), "CopySourceIfMatch": head["ETag"]}

    def send(whole: Mapping[str, str] | None) -> Flow[dict[str, Any]]:
        stated = whole is not None or parameters.get("MetadataDirective") == "REPLACE"
        more = with_metadata(parameters, head, whole) if stated else {}
        return store("CopyObject", {**request, **more}, own=False)

    copied = CopiedObject(source.bucket, source.key, metadata, parameters)
    response = wire.run(copied_with_object(wire, copied, send))
    result = response.get("CopyObjectResult", {})
    for name in [name for name in result if name.startswith("Checksum")]:
        del result[name]
    return response


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
    """
    own = own_metadata(head.get("Metadata", {})) if whole is None else dict(whole)
    if parameters.get("MetadataDirective") == "REPLACE":
        members, users = {}, parameters.get("Metadata") or {}
    else:
        members = carried(head, (*CONTENT_HEADERS, "Metadata"))
        users = formats.strip(members.get("Metadata", {}))
    metadata = {**users, **own}
    check_metadata_size(metadata, own=metadata_size(own))
    return {**members, "MetadataDirective": "REPLACE", "Metadata": metadata}


def _look_first(
    wire: Wire, parameters: Mapping[str, Any]
) -> tuple[tuple[dict[str, Any], dict[str, Any]] | None, ClientError | None]:
    """Look at the source that the caller names, before handlers hear of the copy, as stubs of tests expect.

    Returns:
        The HEAD and its answer, or None where it is for handlers to name the source; and how S3 refused it.
    """
    if not {"Bucket", "Key", "CopySource"} <= parameters.keys():
        return None, None
    wire.validate("CopyObject", parameters)
    check_user_metadata(parameters.get("Metadata"))
    source = parse_copy_source(parameters["CopySource"])
    try:
        return (source_request(parameters, source), head_source(wire, parameters, source)), None
    except ClientError as error:
        # It stands, unless handlers name another source.
        return (source_request(parameters, source), {}), error


def heard_source(source: object) -> CopySource:
    """Return the source as botocore's own handler has written it: quoted for a header."""
    if not isinstance(source, str):
        return parse_copy_source(source)
    path, found, version = source.partition("?versionId=")
    return parse_copy_source(f"{unquote(path)}{found}{version}")


def send_keeping(wire: Wire, own: Mapping[str, str], operation_name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Send a request of a managed copy; one that makes an object keeps its content metadata, whatever handlers do.

    Args:
        wire: the client's.
        own: the content metadata of the source.
        operation_name: as botocore spells it.
        parameters: as s3transfer wants them sent.
    """
    if operation_name not in ("CopyObject", "CreateMultipartUpload"):
        return wire.call(operation_name, parameters)
    heard = wire.hear(operation_name, parameters)
    request = dict(heard.parameters)
    if "CopySource" in request:
        request["CopySource"] = heard_source(request["CopySource"]).parameters()
    if operation_name == "CreateMultipartUpload" or request.get("MetadataDirective") == "REPLACE":
        request["Metadata"] = {**formats.strip(request.get("Metadata") or {}), **own}
    return wire.store(operation_name, request, heard=heard)


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
