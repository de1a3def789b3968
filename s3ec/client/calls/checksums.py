"""The checksum that S3 gets of what a caller asked no checksum for: CRC-64/NVME at AWS, CRC-32 at every other server.

botocore's own default is CRC-32, which takes more time than AES-GCM does. S3 itself computes CRC-64/NVME of what comes
without a checksum. With awscrt that takes a thirtieth of the time, and S3 compares it in the same way, over parts too.
It is younger than many servers that speak S3's protocol, so it is sent to S3's own endpoints alone.

What a caller chose stays: an algorithm, a value, a header, or no checksum (``request_checksum_calculation``).
Source: Amazon S3 User Guide, "Checking object integrity in Amazon S3"; botocore, ``httpchecksum``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore import httpchecksum

from s3ec.client.calls.seals import SEAL

__all__ = ["choose", "choose_behind_others", "of_parts", "of_upload"]

_CRC32 = "CRC32"
_CRC64NVME = "CRC64NVME"
_CRC64_LENGTH = 8
_REGION = r"[a-z]{2,4}(?:-[a-z]+)+-\d+"
# Names of load balancers, machines and gateways end like S3's; behind them may be any server.
_S3_OF_AWS = re.compile(
    rf"(?:.+\.)?s3(?:-accelerate|-accesspoint|-accesspoint-fips|-fips|-{_REGION})?(?:\.dualstack)?"
    rf"(?:\.{_REGION}(?:\.vpce)?)?\.amazonaws\.com(?:\.cn)?"
)
# Directory buckets, Outposts and aliases of access points: nothing says that they know this checksum of parts.
_OTHER_STORES = re.compile(r"arn:.*|.*(?:--[a-z]+-s3|-s3alias)")


def choose_behind_others(client: Any) -> None:
    """Have the checksum of a client's puts chosen, once other handlers have made theirs of the request.

    Args:
        client: any botocore client for S3.
    """
    client.meta.events.register_last("before-call.s3.PutObject", choose, unique_id="s3ec-checksum")


def choose(params: Any, context: dict[str, Any], **_: Any) -> None:
    """Last handler of ``before-call.s3.PutObject``: CRC-64/NVME in the place of botocore's own default.

    Nothing is signed yet. Only a checksum behind a sealed body is exchanged, and only where botocore says by the header
    that names its default that nobody asked for it.

    Args:
        params: the request.
        context: of the call.
    """
    checksum = context.get("checksum", {})
    header = checksum.get("request_algorithm_header")
    if (
        SEAL in context
        and isinstance(header, dict)
        and header.get("value") == _CRC32
        and checksum.get("request_algorithm") == _trailer(_CRC32)
        and context.get("signing", {}).get("signing_name") == "s3"
        and _is_s3_of_aws(params["url"])
        and _is_known()
        and not any(name.lower().startswith("x-amz-checksum-") for name in params["headers"])
    ):
        checksum["request_algorithm"] = _trailer(_CRC64NVME)
        checksum["request_algorithm_header"] = {**header, "value": _CRC64NVME}


def of_upload(endpoint_url: str, bucket: str) -> str:
    """The algorithm of a managed upload whose caller named none.

    Args:
        endpoint_url: where the client sends its requests.
        bucket: as the caller names it.
    """
    special = _OTHER_STORES.fullmatch(bucket)
    return _CRC64NVME if not special and _is_s3_of_aws(endpoint_url) and _is_known() else _CRC32


def of_parts(parts: Iterable[tuple[Mapping[str, Any], int]]) -> dict[str, str]:
    """The CRC-64 of an object from those of its parts, for S3 to hold it against the object that it puts together.

    Args:
        parts: in order, each with what S3 answered for it and its bytes.

    Returns:
        A member of ``complete_multipart_upload``; none where parts have other checksums, or awscrt cannot join them.
    """
    try:
        from awscrt import checksums
    except ImportError:
        return {}
    combine = getattr(checksums, "combine_crc64nvme", None)
    whole = 0
    for answer, length in parts:
        value = _decoded(answer.get(f"Checksum{_CRC64NVME}"))
        if combine is None or len(value) != _CRC64_LENGTH:
            return {}
        whole = combine(whole, int.from_bytes(value, "big"), length)
    return {f"Checksum{_CRC64NVME}": base64.b64encode(whole.to_bytes(_CRC64_LENGTH, "big")).decode()}


def _decoded(value: object) -> bytes:
    """A checksum in an answer of S3's; empty for what is none."""
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        return b""


def _trailer(algorithm: str) -> dict[str, str]:
    """How botocore notes a checksum that comes behind the body."""
    name = algorithm.lower()
    return {"algorithm": name, "in": "trailer", "name": f"x-amz-checksum-{name}"}


def _is_s3_of_aws(url: str) -> bool:
    return _S3_OF_AWS.fullmatch(urlsplit(url).hostname or "") is not None


def _is_known() -> bool:
    """True if botocore can compute it: then awscrt is there, and new enough."""
    known: Mapping[str, Callable[[], Any]] = getattr(httpchecksum, "_CHECKSUM_CLS", {})
    return _CRC64NVME.lower() in known
