"""get_object: ciphertext on the way home, whole or in part.

What is handed out, and what the answer says of it, comes from what was verified; a header of the server's only decides
what is looked at next. Partial ranges are in `s3ec.s3.ranges`.
"""

from __future__ import annotations

from typing import Any

from s3ec.errors import AuthenticationError
from s3ec.s3 import ranges
from s3ec.s3.answers import is_partial, length_of
from s3ec.s3.flow import Flow, call, close_body, open_cipher
from s3ec.s3.objects import (
    ReadRequest,
    check,
    check_stored_length,
    decrypted_response,
    describe_unencrypted,
    resolve,
    take_read_request,
)
from s3ec.s3.pinning import read_again_if_replaced
from s3ec.s3.range_header import parse_range
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.verified import Table

__all__ = ["get_object", "get_whole_object"]


def get_object(s3: Surroundings, table: Table, parameters: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Read an object, or a range of it.

    Args:
        s3: the client.
        table: its verified objects.
        parameters: the caller's.

    Raises:
        UnauthenticatedRangeError: a partial range that cannot be verified within the client's limits.
        RefusedError: S3's own errors, 416 past the end of the plaintext among them.
    """
    request = take_read_request(parameters)
    if "PartNumber" in parameters:
        return (yield from read_again_if_replaced(lambda: ranges.get_part(s3, table, request)))
    wanted = None
    if isinstance(parameters.get("Range"), str):
        # What is not a range of bytes is ignored (RFC 9110, section 14.2).
        wanted = parse_range(parameters.pop("Range"))
    if wanted is None:
        return (yield from get_whole_object(s3, request))
    question = ranges.question(s3, request, wanted)
    return (yield from read_again_if_replaced(lambda: ranges.get_range(s3, table, question)))


def get_whole_object(s3: Surroundings, request: ReadRequest) -> Flow[dict[str, Any]]:
    """Read a whole object; ``Body`` verifies before it releases anything.

    Raises:
        MetadataError, PolicyError, KeyringError, SecurityError: raised before any content is read.
        RefusedError: as from a plain client.
    """
    response = yield from call("GetObject", request.parameters)
    try:
        found = yield from resolve(s3, request, response.get("Metadata", {}))
        if found is None:
            response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
            return response
        checked = check(s3, request, found)
        if is_partial(response):
            raise AuthenticationError(  # noqa: TRY301 - the handler only closes the body
                "S3 was asked for the whole object, and answered with a part of it"
            )
        check_stored_length(found.content_metadata, length_of(response))
        cipher = yield from open_cipher(checked)
        return (yield from decrypted_response(s3, request, response, found, cipher))
    except BaseException:
        yield from close_body(response["Body"])
        raise
