"""Presigned uploads that encrypt, made by the asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import s3ec
import s3ec.aio
from s3ec.errors import ConfigurationError, UnsupportedOperationError

from support.loops import on_loop


@on_loop
async def test_there_and_back(open_client: Callable[..., Any], bucket: str) -> None:
    """Tickets of many tasks each have headers of their own, and store what the client reads."""
    async with open_client() as s3:
        tickets = await asyncio.gather(
            *(
                s3ec.aio.presigned_upload(s3, Bucket=bucket, Key=f"k{number}", Metadata={"mine": str(number)})
                for number in range(8)
            ),
            s3.put_object(Bucket=bucket, Key="other", Body=b"meanwhile", Metadata={"mine": "other"}),
        )
        for number, ticket in enumerate(tickets[:-1]):
            holder = s3ec.PresignedUpload.from_json(ticket.to_json())
            await asyncio.to_thread(holder.send, b"%d" % number)
            answer = await s3.get_object(Bucket=bucket, Key=f"k{number}")
            assert await answer["Body"].read() == b"%d" % number
            assert answer["Metadata"] == {"mine": str(number)}


@on_loop
async def test_handlers(open_client: Callable[..., Any], bucket: str) -> None:
    """They see the request before it is encrypted, and change it; afterwards they do not."""
    seen: list[Any] = []

    async def change(params: dict[str, Any], **_: Any) -> None:
        seen.append(dict(params.get("Metadata", {})))
        params["Metadata"] = {**params.get("Metadata", {}), "added": "1"}

    async with open_client() as s3:
        s3.meta.events.register("provide-client-params.s3.PutObject", change)
        ticket = await s3ec.aio.presigned_upload(s3, Bucket=bucket, Key="k")
        assert (seen, ticket.headers["x-amz-meta-added"]) == ([{}], "1")
        s3.meta.events.unregister("provide-client-params.s3.PutObject", change)

        def late(request: Any, **_: Any) -> None:
            request.headers["x-amz-meta-x-amz-3"] = "another data key"

        s3.meta.events.register("before-sign.s3.PutObject", late)
        with pytest.raises(UnsupportedOperationError, match="x-amz-3"):
            await s3ec.aio.presigned_upload(s3, Bucket=bucket, Key="l")


@on_loop
async def test_refused(open_client: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
    """Before any key is touched: other clients, and instruction files."""
    with pytest.raises(ConfigurationError, match=r"takes an s3ec\.aio"):
        await s3ec.aio.presigned_upload(plain_s3, Bucket=bucket, Key="k")
    async with open_client(instruction_file_writes=True) as s3:
        with pytest.raises(UnsupportedOperationError, match="instruction files"):
            await s3ec.aio.presigned_upload(s3, Bucket=bucket, Key="k")
