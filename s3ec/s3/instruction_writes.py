"""Instruction files that are written, so that at no moment they come between an object and its readers.

Two objects belong together, and S3 replaces one at a time. A name that is free is therefore written before its object:
a file of V3 beside an object that has none of V3's names says nothing of it (`formats.judge_instruction_file`), so
readers pass over it whatever ends the process. A name that is taken is not written to at all: the new object has its
content metadata in itself then, and one request replaces the old one. What is left is content metadata that does not
fit into the object; it replaces only what no object needs, or what belongs to V3, whose commitment makes every mixture
an error.
Source: S3 Encryption Client specification, data-format/metadata-strategy.md; Amazon S3 user guide, "Amazon S3 data
consistency model" (one key is atomic, two are not).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from s3ec import formats
from s3ec.algorithms import FormatVersion
from s3ec.errors import MetadataError, S3ECError, SecurityError, UnsupportedOperationError, escaped
from s3ec.formats import ContentMetadata, Detection
from s3ec.s3.flow import FailedCallError, Flow, RefusedError, call, store
from s3ec.s3.instruction_files import NOT_FOUND, can_exist, find, is_there
from s3ec.s3.surroundings import Surroundings

__all__ = [
    "InstructionFileWrite",
    "is_free",
    "own_metadata_of",
    "refuse_under_a_file",
    "stands_alone",
    "whole_metadata",
    "written_with_object",
]

T = TypeVar("T")

_log = logging.getLogger("s3ec")

# What a put says about the object's place and protection holds for its instruction file as well.
_CLONED = (
    "ACL",
    "BucketKeyEnabled",
    "ExpectedBucketOwner",
    "GrantFullControl",
    "GrantRead",
    "GrantReadACP",
    "GrantWriteACP",
    "RequestPayer",
    "SSECustomerAlgorithm",
    "SSECustomerKey",
    "SSECustomerKeyMD5",
    "SSEKMSEncryptionContext",
    "SSEKMSKeyId",
    "ServerSideEncryption",
    "StorageClass",
)


@dataclass(frozen=True, slots=True)
class InstructionFileWrite:
    """A file that is written with its object.

    Attributes:
        body: the file.
        content_metadata: of the object that it belongs to.
        is_new: True if nothing lay under its name a moment ago, so that it need not be looked at again.
        suffix: of its name, behind the object's key.
    """

    body: bytes
    content_metadata: ContentMetadata
    is_new: bool = False
    suffix: str = formats.INSTRUCTION_FILE_SUFFIX


def is_free(
    s3: Surroundings, parameters: Mapping[str, Any], suffix: str = formats.INSTRUCTION_FILE_SUFFIX
) -> Flow[bool]:
    """True if an instruction file can be written beside the object without replacing anything.

    Raises:
        RefusedError: S3 refuses to say, for instance with 403.
    """
    key = parameters["Key"] + suffix
    return can_exist(key) and not (yield from is_there(s3, {**parameters, "Key": key}))


def own_metadata_of(s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[Mapping[str, str] | None]:
    """The user metadata of the object that is there now; None where there is none.

    Raises:
        RefusedError: S3 refuses to say.
    """
    try:
        head = yield from call("HeadObject", s3.companion("HeadObject", parameters))
    except RefusedError as refused:
        if refused.code in NOT_FOUND:
            return None
        raise
    metadata: Mapping[str, str] = head.get("Metadata", {})
    return metadata


def stands_alone(metadata: Mapping[str, str] | None) -> bool:
    """True if no file says anything of an object: there is none, or its content metadata is complete in itself."""
    if metadata is None:
        return True
    try:
        return formats.detect(metadata) in (Detection.V1, Detection.V2, Detection.V3)
    except (MetadataError, SecurityError):
        return False


def written_with_object(
    s3: Surroundings,
    parameters: Mapping[str, Any],
    file: InstructionFileWrite,
    write_object: Callable[[], Flow[T]],
    write: Callable[[], Flow[object]] | None = None,
) -> Flow[T]:
    """Write the instruction file, then let the object be written; take it back where that was surely refused.

    Args:
        s3: the client.
        parameters: of the request that writes the object, or begins to.
        file: what is written.
        write_object: writes the object.
        write: writes the file in another way than by a put.

    Returns:
        What ``write_object`` returns.

    Raises:
        UnsupportedOperationError: an object needs what lies there, or it is somebody's own.
    """
    if not file.content_metadata.algorithm_suite.commits and not stands_alone(
        (yield from own_metadata_of(s3, parameters))
    ):
        raise UnsupportedOperationError(
            "the content metadata does not fit into the object, and an instruction file of V2 would make what is there "
            "now unreadable before it is replaced: delete it first, or shorten Metadata and EncryptionContext"
        )
    former = None if file.is_new else (yield from _replaceable(s3, parameters))
    if write is None:
        yield from _put(parameters, file.body)
    else:
        yield from write()
    try:
        return (yield from write_object())
    except BaseException as error:
        yield from _take_back(s3, parameters, file, former, error)
        raise


def whole_metadata(body: bytes, metadata: Mapping[str, str]) -> dict[str, str] | None:
    """Content metadata from an object and its file, as that of an object that has all of it in itself.

    Args:
        body: the file.
        metadata: user metadata of the object.

    Returns:
        None where it cannot stand there: the content has an algorithm that is opened from files alone, or S3 would keep
        something else than is sent.

    Raises:
        MetadataError, ConflictingMetadataError: the two do not belong together.
    """
    found = formats.parse_instruction_file(body, metadata)
    whole = formats.render_object(found)
    is_opened_from_files_alone = found.format is FormatVersion.V2 and found.algorithm_suite.is_legacy
    return whole if not is_opened_from_files_alone and formats.parse_object(whole) == found else None


def refuse_under_a_file(s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[None]:
    """Refuse to put plaintext where a file of V1 or V2 would make every reader take it for ciphertext.

    Raises:
        UnsupportedOperationError: such a file lies there.
    """
    found = yield from find(s3, parameters, formats.INSTRUCTION_FILE_SUFFIX)
    if found is None or not formats.is_instruction_file_body(found[0]):
        return
    needed = formats.judge_instruction_file(found[0], {}, is_marked=True)
    if needed is not None:
        name = escaped(parameters["Key"] + formats.INSTRUCTION_FILE_SUFFIX)
        raise UnsupportedOperationError(
            f"{name} is an instruction file of V1 or V2, and an object in plaintext beside it would be unreadable: "
            "delete the object and the file first"
        )


def _replaceable(s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[bytes | None]:
    """What lies under the name and may be replaced; None where nothing does."""
    found = yield from find(s3, parameters, formats.INSTRUCTION_FILE_SUFFIX)
    if found is None:
        return None
    body, _ = found
    name = escaped(parameters["Key"] + formats.INSTRUCTION_FILE_SUFFIX)
    if not formats.is_instruction_file_body(body):
        raise UnsupportedOperationError(
            f"the instruction file would replace {name}, which is not one: write the object without an instruction "
            "file, or under another key"
        )
    there = yield from own_metadata_of(s3, parameters)
    if there is None or stands_alone(there):
        return body
    needed = formats.judge_instruction_file(body, there, is_marked=True)
    if needed is not None and not needed.algorithm_suite.commits:
        raise UnsupportedOperationError(
            f"{name} holds the only data key of the V1 or V2 object beside it, and S3 cannot replace the two at once: "
            "readers would be given its ciphertext. Upgrade that object (s3ec migrate --upgrade) or delete it first, "
            "or shorten Metadata and EncryptionContext until they fit into the object together"
        )
    return body


def _take_back(
    s3: Surroundings,
    parameters: Mapping[str, Any],
    file: InstructionFileWrite,
    former: bytes | None,
    error: BaseException,
) -> Flow[None]:
    """Undo the file of an object that was not written; where it may have been, it stays, since it holds the only key.

    An answer may be lost, and the object be stored all the same, now or a moment later. Beside the object that was
    there before, the file does no harm.
    """
    key = parameters["Key"] + file.suffix
    try:
        if not _is_surely_refused(error):
            is_perhaps_on_its_way = former is None and not isinstance(error, S3ECError)
            if is_perhaps_on_its_way or (yield from _may_be_there(s3, parameters, file.content_metadata)):
                return
        if former is not None:
            yield from _put(parameters, former)
        else:
            yield from call("DeleteObject", s3.companion("DeleteObject", {**parameters, "Key": key}))
    except FailedCallError as second:
        # What the caller is to hear is why the object was not written.
        _log.warning("cannot take back the instruction file %s: %s", escaped(key), escaped(str(second.error)))


def _may_be_there(s3: Surroundings, parameters: Mapping[str, Any], content_metadata: ContentMetadata) -> Flow[bool]:
    """True unless the object that is there now is certainly another one; one of V2 is not known by its metadata."""
    if not content_metadata.algorithm_suite.commits:
        return True
    now = (yield from own_metadata_of(s3, parameters)) or {}
    own, _ = formats.render_instruction_file(content_metadata)
    return own.items() <= {name.lower(): value for name, value in now.items()}.items()


def _is_surely_refused(error: BaseException) -> bool:
    """True if S3 refused the object's only request. After a repeated one, the refusal may be of what it stored."""
    if not isinstance(error, RefusedError):
        return False
    answer: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    return 400 <= answer.get("HTTPStatusCode", 0) < 500 and not answer.get("RetryAttempts")


def _put(parameters: Mapping[str, Any], body: bytes) -> Flow[None]:
    # A file of our own: handlers hear of it, and what they would make of it would open nothing.
    cloned = {name: parameters[name] for name in _CLONED if name in parameters}
    key = parameters["Key"] + formats.INSTRUCTION_FILE_SUFFIX
    own = {"Body": body, "Metadata": {formats.INSTRUCTION_FILE_MARKER: ""}}
    yield from store("PutObject", {**cloned, "Bucket": parameters["Bucket"], "Key": key, **own}, own=True)
