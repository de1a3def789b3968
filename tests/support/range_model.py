"""What S3 answers to a ``Range``, as a function of the object's size: a model, checked against plain boto3 as well.

Sources: RFC 9110, section 14; the S3 API reference of GetObject and HeadObject ("Range", "InvalidRange").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from hypothesis import strategies as st

KiB = 1024
MALFORMED = (
    "bytes=9-3",
    "bytes=0-1,5-6",
    "bytes=0-4,",
    "bytes=x-y",
    "bytes=0x1-2",
    "bytes=+1-2",
    "bytes=--5",
    "bytes=1-2-3",
    "bytes=-",
    "bytes=",
    "bytes",
    "bytes 0-4",
    "bytes=1 -5",
    "items=0-4",
    "Bytes=0-4",
    "BYTES=0-4",
    "bytes=\u0663-\u0664",
    "bytes=18446744073709551616-5",
)


@dataclass(frozen=True)
class Answer:
    """An answer, or a refusal, as far as ranges decide it."""

    status: int
    first: int = 0
    last: int = -1
    content_range: str | None = None

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return self.last - self.first + 1


def answer(header: str | None, size: int) -> Answer:
    """What S3 answers for an object of this size."""
    whole = Answer(200, 0, size - 1)
    match = re.fullmatch(r"bytes=[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*", header or "", re.ASCII)
    if match is None:
        return whole
    # Thirty digits are more than any object has, and fewer than Python refuses.
    first, last, suffix = (group and int(group.lstrip("0")[:30] or "0") for group in match.groups())
    if suffix is not None:
        if not suffix or not size:
            return Answer(416)
        first, last = max(size - suffix, 0), size - 1
    assert isinstance(first, int)
    if isinstance(last, int) and last < first:
        return whole
    if first >= size:
        return Answer(416)
    last = min(last, size - 1) if isinstance(last, int) else size - 1
    return Answer(206, first, last, f"bytes {first}-{last}/{size}")


def headers(size: int, *, most_digits: int = 5000) -> st.SearchStrategy[str]:
    """Ranges in every form, near every edge of an object of this size."""
    edges = [0, 1, 15, 16, 17, size // 2, size - 1, size, size + 1, size + 15, size + 16, size + 17]
    edges += [64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 2**31 - 1, 2**31, 2**53, 50 * 1024**4]
    edges += [2**63 - 1 - 64 * KiB, 2**63 - 1, 2**63, 2**64 - 1, 2**64]
    number = st.sampled_from([str(edge) for edge in edges if edge >= 0]) | st.integers(0, 2 * size + 40).map(str)
    if most_digits:
        number |= st.sampled_from(["9" * most_digits, "0" * most_digits, "0" * most_digits + "3"])
    blank = st.sampled_from(["", "", "", " ", "\t"]) if most_digits else st.just("")
    return st.one_of(
        st.builds("bytes={}{}-{}{}".format, blank, number, number, blank),
        st.builds("bytes={}{}-{}".format, blank, number, blank),
        st.builds("bytes={}-{}{}".format, blank, number, blank),
        st.sampled_from(MALFORMED),
    )


def observed(client: Any, method: str, **parameters: Any) -> dict[str, Any]:
    """What an answer says, field by field and header by header; a refusal likewise."""
    try:
        response = getattr(client, method)(**parameters)
    except ClientError as error:
        details = error.response["Error"]
        seen = {name: details.get(name) for name in ("Code", "ActualObjectSize", "RangeRequested")}
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return {"status": status, "operation": error.operation_name, **seen}
    metadata = response["ResponseMetadata"]
    raw = metadata["HTTPHeaders"]
    return {
        "status": metadata["HTTPStatusCode"],
        "ContentRange": response.get("ContentRange"),
        "ContentLength": response["ContentLength"],
        "AcceptRanges": response.get("AcceptRanges"),
        "content-range": raw.get("content-range"),
        "content-length": raw.get("content-length"),
        "accept-ranges": raw.get("accept-ranges"),
        "checksums": sorted(
            name for name in [*response, *raw] if name.startswith(("Checksum", "x-amz-checksum", "content-md5"))
        ),
        **({"body": response["Body"].read()} if "Body" in response else {}),
    }


def expected(method: str, header: str, data: bytes) -> dict[str, Any]:
    """The same by the model."""
    wanted = answer(header, len(data))
    if wanted.status == 416:
        figures = ("InvalidRange", str(len(data)), header) if method == "get_object" else ("416", None, None)
        seen = dict(zip(("Code", "ActualObjectSize", "RangeRequested"), figures, strict=True))
        return {"status": 416, "operation": {"get_object": "GetObject"}.get(method, "HeadObject"), **seen}
    body = data[wanted.first : wanted.last + 1]
    return {
        "status": wanted.status,
        "ContentRange": wanted.content_range,
        "ContentLength": len(body),
        "AcceptRanges": "bytes",
        "content-range": wanted.content_range,
        "content-length": str(len(body)),
        "accept-ranges": "bytes",
        "checksums": [],
        **({"body": body} if method == "get_object" else {}),
    }
