"""Instruction files as objects of S3: read, and recognised before one is deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec import formats
from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.client.wire import Wire
from s3ec.errors import InstructionFileError, NotEncryptedError, S3ECError, escaped
from s3ec.formats import ContentMetadata, Detection

__all__ = [
    "can_exist",
    "delete_with_object",
    "fetch",
    "find",
    "is_marked",
    "is_ours",
    "is_there",
    "not_found",
    "read_whole",
]

_log = logging.getLogger("s3ec")

_LONGEST_KEY = 1024  # bytes of UTF-8 (S3 user guide, "Naming Amazon S3 objects")

# The last two are for a name that the server can never hold: AWS's own, and MinIO's, whose segments are files.
_NOT_FOUND = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchVersion", "KeyTooLongError", "XMinioInvalidObjectName"})


def can_exist(key: str) -> bool:
    """False for a name that is too long for S3, and need not be asked for."""
    return len(key.encode("utf-8", "surrogatepass")) <= _LONGEST_KEY


def not_found(error: ClientError) -> bool:
    """True if S3 says that the instruction file is not there, or never can be; a 403 never says so."""
    return error.response.get("Error", {}).get("Code") in _NOT_FOUND


def fetch(
    wire: Wire, parameters: Mapping[str, Any], object_metadata: Mapping[str, str], suffix: str | None
) -> ContentMetadata:
    """Read the content metadata of an object from its instruction file.

    Args:
        wire: plain calls.
        parameters: the read of the object itself.
        object_metadata: user metadata of the object.
        suffix: the caller's; None means the default.

    Raises:
        NotEncryptedError: neither the object nor an instruction file holds content metadata.
        InstructionFileError: there must be one, and it is missing, switched off or not to be trusted here.
        botocore.exceptions.ClientError: S3 refuses to say, for instance with 403.
    """
    named_by_object = formats.detect(object_metadata) is Detection.V3_INSTRUCTION_FILE
    if not wire.options.instruction_file_reads:
        _refuse_without_reads(suffix, named_by_object)
    content_metadata = _look(wire, parameters, object_metadata, suffix)
    if content_metadata is None:
        if suffix is not None or named_by_object:
            name = suffix or formats.INSTRUCTION_FILE_SUFFIX
            raise InstructionFileError(f"the object's instruction file ({name!r} behind the key) is not there")
        raise NotEncryptedError(
            "the object carries no content metadata, and there is no instruction file: it was not written by an S3 "
            'encryption client. unencrypted_objects="allow" reads such objects as they are'
        )
    if "VersionId" in parameters and suffix is None and not content_metadata.algorithm_suite.commits:
        raise InstructionFileError(
            "VersionId names one version of the object, and an instruction file is one key for all versions; only "
            "committing objects can prove that the two belong together. Name InstructionFileSuffix explicitly to read "
            "this version with the newest instruction file"
        )
    return content_metadata


def _look(
    wire: Wire, parameters: Mapping[str, Any], object_metadata: Mapping[str, str], suffix: str | None
) -> ContentMetadata | None:
    """The content metadata that lies under the caller's suffix, or under the usual ones by the one rule of all."""
    if suffix is not None:
        body = _body(wire, parameters, suffix)
        # A file asked for by name is one, or it is an error.
        return None if body is None else formats.parse_instruction_file(body, object_metadata)
    # The first .NET client wrote CBC objects with a file of another name.
    legacy = (formats.LEGACY_DOTNET_SUFFIX,) if wire.options.enable_legacy_unauthenticated_modes else ()
    for usual in (formats.INSTRUCTION_FILE_SUFFIX, *legacy):
        found = find(wire, parameters, usual)
        if found is None:
            continue
        body, is_marked = found
        content_metadata = formats.judge_instruction_file(body, object_metadata, is_marked=is_marked)
        if content_metadata is not None:
            return content_metadata
    return None


def is_marked(metadata: Mapping[str, str]) -> bool:
    """True if an object's user metadata marks it as an instruction file; not every client writes the mark."""
    return formats.INSTRUCTION_FILE_MARKER in {name.lower() for name in metadata}


def _refuse_without_reads(suffix: str | None, named_by_object: bool) -> None:
    if suffix is not None or named_by_object:
        raise InstructionFileError("the object needs an instruction file, and instruction_file_reads=False")
    raise NotEncryptedError(
        "the object carries no content metadata, and instruction files are not looked for "
        "(instruction_file_reads=False)"
    )


def read_whole(body: Any, at_most: int = formats.INSTRUCTION_FILE_MAX_LENGTH) -> bytes:
    """Read a small body to its verified end, and close it; one byte more than allowed where it is larger.

    Half a file would be no instruction file at all, and the object beside it would pass for one that is not encrypted.

    Raises:
        botocore.exceptions.BotoCoreError: the connection was cut.
    """
    with closing(body):
        return CiphertextReader(body, has_tag=False).read(at_most + 1)


def find(wire: Wire, parameters: Mapping[str, Any], suffix: str) -> tuple[bytes, bool] | None:
    """What lies under the name, one byte more than allowed where it is larger, and whether it is marked as a file.

    Raises:
        botocore.exceptions.ClientError: S3 refuses to say.
    """
    request = wire.companion("GetObject", {**parameters, "Key": parameters["Key"] + suffix})
    if not can_exist(request["Key"]):
        return None
    try:
        response = wire.call("GetObject", request)
    except ClientError as error:
        if not_found(error):
            return None
        raise
    return read_whole(response["Body"]), is_marked(response.get("Metadata", {}))


def _body(wire: Wire, parameters: Mapping[str, Any], suffix: str) -> bytes | None:
    found = find(wire, parameters, suffix)
    if found is None:
        return None
    body, _ = found
    if len(body) > formats.INSTRUCTION_FILE_MAX_LENGTH:
        raise InstructionFileError(
            f"what lies under the instruction file's name is larger than {formats.INSTRUCTION_FILE_MAX_LENGTH} bytes"
        )
    return body


def is_there(wire: Wire, parameters: Mapping[str, Any]) -> bool:
    """True if anything lies under the key, whatever it is.

    Raises:
        botocore.exceptions.ClientError: S3 refuses to say, for instance with 403.
    """
    try:
        wire.call("HeadObject", wire.companion("HeadObject", parameters))
    except ClientError as error:
        if not_found(error):
            return False
        raise
    return True


def is_ours(wire: Wire, parameters: Mapping[str, Any]) -> bool:
    """True if the key holds an instruction file: it has the marker, or its body is content metadata and no more.

    A user's own object that merely has such a name is not an instruction file.

    Raises:
        botocore.exceptions.ClientError: S3 refuses to say, for instance with 403.
    """
    if not can_exist(parameters["Key"]):
        return False
    try:
        head = wire.call("HeadObject", wire.companion("HeadObject", parameters))
    except ClientError as error:
        if not_found(error):
            return False
        raise
    if is_marked(head.get("Metadata", {})):
        return True
    if not 0 < head.get("ContentLength", 0) <= formats.INSTRUCTION_FILE_MAX_LENGTH:
        return False
    try:
        body = _body(wire, parameters, "")
        return body is not None and formats.is_instruction_file_body(body)
    except S3ECError:
        return False


def delete_with_object(wire: Wire, parameters: Mapping[str, Any]) -> None:
    """After an object was deleted: delete its default instruction file, where it provably is one.

    The object is gone, and that is what the caller is to hear. A file that could not be asked for or deleted opens
    nothing on its own; the log names it.
    """
    key = parameters["Key"]
    if not wire.options.instruction_file_reads or key.endswith(formats.INSTRUCTION_FILE_SUFFIX):
        return
    request = {**parameters, "Key": key + formats.INSTRUCTION_FILE_SUFFIX}
    try:
        if is_ours(wire, request):
            wire.call("DeleteObject", wire.companion("DeleteObject", request))
    except (BotoCoreError, ClientError) as error:
        _log.warning(
            "the object is deleted, but perhaps not its instruction file %s: %s",
            escaped(request["Key"]),
            escaped(str(error)),
        )
