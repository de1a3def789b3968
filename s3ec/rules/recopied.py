"""Copies between buckets with different keys: S3 cannot make them, so that they are read, verified and encrypted again.

A copy inside S3 would carry content metadata that the target's key does not open, or plaintext.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timezone
from typing import Any, TypeVar
from urllib.parse import urlencode

from s3ec.client.calls import copies
from s3ec.client.calls.around import Around
from s3ec.client.calls.copies import CopySource
from s3ec.client.calls.wire import Wire
from s3ec.rules.ruled import context_of
from s3ec.s3.carried import carried
from s3ec.s3.copy_object import source_request

__all__ = [
    "copied",
    "copy_object_anew",
    "copy_part_anew",
    "of_the_source",
    "put_request",
    "tagging",
    "takes_tags_along",
]

A = TypeVar("A", bound=Around)

_CARRIED = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "WebsiteRedirectLocation",
)


def copy_object_anew(source: Any, target: Any, place: CopySource, parameters: dict[str, Any]) -> dict[str, Any]:
    """Answer CopyObject by reading the source and putting it.

    Args:
        source: the client of the source's bucket, an encrypting or a plain one.
        target: the encrypting client of the target's bucket.
        place: the source.
        parameters: those of ``copy_object``.

    Returns:
        What S3 answers to CopyObject.

    Raises:
        S3ECError: as reading and writing raise.
        botocore.exceptions.ClientError: as S3 answers a read and a write.
    """
    wire: Wire = target._s3ec_wire
    wire.validate("CopyObject", parameters)
    with copies.of_the_copy(wire):
        answer = source._make_api_call("GetObject", source_request(wire, parameters, place))
    with closing(answer["Body"]) as body:
        request = put_request(wire, parameters, answer)
        if takes_tags_along(parameters, answer):
            request["Tagging"] = tagging(source._make_api_call("GetObjectTagging", place.parameters()))
        put = target._make_api_call("PutObject", {**request, "Body": body})
    return copied(answer, put)


def put_request(wire: Around, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a copy is put with, but for its body and its tags.

    Args:
        wire: of the target's client.
        parameters: those of ``copy_object``.
        answer: to the read of the source.
    """
    shape = wire.service_model.operation_model("PutObject").input_shape
    members = set(shape.members) if shape is not None else set()
    request = {name: value for name, value in parameters.items() if name in members}
    if parameters.get("MetadataDirective") != "REPLACE":
        request = {**request, **carried(answer, _CARRIED)}
    if parameters.get("TaggingDirective") != "REPLACE":
        request.pop("Tagging", None)
    return {**request, "ContentLength": answer["ContentLength"]}


def takes_tags_along(parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """True if the source's tags have to be asked for."""
    return parameters.get("TaggingDirective") != "REPLACE" and bool(answer.get("TagCount"))


def tagging(answer: Mapping[str, Any]) -> str:
    """Tags as PutObject takes them, of an answer to GetObjectTagging."""
    return urlencode([(tag["Key"], tag["Value"]) for tag in answer["TagSet"]])


def copied(answer: Mapping[str, Any], put: Mapping[str, Any]) -> dict[str, Any]:
    """What S3 answers to CopyObject, of the answers to the read and the put."""
    result = {"ETag": put["ETag"], "LastModified": datetime.now(timezone.utc).replace(microsecond=0)}
    more = {} if "VersionId" not in answer else {"CopySourceVersionId": answer["VersionId"]}
    return {**{name: value for name, value in put.items() if name != "ETag"}, **more, "CopyObjectResult": result}


def copy_part_anew(source: Any, target: Any, place: CopySource, parameters: dict[str, Any]) -> dict[str, Any]:
    """Answer UploadPartCopy by reading the source, or a range of it, verified, and encrypting it as a part.

    Args:
        source: the client of the source's bucket, an encrypting or a plain one.
        target: the encrypting client of the target's bucket.
        place: the source.
        parameters: those of ``upload_part_copy``.
    """

    def read(wire: Wire, request: dict[str, Any]) -> dict[str, Any]:
        own = getattr(source, "_s3ec_ranges", None)
        if own is None:
            answer: dict[str, Any] = source._make_api_call("GetObject", request)
            return answer
        verified: dict[str, Any] = own.get_object(
            of_the_source(source._s3ec_wire, wire), {**context_of(source._s3ec_door.rule, reading=True), **request}
        )
        return verified

    response: dict[str, Any] = target._s3ec_uploads.upload_part_copy(read, target._s3ec_wire, parameters)
    return response


def of_the_source(theirs: A, wire: Around) -> A:
    """The wire by which the source of a part is read.

    Parts of a large object are copied as ranges of it, and each of them has to be verified.

    Args:
        theirs: of the source's client.
        wire: of the target's, with the options that parts are copied under.
    """
    options = dataclasses.replace(theirs.options, verified_range_limit=wire.options.verified_range_limit)
    return theirs.with_options(options)
