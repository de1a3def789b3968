"""copy_object: content metadata survives every copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from s3ec import formats
from s3ec.client import instruction_objects, server_side
from s3ec.client.carried import carried
from s3ec.client.requests import OBJECT_ARN_PAIR, check_metadata_size, check_user_metadata, metadata_size
from s3ec.client.wire import Wire
from s3ec.errors import ConfigurationError, MetadataError, SecurityError, UnsupportedOperationError
from s3ec.formats import Detection

__all__ = [
    "CopySource",
    "copy_instruction_file_if_any",
    "copy_object",
    "head_source",
    "heard_source",
    "of_the_copy",
    "own_metadata",
    "parse_copy_source",
    "refuse_bound_copy",
    "send_keeping",
    "source_request",
    "without_conditions",
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
        _refuse_bound(formats.parse_object(metadata).description)
    except (MetadataError, SecurityError):
        return


def _description_in_file(
    wire: Wire, parameters: Mapping[str, Any], source: CopySource, metadata: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the encryption context in an object's instruction file; none if it is unreadable."""
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
    if parameters.get("MetadataDirective") == "REPLACE":
        own = own_metadata(metadata)
        request["Metadata"] = {**parameters.get("Metadata", {}), **own}
        check_metadata_size(request["Metadata"], own=metadata_size(own))
    copy_instruction_file_if_any(wire, parameters, source, metadata)
    response = wire.store("CopyObject", request, heard=heard)
    result = response.get("CopyObjectResult", {})
    for name in [name for name in result if name.startswith("Checksum")]:
        del result[name]
    return response


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


def copy_instruction_file_if_any(
    wire: Wire, parameters: Mapping[str, Any], source: CopySource, metadata: Mapping[str, str]
) -> None:
    """Copy the instruction file before the object: a crash then leaves at worst a file without an object.

    Raises:
        UnsupportedOperationError: there is none, and no content metadata in the object either.
    """
    place = _instruction_file(wire, parameters, source, metadata)
    if place is None:
        _refuse_unencrypted(wire, parameters, source, metadata)
        return
    if (source.bucket, source.key) == (parameters["Bucket"], parameters["Key"]):
        return
    _refuse_bound(_description_in_file(wire, parameters, source, metadata))
    carried = {
        name: value
        for name, value in parameters.items()
        if name not in ("CopySource", "Key", "Metadata", "MetadataDirective", "Tagging", "TaggingDirective")
        and not name.startswith(("CopySourceIf", "If", "Content", "Website", "Checksum", "ObjectLock"))
    }
    target = parameters["Key"] + place["Key"][len(source.key) :]
    wire.store("CopyObject", {**carried, "Key": target, "CopySource": place}, heard=None)


def _instruction_file(
    wire: Wire, parameters: Mapping[str, Any], source: CopySource, metadata: Mapping[str, str]
) -> dict[str, str] | None:
    """Return where the source's instruction file is, or None."""
    if not wire.options.instruction_file_reads:
        return None
    detection = formats.detect(metadata)
    if detection not in (Detection.NONE, Detection.V3_INSTRUCTION_FILE):
        return None
    suffixes = [formats.INSTRUCTION_FILE_SUFFIX]
    same = (source.bucket, source.key) == (parameters["Bucket"], parameters["Key"])
    if same and (detection is not Detection.NONE or wire.options.unencrypted_objects == "allow"):
        return None
    if wire.options.enable_legacy_unauthenticated_modes:
        suffixes.append(formats.LEGACY_DOTNET_SUFFIX)
    for suffix in suffixes:
        place = {"Bucket": source.bucket, "Key": source.key + suffix}
        if instruction_objects.is_ours(wire, _look(place, parameters)):
            return place
    return None


def _look(place: dict[str, str], parameters: Mapping[str, Any]) -> dict[str, Any]:
    owner = parameters.get("ExpectedSourceBucketOwner")
    return {**place, **({"ExpectedBucketOwner": owner} if owner else {}), **server_side.source_companion(parameters)}


def _refuse_unencrypted(
    wire: Wire, parameters: Mapping[str, Any], source: CopySource, metadata: Mapping[str, str]
) -> None:
    if wire.options.unencrypted_objects == "allow" or formats.detect(metadata) is not Detection.NONE:
        return
    if source.key.endswith(formats.INSTRUCTION_FILE_SUFFIX):
        # Content metadata, and no content: a caller who copies it on its own knows why.
        place = {"Bucket": source.bucket, "Key": source.key}
        if instruction_objects.is_ours(wire, _look(place, parameters)):
            return
    raise UnsupportedOperationError(
        f"the source s3://{source.bucket}/{source.key} is not encrypted, and its copy would be one more object in "
        "plaintext. Read it and put it there instead, which encrypts it (s3ec migrate does so for whole buckets); "
        'unencrypted_objects="allow" copies such objects as they are'
    )


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
