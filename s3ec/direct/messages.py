"""Small requests and answers of S3 as botocore writes and reads them, by its own service model.

What takes more than names and values (a stream, a date to be written, letters beyond ASCII) is left to botocore.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import html
import io
import re
import zlib
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from botocore import httpchecksum
from botocore.awsrequest import HeadersDict
from botocore.parsers import ResponseParserError, create_parser
from botocore.utils import parse_timestamp

from s3ec.exchanges.wire import Answer

__all__ = ["Operation", "crc32", "error_of", "headers_of", "metadata_of", "read"]

_CONDITIONS = {"IfMatch": "If-Match", "IfNoneMatch": "If-None-Match"}
_NO_TAGS = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?\s*<Tagging[^>]*>\s*<TagSet\s*(?:/>|>\s*</TagSet>)\s*</Tagging>\s*")
_ERROR = re.compile(rb"(?:<\?xml[^>]*\?>\s*)?<Error>.*<Code>(\w+)</Code>.*</Error>\s*", re.DOTALL)
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
_METADATA = "x-amz-meta-"


def _date(text: str) -> datetime.datetime:
    """A date as botocore reads it, without guessing at the form that HTTP gives nearly all of them."""
    if text.endswith(" GMT"):
        with contextlib.suppress(TypeError, ValueError):
            return parsedate_to_datetime(text)
    parsed: datetime.datetime = parse_timestamp(text)
    return parsed


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number that an answer of S3 has")
    return int(text)


_READERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "character": str,
    "integer": _number,
    "long": _number,
    "boolean": lambda text: text.lower() == "true",
    "timestamp": _date,
}
_NUMBER = re.compile(r"\d{1,19}", re.ASCII)  # int() takes more
_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch


class Operation:
    """How botocore writes the parameters and reads the answers of one operation."""

    def __init__(self, model: Any) -> None:
        """Take botocore's model of it.

        Raises:
            KeyError: it has members of types that no header has.
        """
        self.name: str = model.name
        self.headers = {
            name: shape.serialization["name"].lower()
            for name, shape in model.input_shape.members.items()
            if shape.serialization.get("location") == "header"
        }
        self.headers |= {name: header.lower() for name, header in _CONDITIONS.items()}
        self.answered = {
            shape.serialization["name"].lower(): (name, _READERS[shape.type_name])
            for name, shape in model.output_shape.members.items()
            if shape.serialization.get("location") == "header"
        }
        self.output_shape = model.output_shape
        self.has_metadata = "Metadata" in model.output_shape.members


def headers_of(operation: Operation, parameters: Mapping[str, Any]) -> dict[str, str] | None:
    """The headers that botocore's model gives the parameters; None where one needs more than to be written down."""
    headers: dict[str, Any] = {}
    for name, value in parameters.items():
        if name in ("Bucket", "Key", "Body"):
            continue
        if name == "Metadata":
            headers |= {f"{_METADATA}{entry.lower()}": text for entry, text in value.items()}
        elif name not in operation.headers:
            return None
        elif isinstance(value, bool):
            headers[operation.headers[name]] = "true" if value else "false"
        else:
            headers[operation.headers[name]] = value
    # Neither the end of a line nor anything beyond ASCII: botocore refuses the one and has its own way with the other.
    is_plain = all(type(value) is str and value.isascii() and value.isprintable() for value in headers.values())
    return headers if is_plain and all(map(_is_name, headers)) else None


def crc32(body: bytes) -> str:
    """The CRC-32 of a body in the form of S3's headers."""
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def metadata_of(answer: Answer) -> dict[str, Any]:
    """What botocore says beside each answer."""
    named = answer.named
    return {
        "RequestId": named.get("x-amz-request-id", ""),
        "HostId": named.get("x-amz-id-2", ""),
        "HTTPStatusCode": answer.status,
        "HTTPHeaders": named,
        "RetryAttempts": 0,
    }


def read(operation: Operation, answer: Answer) -> dict[str, Any] | None:
    """The answer as botocore gives it; None where it takes botocore to read or to check it."""
    parsed = _read(operation, answer)
    if parsed is None and answer.rest is not None:
        answer.rest.close()
    return parsed


def _read(operation: Operation, answer: Answer) -> dict[str, Any] | None:
    named = answer.named
    parsed: dict[str, Any] = {"ResponseMetadata": metadata_of(answer)}
    if operation.name == "GetObjectTagging":
        tags = {"TagSet": []} if _NO_TAGS.fullmatch(answer.body) else _parsed(operation, answer)
        return None if tags is None else {**tags, **parsed}
    try:
        parsed |= _typed(operation, named)
    except ValueError:
        return None
    if "expires" in named:
        parsed["ExpiresString"] = named["expires"]
    if operation.has_metadata:
        entries = ((name, text) for name, text in answer.headers.items() if name.lower().startswith(_METADATA))
        parsed["Metadata"] = {name[len(_METADATA) :]: text for name, text in entries}
    if operation.name == "GetObject" and answer.rest is not None:
        parsed["Body"] = answer.rest
    elif operation.name == "GetObject":
        if not _is_whole(answer.body, named):
            return None
        parsed["Body"] = io.BytesIO(answer.body)
    return parsed


def _typed(operation: Operation, named: Mapping[str, str]) -> dict[str, Any]:
    """The headers that botocore's model knows, by boto3's names.

    Raises:
        ValueError: one is not of its type.
    """
    found: dict[str, Any] = {}
    for header, value in named.items():
        if header in operation.answered:
            name, typed = operation.answered[header]
            try:
                found[name] = typed(value)
            except ValueError:
                if header != "expires":  # which S3 keeps as it was given, a date or not
                    raise
    return found


def _is_whole(body: bytes, named: dict[str, str]) -> bool:
    """Compare a body with the checksums that S3 sends of it, as far as this SDK knows them."""
    known: Mapping[str, Any] = getattr(httpchecksum, "_CHECKSUM_CLS", {})
    for header, value in named.items():
        if not header.startswith("x-amz-checksum-") or header == "x-amz-checksum-type" or "-" in value:
            continue  # a value with a hyphen is a checksum of the checksums of parts
        algorithm = header[15:]
        if algorithm == "crc32":
            found = crc32(body)
        elif algorithm in ("sha1", "sha256"):
            found = base64.b64encode(hashlib.new(algorithm, body, usedforsecurity=False).digest()).decode()
        elif algorithm in known:
            found = known[algorithm]().handle(body)
        else:
            continue
        if found != value:
            return False
    return True


def _parsed(operation: Operation, answer: Answer) -> dict[str, Any] | None:
    """The answer as botocore's own parser reads it."""
    response = {"headers": HeadersDict(answer.headers), "status_code": answer.status, "body": answer.body}
    try:
        found: dict[str, Any] = create_parser("rest-xml").parse(response, operation.output_shape)
    except ResponseParserError:
        return None
    return found


def error_of(answer: Answer, method: str) -> dict[str, str]:
    """S3's code and sentence; nothing where it says none. The answer to HEAD has no body: its number is its code."""
    if method == "HEAD":
        return {"Code": str(answer.status), "Message": {412: "Precondition Failed"}.get(answer.status, "")}
    match = _ERROR.fullmatch(answer.body)
    message = _MESSAGE.search(answer.body)
    if match is None:
        return {}
    return {
        "Code": match[1].decode(),
        "Message": html.unescape(message[1].decode("utf-8", "replace")) if message else "",
    }
