"""S3's own words for a HEAD that is refused: the answer to HEAD has no body, so that its error is a bare number.

HTTP says "403 Forbidden" for a denied request, a wrong access key and a wrong clock alike, and "400 Bad Request" for an
expired token as well as for an SSE-C object. A GET of the same thing has the same permissions and says which it was.
"""

from __future__ import annotations

import contextlib
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

__all__ = ["explain_heads"]

_KEPT = (
    "Bucket", "Key", "VersionId", "ExpectedBucketOwner", "RequestPayer",
    "SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5",
)  # fmt: skip
_REQUEST = "s3ec_head_parameters"


def explain_heads(client: Any, plain: Any | None = None) -> None:
    """Let refused HEADs of a client of our own end with S3's code and sentence, at the price of one more request each.

    Args:
        client: client whose HeadObject and HeadBucket are explained.
        plain: sends the second request; the client itself by default. Give one for a client that decrypts.
    """
    asking = plain or client

    def remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context[_REQUEST] = {name: params[name] for name in _KEPT if name in params}

    def explain(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        status = parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # 304 and 412 answer the caller's own condition and mean what they say.
        if status not in (301, 307, 400, 401, 403, 404) or "Error" not in parsed:
            return
        if error := _asked_again(asking, context.get(_REQUEST, {})):
            parsed["Error"] = {**parsed["Error"], **error}

    for operation in ("HeadObject", "HeadBucket"):
        client.meta.events.register(f"provide-client-params.s3.{operation}", remember)
        client.meta.events.register(f"after-call.s3.{operation}", explain)


def _asked_again(client: Any, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """The error of a GET that asks for as little as possible; None where it is answered or says nothing."""
    if "Bucket" not in parameters:
        return None
    with contextlib.suppress(BotoCoreError):
        try:
            if "Key" in parameters:
                client.get_object(**parameters, Range="bytes=0-0")["Body"].close()
            else:
                client.list_objects_v2(**parameters, MaxKeys=1)
        except ClientError as error:
            found: dict[str, Any] = dict(error.response.get("Error", {}))
            code = str(found.get("Code") or "")
            # An empty object has no byte 0; and what the server cannot name is not worth more than the number.
            return found if code and not code.isdigit() and code != "InvalidRange" else None
    return None
