"""What botocore does slowly for each request, done once or in a shorter way: the time saved pays for the encryption.

A request's user agent is put together character by character, twice, and the date of each answer is guessed at by a
parser for dates of any kind; together a sixth of a small request. Another tenth goes into asking for endpoint
parameters that nobody gives, into preparing a request three times over to look at its body, and into looking up headers
that an answer does not have. Headers are a letter before they are signed, a map with an object for each name after it,
and a letter again when they come back; together they are a quarter of a small request, and the signature is another
tenth. A call of KMS costs as much as the request itself.
The results here are botocore's own, to the last character and microsecond; where botocore is not made as expected, or
anyone listens, nothing is changed. Nothing depends on this package: without it all is the same, and slower. Dates are
read in `s3ec.dates`, by the clients of bucket jobs too.
"""

from __future__ import annotations

from typing import Any

from botocore.parsers import ResponseParserFactory

from s3ec.client.calls.shortcuts.connections import connect_quickly
from s3ec.client.calls.shortcuts.endpoints import gather_endpoint_parameters_quickly
from s3ec.client.calls.shortcuts.headers import parse_answers_quickly
from s3ec.client.calls.shortcuts.kms import KmsRequests
from s3ec.client.calls.shortcuts.requests import sign_quickly
from s3ec.client.calls.shortcuts.signatures import sign_in_short
from s3ec.client.calls.shortcuts.user_agents import remember_user_agent

__all__ = ["KmsRequests", "take_shortcuts"]


def take_shortcuts(client: Any, parsers: type[ResponseParserFactory] = ResponseParserFactory) -> None:
    """Let a client of ours make its requests, and read its answers, in shorter ways.

    Args:
        client: a botocore client, of boto3 or of aiobotocore.
        parsers: what a client of its kind makes its parsers with.
    """
    remember_user_agent(client)
    gather_endpoint_parameters_quickly(client)
    sign_quickly(client)
    sign_in_short(client)
    connect_quickly(client)
    parse_answers_quickly(client, parsers)
