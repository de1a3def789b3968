"""Instruction files: under which names one is looked for, what is one, and what it means that there is none."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from s3ec import formats
from s3ec.errors import InstructionFileError, NotEncryptedError, S3ECError, escaped
from s3ec.formats import ContentMetadata, Detection
from s3ec.s3.answers import NO_SUCH_OBJECT
from s3ec.s3.flow import FailedCallError, Flow, RefusedError, call, close_body, read_body
from s3ec.s3.surroundings import Surroundings

__all__ = [
    "NOT_FOUND",
    "can_exist",
    "delete_with_object",
    "fetch",
    "find",
    "find_at",
    "is_marked",
    "is_ours",
    "is_there",
    "usual_suffixes",
]

_log = logging.getLogger("s3ec")

_LONGEST_KEY = 1024  # bytes of UTF-8 (S3 user guide, "Naming Amazon S3 objects")

# The last two are for a name that the server can never hold: AWS's own, and MinIO's, whose segments are files.
NOT_FOUND = NO_SUCH_OBJECT | {"NotFound", "NoSuchVersion", "KeyTooLongError", "XMinioInvalidObjectName"}
"""S3's codes that say that the instruction file is not there, or never can be; a 403 never says so."""

_UNKNOWN_CONDITION = ("NotImplemented", "InvalidRequest", "InvalidArgument")


def can_exist(key: str) -> bool:
    """False for a name that is too long for S3, and need not be asked for."""
    return len(key.encode("utf-8", "surrogatepass")) <= _LONGEST_KEY


def usual_suffixes(*, legacy: bool) -> tuple[str, ...]:
    """The suffixes under which a file is looked for that nobody has named.

    Args:
        legacy: also the one of the first .NET client, which wrote CBC objects with a file of another name.
    """
    return (formats.INSTRUCTION_FILE_SUFFIX, *((formats.LEGACY_DOTNET_SUFFIX,) if legacy else ()))


def is_marked(metadata: Mapping[str, str]) -> bool:
    """True if an object's user metadata marks it as an instruction file; not every client writes the mark."""
    return formats.INSTRUCTION_FILE_MARKER in {name.lower() for name in metadata}


def fetch(
    s3: Surroundings, parameters: Mapping[str, Any], object_metadata: Mapping[str, str], suffix: str | None
) -> Flow[ContentMetadata]:
    """Read the content metadata of an object from its instruction file.

    Args:
        s3: the client.
        parameters: the read of the object itself.
        object_metadata: user metadata of the object.
        suffix: the caller's; None means the default.

    Raises:
        NotEncryptedError: neither the object nor an instruction file holds content metadata.
        InstructionFileError: there must be one, and it is missing, switched off or not to be trusted here.
        RefusedError: S3 refuses to say, for instance with 403.
    """
    named_by_object = formats.detect(object_metadata) is Detection.V3_INSTRUCTION_FILE
    if not s3.reading.instruction_file_reads:
        _refuse_without_reads(suffix, named_by_object)
    content_metadata = yield from _look(s3, parameters, object_metadata, suffix)
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
    s3: Surroundings, parameters: Mapping[str, Any], object_metadata: Mapping[str, str], suffix: str | None
) -> Flow[ContentMetadata | None]:
    """The content metadata that lies under the caller's suffix, or under the usual ones by the one rule of all."""
    if suffix is not None:
        body = yield from _read_file(s3, parameters, suffix)
        # A file asked for by name is one, or it is an error.
        return None if body is None else formats.parse_instruction_file(body, object_metadata)
    for usual in usual_suffixes(legacy=s3.reading.enable_legacy_unauthenticated_modes):
        found = yield from find(s3, parameters, usual)
        if found is None:
            continue
        body, is_marked = found
        content_metadata = formats.judge_instruction_file(body, object_metadata, is_marked=is_marked)
        if content_metadata is not None:
            return content_metadata
    return None


def _refuse_without_reads(suffix: str | None, named_by_object: bool) -> None:
    if suffix is not None or named_by_object:
        raise InstructionFileError("the object needs an instruction file, and instruction_file_reads=False")
    raise NotEncryptedError(
        "the object carries no content metadata, and instruction files are not looked for "
        "(instruction_file_reads=False)"
    )


def find(s3: Surroundings, parameters: Mapping[str, Any], suffix: str) -> Flow[tuple[bytes, bool] | None]:
    """What lies under the name, one byte more than allowed where it is larger, and whether it is marked as a file.

    Raises:
        RefusedError: S3 refuses to say.
    """
    request = s3.companion("GetObject", {**parameters, "Key": parameters["Key"] + suffix})
    return (yield from find_at(request))


def find_at(request: Mapping[str, Any]) -> Flow[tuple[bytes, bool] | None]:
    """The same by the request itself.

    Raises:
        RefusedError: S3 refuses to say.
    """
    if not can_exist(request["Key"]):
        return None
    try:
        response = yield from call("GetObject", request)
    except RefusedError as refused:
        if refused.code in NOT_FOUND:
            return None
        raise
    try:
        # To its verified end: half a file would be no instruction file, and its object would pass for plaintext.
        body = yield from read_body(response["Body"], formats.INSTRUCTION_FILE_MAX_LENGTH + 1, has_tag=False)
    finally:
        yield from close_body(response["Body"])
    return body, is_marked(response.get("Metadata", {}))


def _read_file(s3: Surroundings, parameters: Mapping[str, Any], suffix: str) -> Flow[bytes | None]:
    """Read what lies under a name, or return None where nothing does.

    Raises:
        InstructionFileError: it is larger than any instruction file.
        RefusedError: S3 refuses to say.
    """
    found = yield from find(s3, parameters, suffix)
    if found is None:
        return None
    body, _ = found
    if len(body) > formats.INSTRUCTION_FILE_MAX_LENGTH:
        raise InstructionFileError(
            f"what lies under the instruction file's name is larger than {formats.INSTRUCTION_FILE_MAX_LENGTH} bytes"
        )
    return body


def is_there(s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[bool]:
    """True if anything lies under the key, whatever it is.

    Raises:
        RefusedError: S3 refuses to say, for instance with 403.
    """
    try:
        yield from call("HeadObject", s3.companion("HeadObject", parameters))
    except RefusedError as refused:
        if refused.code in NOT_FOUND:
            return False
        raise
    return True


def is_ours(s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[bool]:
    """True if the key holds an instruction file: it has the marker, or its body is content metadata and no more.

    A user's own object that merely has such a name is not an instruction file.

    Raises:
        RefusedError: S3 refuses to say, for instance with 403.
    """
    etag = yield from _etag_of_ours(s3, parameters)
    return etag is not None


def _etag_of_ours(s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[str | None]:
    """ETag of what the key holds, if that is an instruction file."""
    if not can_exist(parameters["Key"]):
        return None
    try:
        head = yield from call("HeadObject", s3.companion("HeadObject", parameters))
    except RefusedError as refused:
        if refused.code in NOT_FOUND:
            return None
        raise
    etag: str = head.get("ETag", "")
    if is_marked(head.get("Metadata", {})):
        return etag
    if not 0 < head.get("ContentLength", 0) <= formats.INSTRUCTION_FILE_MAX_LENGTH:
        return None
    try:
        body = yield from _read_file(s3, parameters, "")
    except S3ECError:
        return None
    return etag if body is not None and formats.is_instruction_file_body(body) else None


def delete_with_object(s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[None]:
    """After an object was deleted: delete its default instruction file, where it provably is one.

    The object is gone, and that is what the caller is to hear. A file that could not be asked for or deleted opens
    nothing on its own; the log names it. The file of a writer who came in between stays: the delete is on condition of
    the ETag, and of there being no object again.
    """
    key = parameters["Key"]
    if not s3.reading.instruction_file_reads or key.endswith(formats.INSTRUCTION_FILE_SUFFIX):
        return
    request = {**parameters, "Key": key + formats.INSTRUCTION_FILE_SUFFIX}
    try:
        etag = yield from _etag_of_ours(s3, request)
        if etag is not None and not (yield from _is_back(s3, parameters)):
            yield from _delete(s3, request, etag)
    except FailedCallError as failed:
        _log.warning(
            "the object is deleted, but perhaps not its instruction file %s: %s",
            escaped(request["Key"]),
            escaped(str(failed.error)),
        )


def _is_back(s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[bool]:
    """True if another writer has put an object there since; a 403 says "no" where listing is forbidden."""
    try:
        yield from call("HeadObject", s3.companion("HeadObject", parameters))
    except RefusedError as refused:
        if refused.code in NOT_FOUND or refused.status in (403, 405):
            return False
        raise
    return True


def _delete(s3: Surroundings, parameters: Mapping[str, Any], etag: str) -> Flow[None]:
    condition = {"IfMatch": etag} if etag else {}
    try:
        yield from call("DeleteObject", s3.companion("DeleteObject", parameters, **condition))
    except RefusedError as refused:
        if refused.status == 412:
            return
        if refused.status != 501 and refused.code not in _UNKNOWN_CONDITION:
            raise
        # Servers that know no such condition: what was looked at a moment ago is as much as can be done.
        yield from call("DeleteObject", s3.companion("DeleteObject", parameters))
