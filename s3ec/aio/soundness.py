"""Answers of S3 that are none, as `s3ec.transport` has them, for clients of aiobotocore."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

from s3ec.client.calls.shortcuts.headers import look_up_quickly
from s3ec.transport import LONGEST_ANSWER, OF_PARSER, Front, check_answer, endless, stand_before, unreadable

__all__ = ["broken_off", "make_sound"]


def make_sound(client: Any) -> None:
    """Let a client of our own refuse answers that are none. Where aiobotocore is not as expected, nothing changes."""
    stand_before(client, _Parser, _Session)


class _Parser:
    """A parser whose errors have a name."""

    __slots__ = ("_parser",)

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    async def parse(self, response: Any, shape: Any) -> Any:
        try:
            parsed = self._parser.parse(response, shape)
            if inspect.isawaitable(parsed):  # not before aiobotocore 2.20, which s3fs may bring
                parsed = await parsed
        except OF_PARSER as error:
            raise unreadable(error) from error
        check_answer(parsed, response["status_code"], shape)
        return parsed


class _Session(Front):
    """Sends as aiobotocore's HTTP session does, and reads what is not content within limits."""

    async def send(self, request: Any) -> Any:
        is_content = request.stream_output
        request.stream_output = True  # aiobotocore would read it all here and now
        try:
            response = await self.behind.send(request)
        finally:
            request.stream_output = is_content
        look_up_quickly(response)
        if not is_content or response.status_code >= 300:
            if isinstance(getattr(response.raw, "content", None), aiohttp.StreamReader):  # not of another HTTP library
                response.raw = _Bounded(response.raw, request)
            await response.content
        return response


class _Bounded(Front):
    """A body that ends at some time."""

    def __init__(self, raw: aiohttp.ClientResponse, request: Any) -> None:
        self.behind = raw
        self._request = request

    async def read(self) -> bytes:
        try:
            return await _whole(self.behind.content)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise broken_off(error, self._request) from error
        finally:
            # Whoever keeps an error keeps the answer, and its connection would be missing in the pool.
            self.behind.close()


async def _whole(stream: aiohttp.StreamReader) -> bytes:
    pieces, left = [], LONGEST_ANSWER
    async for piece in stream.iter_any():
        left -= len(piece)
        if left < 0:
            raise endless()
        pieces.append(piece)
    return b"".join(pieces)


def broken_off(error: Exception, request: Any) -> BotoCoreError:
    """What aiobotocore raises for an error of its HTTP library; it does so for headers, not for the texts of errors."""
    if isinstance(error, aiohttp.ClientSSLError):
        return SSLError(endpoint_url=request.url, error=error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return EndpointConnectionError(endpoint_url=request.url, error=error)
    if isinstance(error, asyncio.TimeoutError):
        # As aiobotocore tells them apart: a class of its own is newer than the oldest aiohttp.
        if str(error).lower().startswith("connect"):
            return ConnectTimeoutError(endpoint_url=request.url, error=error)
        return ReadTimeoutError(endpoint_url=request.url, error=error)
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)):
        return ConnectionClosedError(endpoint_url=request.url, error=error, request=request)
    return HTTPClientError(error=error)
