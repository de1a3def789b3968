"""Copies between buckets with different keys: S3 cannot make them, so that they are read, verified and encrypted again.

A copy inside S3 would carry content metadata that the target's key does not open, or plaintext.
"""

from __future__ import annotations

import dataclasses
from contextlib import closing
from datetime import datetime, timezone
from typing import Any

from s3ec.client.calls import copies
from s3ec.client.calls.copies import CopySource
from s3ec.client.calls.wire import Wire
from s3ec.materials import STORED_CONTEXT
from s3ec.s3.carried import carried
from s3ec.s3.copy_object import source_request

__all__ = ["copy_object_anew", "copy_part_anew"]

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
    shape = wire.service_model.operation_model("PutObject").input_shape
    members = set(shape.members) if shape is not None else set()
    with copies.of_the_copy(wire):
        answer = source._make_api_call("GetObject", source_request(wire, parameters, place))
    with closing(answer["Body"]) as body:
        request = {name: value for name, value in parameters.items() if name in members}
        if parameters.get("MetadataDirective") != "REPLACE":
            request = {**request, **carried(answer, _CARRIED)}
        if parameters.get("TaggingDirective") != "REPLACE":
            request.pop("Tagging", None)
            if answer.get("TagCount"):
                request["Tagging"] = _tags(source, place)
        put = target._make_api_call("PutObject", {**request, "Body": body, "ContentLength": answer["ContentLength"]})
    result = {"ETag": put["ETag"], "LastModified": datetime.now(timezone.utc).replace(microsecond=0)}
    more = {} if "VersionId" not in answer else {"CopySourceVersionId": answer["VersionId"]}
    return {**{name: value for name, value in put.items() if name != "ETag"}, **more, "CopyObjectResult": result}


def _tags(source: Any, place: CopySource) -> str:
    from urllib.parse import urlencode

    found = source._make_api_call("GetObjectTagging", place.parameters())
    return urlencode([(tag["Key"], tag["Value"]) for tag in found["TagSet"]])


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
        theirs: Wire = source._s3ec_wire
        # Parts of a large object are copied as ranges of it, and each of them has to be verified.
        options = dataclasses.replace(theirs.options, verified_range_limit=wire.options.verified_range_limit)
        context = {"EncryptionContext": dict(source._s3ec_door.rule.settings.context) or STORED_CONTEXT}
        verified: dict[str, Any] = own.get_object(theirs.with_options(options), {**context, **request})
        return verified

    response: dict[str, Any] = target._s3ec_uploads.upload_part_copy(read, target._s3ec_wire, parameters)
    return response
