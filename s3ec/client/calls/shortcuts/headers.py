"""The headers of an answer, read by those that are there.

botocore goes through all members that an answer may have, some forty of an object's, and looks each up among the
headers. Here it is given those that the answer has, in the same order, and does with them what it always does. And it
looks them up in a map of ours, which is equal to its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.awsrequest import HeadersDict
from botocore.httpsession import URLLib3Session
from botocore.parsers import BaseRestParser, ResponseParserFactory

from s3ec.client.calls.header_map import Headers
from s3ec.dates import parse_dates_quickly
from s3ec.transport import Front

__all__ = ["look_up_quickly", "parse_answers_quickly"]

_PARSE: Any = vars(BaseRestParser).get("_parse_non_payload_attrs")


def parse_answers_quickly(client: Any, parsers: type[ResponseParserFactory] = ResponseParserFactory) -> None:
    """Have a client read dates and headers in a shorter way; what it reads is the same.

    Args:
        client: a botocore client. One whose session has a parser of the caller's own is left alone.
        parsers: what a client of its kind makes its parsers with.
    """
    endpoint: Any = getattr(client, "_endpoint", None)
    session = getattr(endpoint, "http_session", None)
    if type(session) is URLLib3Session:
        endpoint.http_session = _Session(session)
    former = getattr(endpoint, "_response_parser_factory", None)
    parse_dates_quickly(client, parsers)
    factory = getattr(endpoint, "_response_parser_factory", None)
    if endpoint is not None and factory is not former:  # it is this client's own now
        endpoint._response_parser_factory = _Factory(factory)


class _Session(Front):
    """Stands before a client's HTTP session, whose answers get another map of headers."""

    def send(self, request: Any) -> Any:
        response = self.behind.send(request)
        look_up_quickly(response)
        return response


def look_up_quickly(response: Any) -> None:
    """Have the headers of an answer looked up in a shorter way."""
    if type(response.headers) is HeadersDict:
        response.headers = Headers.of(response.headers.items())


class _Factory(Front):
    """Makes the parsers of one client; each once, since they keep nothing of what they parse."""

    def __init__(self, factory: Any) -> None:
        super().__init__(factory)
        self._parsers: dict[str, Any] = {}

    def set_parser_defaults(self, **defaults: Any) -> None:
        self.behind.set_parser_defaults(**defaults)
        self._parsers.clear()

    def create_parser(self, name: str) -> Any:
        parser = self._parsers.get(name)
        if parser is None:
            parser = self.behind.create_parser(name)
            kind = type(parser)
            if _PARSE is not None and getattr(kind, "_parse_non_payload_attrs", None) is _PARSE:
                parser.__class__ = type(kind.__name__, (_ByHeaders, kind), {})
                parser._s3ec_members = {}
            self._parsers[name] = parser
        return parser


_Members = dict[Any, list[tuple[str, Any, "str | None"]]]


class _ByHeaders:
    """Stands in front of one of botocore's parsers."""

    _s3ec_members: _Members

    def _parse_non_payload_attrs(
        self, response: Any, shape: Any, member_shapes: Mapping[str, Any], final_parsed: dict[str, Any]
    ) -> None:
        members = self._s3ec_members.get(shape)
        if members is None:
            members = self._s3ec_members[shape] = [
                (name, member, _header_of(name, member.serialization)) for name, member in shape.members.items()
            ]
        there = {name.lower() for name in response["headers"]}
        # What is not looked up by a name of its own is left to botocore.
        wanted = {name: member for name, member, header in members if header is None or header in there}
        plain: Any = super()
        plain._parse_non_payload_attrs(response, shape, wanted, final_parsed)


def _header_of(name: str, serialization: Mapping[str, Any]) -> str | None:
    if serialization.get("location") != "header":
        return None
    return str(serialization.get("name", name)).lower()
