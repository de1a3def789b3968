"""Managed uploads: what goes in parts, what is asked of each request, and that an upload is completed or aborted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from s3ec.errors import ConfigurationError, SourceChangedError, escaped
from s3ec.s3.flow import Engine, FailedCallError, Flow, RefusedError, to_the_end, transfer
from s3ec.s3.multipart.requests import EncryptedUpload, abort_named
from s3ec.s3.put_object import check_length
from s3ec.s3.surroundings import Surroundings

__all__ = ["Parts", "check_total", "completed_or_aborted", "for_one_request", "take_completion", "upload_in_parts"]

_log = logging.getLogger("s3ec")

T = TypeVar("T")

_ON_COMPLETE = ("IfMatch", "IfNoneMatch")
_OF_PARTS_ALONE = ("MpuObjectSize", "ChecksumType")


class Parts(Protocol):
    """The parts of an upload that was created, as an engine sends them."""

    def completing(self, s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Make the object of them."""
        ...


def for_one_request(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The request that stores a small body at once."""
    return {name: value for name, value in parameters.items() if name not in _OF_PARTS_ALONE}


def take_completion(parameters: dict[str, Any], known: int | None) -> dict[str, Any]:
    """Take out of an upload's parameters what its completion is to say, or nobody.

    Args:
        parameters: bucket, key and the caller's extra arguments; what is left of them creates the upload.
        known: bytes of plaintext, or None where that is not known before the end.

    Raises:
        ConfigurationError: the caller states another length than the body has.
        ObjectTooLargeError: it is more than one object may hold.
    """
    check_length(known)
    completion = {name: parameters.pop(name) for name in _ON_COMPLETE if name in parameters}
    declared = parameters.get("MpuObjectSize")
    if declared is not None and known is not None and declared != known:
        raise ConfigurationError(f"MpuObjectSize says {declared} bytes, and the body has {known}")
    for name in _OF_PARTS_ALONE:
        parameters.pop(name, None)
    return completion


def check_total(known: int | None, total: int, *, last: bool) -> None:
    """Refuse a body that is not as long as it was when the upload began.

    Args:
        known: bytes that it had then, or None.
        total: bytes that have been read of it.
        last: True if there are no more.

    Raises:
        SourceChangedError: it gave more, or fewer.
    """
    if known is not None and (total > known or (last and total != known)):
        raise SourceChangedError(
            f"the body had {known} bytes when the upload began, and {'gave' if last else 'gives more than'} "
            f"{total}; the upload is given up"
        )


def upload_in_parts(
    s3: Surroundings,
    engine: Engine,
    creating: Flow[tuple[EncryptedUpload, dict[str, Any]]],
    parts_of: Callable[[EncryptedUpload], Parts],
    completion: Mapping[str, Any],
) -> Flow[None]:
    """Upload a body in parts, or nothing of it.

    Args:
        s3: the client.
        engine: reads, encrypts and sends the parts.
        creating: creates the upload.
        parts_of: its parts, of which there are none yet.
        completion: more of ``complete_multipart_upload``.

    Raises:
        KeyringError: no data key could be obtained; nothing was created.
        RefusedError, UnreachableError: as from a plain client; the upload is aborted.
        whatever ends the transfer; the same.
    """
    upload, _ = yield from creating
    parts = parts_of(upload)

    def sent_and_completed() -> Flow[None]:
        yield from transfer(engine, parts)
        yield from parts.completing(s3, completion)

    yield from completed_or_aborted(s3, upload.request, upload.upload_id, sent_and_completed())


def completed_or_aborted(s3: Surroundings, request: Mapping[str, Any], upload_id: str, making: Flow[T]) -> Flow[T]:
    """Carry out what makes an object of an upload; where that fails, S3 drops what was sent.

    Args:
        s3: the client.
        request: the parameters that created the upload.
        upload_id: S3's name for it.
        making: ends with its completion.
    """
    completed = False
    try:
        result = yield from making
        completed = True
    finally:
        if not completed:
            yield from to_the_end(_aborted(s3, request, upload_id))
    return result


def _aborted(s3: Surroundings, request: Mapping[str, Any], upload_id: str) -> Flow[None]:
    """Give an upload up; the caller hears what went wrong before, and that a task was cancelled, whatever this does."""
    try:
        yield from abort_named(s3, request, upload_id)
    except FailedCallError as failed:
        # The completion whose answer was not waited for may have made the object: then there is nothing left to abort.
        if not (isinstance(failed, RefusedError) and failed.code == "NoSuchUpload"):
            _log.warning(
                "an upload of %s could not be aborted, and its parts stay (%s): %s",
                escaped(request["Key"]),
                escaped(upload_id),
                escaped(str(failed.error)),
            )
