"""Answers of S3 that are none: refused where botocore would run into them, or read them without an end.

A server that stumbles, a proxy that answers in its place, or one that lies can send a page of HTML, a date that is not
a date, a list in the place of a number, or a document that never ends. botocore has an error for broken XML alone. For
all else it raises whatever its parser runs into, reads answers that are not streamed without limit, and lets through
what its HTTP library raises where the text of an error is cut. `make_sound` gives these errors names; that of
`s3ec.aio.soundness` does so for clients of aiobotocore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ConnectionClosedError, HTTPClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as SlowReadError

from s3ec.errors import AuthenticationError, S3ECError, escaped

__all__ = [
    "Front",
    "LONGEST_ANSWER",
    "OF_PARSER",
    "UnreadableAnswerError",
    "broken_off",
    "check_answer",
    "endless",
    "make_sound",
    "stand_before",
    "unreadable",
]

LONGEST_ANSWER = 32 * 1024 * 1024
"""Bytes that an answer may have which is not an object's content. A full page of a list has a few million."""

_LONGEST_SHOWN = 100
OF_PARSER = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, ResponseParserError)
"""What botocore's parser runs into."""
_SURE: Mapping[str, tuple[str, ...]] = {
    "CreateMultipartUploadOutput": ("UploadId",),
    "UploadPartCopyOutput": ("CopyPartResult",),
    "UploadPartOutput": ("ETag",),
}
"""What each of these answers has wherever S3 is meant, and without which nobody can go on."""
_WHERE_MORE: Mapping[str, str] = {
    "ListObjectVersionsOutput": "NextKeyMarker",
    "ListObjectsV2Output": "NextContinuationToken",
    "ListPartsOutput": "NextPartNumberMarker",
}
"""Where a list that goes on says so. Without it botocore takes the page for the last and what follows for not there."""
_ROWS: Mapping[str, str] = {
    "CommonPrefixes": "Prefix",
    "Contents": "Key",
    "DeleteMarkers": "Key",
    "Uploads": "Key",
    "Versions": "Key",
}
"""What botocore itself takes for granted in the rows of lists, and decodes."""
_TEXTS = ("Delimiter", "KeyMarker", "Marker", "NextKeyMarker", "NextMarker", "Prefix", "StartAfter")
"""What it decodes beside them."""


class UnreadableAnswerError(S3ECError, ResponseParserError):
    """What came back is not S3's answer to the request. It is botocore's error for that, and one of ours."""


def make_sound(client: Any) -> None:
    """Let a client of our own refuse answers that are none. Where botocore is not made as expected, nothing changes."""
    stand_before(client, _Parser, _Session)


def stand_before(client: Any, parser: Callable[[Any], Any], session: Callable[[Any], Any]) -> None:
    """Put something before a client's parsers and its HTTP session.

    Args:
        client: of boto3 or aiobotocore. One that is not made as expected stays as it is.
        parser: makes of a parser what stands before it.
        session: makes of the session what stands before it.
    """
    endpoint = getattr(client, "_endpoint", None)
    factory = getattr(endpoint, "_response_parser_factory", None)
    behind = getattr(endpoint, "http_session", None)
    if endpoint is not None and factory is not None and behind is not None:
        endpoint._response_parser_factory = _ParserFactory(factory, parser)
        endpoint.http_session = session(behind)


def broken_off(error: HTTPError, request: Any) -> BotoCoreError:
    """What botocore raises for an error of its HTTP library; it does so for headers and content, not for all texts."""
    if isinstance(error, SlowReadError):
        return ReadTimeoutError(endpoint_url=request.url, error=error)
    return ConnectionClosedError(endpoint_url=request.url, error=error, request=request)


class Front:
    """Stands before a part of botocore or aiobotocore, and passes on what it does not do itself.

    Attributes:
        behind: the part.
    """

    def __init__(self, behind: Any) -> None:
        """Take the part."""
        self.behind = behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


class _ParserFactory(Front):
    """Has parsers stand before those that it makes."""

    def __init__(self, factory: Any, parser: Callable[[Any], Any]) -> None:
        super().__init__(factory)
        self._parser = parser

    def create_parser(self, name: str) -> Any:
        return self._parser(self.behind.create_parser(name))


class _Parser:
    """A parser whose errors have a name."""

    __slots__ = ("_parser",)

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def parse(self, response: Any, shape: Any) -> Any:
        try:
            parsed = self._parser.parse(response, shape)
        except OF_PARSER as error:
            raise unreadable(error) from error
        check_answer(parsed, response["status_code"], shape)
        return parsed


def unreadable(error: Exception) -> UnreadableAnswerError:
    """What is raised in the place of what botocore's parser ran into."""
    said = f"{type(error).__name__}: {escaped(str(error)[:_LONGEST_SHOWN])}"
    return UnreadableAnswerError(
        f"what came back cannot be read as an answer ({said}); whether the request was carried out is not known"
    )


def endless() -> UnreadableAnswerError:
    """What is raised where an answer has more bytes than any that is not content."""
    return UnreadableAnswerError(f"what came back is not content, and has over {LONGEST_ANSWER:,} bytes")


def check_answer(parsed: dict[str, Any], status: int, shape: Any) -> None:
    """Refuse what botocore has parsed, and would itself run into later.

    Args:
        parsed: the answer.
        status: its HTTP status.
        shape: what the answer to such a request is, of botocore's model, or None.

    Raises:
        UnreadableAnswerError: it lacks what every such answer has, or has it twice.
        AuthenticationError: the answer to a HEAD does not say how long the object is.
    """
    if status >= 300:
        _check_refusal(parsed)
    elif shape is not None:
        _check(parsed, shape)


def _check(parsed: Mapping[str, Any], shape: Any) -> None:
    if shape.name == "HeadObjectOutput" and "ContentLength" not in parsed:
        raise AuthenticationError("the answer does not say how long the object is")
    lacking = [name for name in _SURE.get(shape.name, ()) if not parsed.get(name)]
    more = _WHERE_MORE.get(shape.name)
    if more is not None and parsed.get("IsTruncated") and parsed.get(more) is None:
        lacking.append(more)
    lacking += [name for name in _TEXTS if not isinstance(parsed.get(name, ""), str)]
    # Where an element stands twice, botocore makes a list of what should be one value.
    lists = [name for name, value in parsed.items() if isinstance(value, list) and name in shape.members]
    lacking += [name for name in lists if shape.members[name].type_name != "list"]
    for rows, name in _ROWS.items():
        if rows not in parsed:
            continue
        if not all(isinstance(row.get(name), str) for row in parsed[rows]):
            lacking.append(f"{name} in {rows}")
        members = shape.members[rows].member.members
        doubled = {name for row in parsed[rows] for name, value in row.items() if isinstance(value, list)}
        lacking += [f"{name} in {rows}" for name in sorted(doubled) if members[name].type_name != "list"]
    if lacking:
        raise UnreadableAnswerError(f"what came back as {shape.name} is not an answer: {', '.join(lacking)}")


def _check_refusal(parsed: dict[str, Any]) -> None:
    code = parsed.get("Error", {}).get("Code", "")
    if not isinstance(code, str):
        raise UnreadableAnswerError("what came back says no, and has no error code that could be read")
    parsed.pop("EncodingType", None)  # else botocore decodes the rows of a list that is none


class _Session(Front):
    """Sends as botocore's HTTP session does, and reads what is not content within limits."""

    def send(self, request: Any) -> Any:
        is_content = request.stream_output
        request.stream_output = True  # botocore would read it all here and now
        response = self.behind.send(request)
        request.stream_output = is_content
        if not is_content or response.status_code >= 300:
            response.raw = _Bounded(response.raw, request)
            _ = response.content
        return response


class _Bounded(Front):
    """A body that ends at some time."""

    def __init__(self, raw: Any, request: Any) -> None:
        self.behind = raw
        self._request = request

    def stream(self, *arguments: Any, **keywords: Any) -> Iterator[bytes]:
        left = LONGEST_ANSWER
        try:
            for piece in self.behind.stream(*arguments, **keywords):
                left -= len(piece)
                if left < 0:
                    self.behind.close()
                    raise endless()
                yield piece
        except HTTPError as error:
            raise broken_off(error, self._request) from error
        except OSError as error:
            raise HTTPClientError(error=error) from error
